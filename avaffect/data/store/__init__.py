"""Stores: their layout, reading, writing, merging and verifying."""
