"""Heads on encoders."""
