"""Metrics and statistics, torch-free."""
