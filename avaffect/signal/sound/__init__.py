"""Augmentations of sound, for training, one file a family."""
