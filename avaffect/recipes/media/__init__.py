"""How recordings are made, mixed with noise, and what is said of those that were lost."""
