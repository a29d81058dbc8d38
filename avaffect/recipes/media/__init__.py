"""Preprocessing reports, noise, and synthetic recordings."""
