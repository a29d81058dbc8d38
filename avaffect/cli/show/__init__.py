"""What some commands print of what their recipe returns: `show(settings, progress)`."""
