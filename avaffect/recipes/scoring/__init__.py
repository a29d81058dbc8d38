"""Scores of predictions, traces and retrievals."""
