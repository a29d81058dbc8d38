"""Faces in pictures: found, followed, smoothed, cut out."""
