"""Writing artifacts in formats of other programs, for `export`."""
