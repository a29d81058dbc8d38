"""One loss per file, named as in the papers."""
