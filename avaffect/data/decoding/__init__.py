"""Decoding of recordings to audio and video: time, levels, channels, display."""
