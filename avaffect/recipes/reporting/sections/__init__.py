"""The sections of the page, one file each: a function of the context that gives a section, or None
where the artifacts hold nothing of it."""
