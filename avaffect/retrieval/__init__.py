"""Similarity and exact softmax sampling: arrays only."""
