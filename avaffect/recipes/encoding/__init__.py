"""Applying encoders and other models to stores."""
