"""Printing of the values that recipes return: `show(settings, progress)`, one file a command."""
