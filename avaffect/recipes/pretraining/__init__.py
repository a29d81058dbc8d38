"""Shared by the commands that train encoders and projectors."""
