"""One frozen, torch-free dataclass per command."""
