"""The commands: options and one call each. The only layer that prints or exits."""
