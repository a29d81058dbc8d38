"""Suggestions for names that were mistyped."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is spelled most like `name`, whatever the case; None if none is."""
    import difflib

    known = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower(), known, n=1)
    return known[found[0]] if found else None


def meant(name: str, names: Iterable[str]) -> str:
    """` Did you mean X?`, to be put behind a full message; empty if no name is near."""
    near = nearest(name, names)
    return "" if near is None else f" Did you mean {near}?"
