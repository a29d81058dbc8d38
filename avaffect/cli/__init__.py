"""The command line: options, and one call of a recipe each. The only layer that prints or exits."""
