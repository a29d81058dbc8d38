"""Suggestions for names that were mistyped."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is spelled most like `name`, whatever the case; None if none is."""
    import difflib

    known = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower(), known, n=1)
    return known[found[0]] if found else None


def meant(name: str, names: Iterable[str]) -> str:
    """`; did you mean X?`, for the end of a message; empty if no name is near."""
    near = nearest(name, names)
    return "" if near is None else f"; did you mean {near}?"


def meant_file(path: Path) -> str:
    """`; did you mean FILE?` of a path that is not there; empty if no file beside it is near."""
    try:
        beside = os.listdir(path.parent)
    except OSError:
        return ""
    near = nearest(path.name, beside)
    return "" if near is None else f"; did you mean {path.with_name(near)}?"
