"""Patterns of files, such as shards/*.h5, that a shell has left as they are."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from avaffect.core.errors import DataError


def expanded(paths: Iterable[Path]) -> list[Path]:
    """The files of patterns, sorted as a shell sorts them; a path that exists, itself.

    Raises DataError where a pattern matches nothing.
    """
    return [file for path in paths for file in _files(path)]


def _files(path: Path) -> list[Path]:
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise DataError(f"{path}: no file is named like this")
    return [Path(name) for name in found]
