"""Printing of what recipes return: `show(settings, progress)`, one file a command."""
