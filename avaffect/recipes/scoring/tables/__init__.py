"""Reports of scores as tables, for people and for programs: one file a command."""
