"""Faces in video: detected, tracked, smoothed, cropped."""
