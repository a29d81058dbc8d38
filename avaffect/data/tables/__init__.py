"""Text tables of other programs."""
