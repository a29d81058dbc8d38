"""Encoders and other models, applied to stores."""
