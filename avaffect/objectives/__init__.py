"""Losses and pretext tasks over models: tensors only."""
