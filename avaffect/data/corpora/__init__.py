"""One corpus adapter per file."""
