"""One file a command: a function (settings, progress). Folders hold what commands share."""
