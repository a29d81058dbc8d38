"""Inputs as people name them: standard input, and texts in an encoding that is not UTF-8."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

STANDARD_INPUT = Path("-")
# None: the command has no option --encoding; "": it was not given.
_encoding: ContextVar[str | None] = ContextVar("encoding", default=None)


def named(source: Path) -> str:
    """The name of an input in messages."""
    return "standard input" if source == STANDARD_INPUT else str(source)


@contextlib.contextmanager
def of_command(settings: Any) -> Iterator[None]:
    """A block in which texts of other programs are read in the encoding of the settings, if any."""
    has_option = hasattr(settings, "encoding")
    before = _encoding.set((settings.encoding or "") if has_option else None)
    try:
        yield
    finally:
        _encoding.reset(before)


def encoding() -> str | None:
    """The encoding that the user named; "": none; None: the command cannot be told one."""
    return _encoding.get()
