"""`seal`: append the end record to a manifest after a filter."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import cast

from avaffect.core import filekind
from avaffect.core.errors import DataError
from avaffect.core.headers import ManifestHeader
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.data import filtering, manifest, manifest_items
from avaffect.data.filtering import Filtered
from avaffect.data.manifest import Manifest
from avaffect.recipes.common import derived
from avaffect.settings.seal import SealSettings


def seal(settings: SealSettings, progress: Progress = SILENT) -> int:
    """Write the filtered manifest with a new end record; returns the number of items.

    "whole" is appended to the header's `filtered`, or "cut" if the end record is missing.

    Raises DataError as `filtering.read_filtered` does, without a header, and for a duplicate id.
    """
    filtered = _read(settings)
    source = Manifest(_header(settings, filtered), filtered.items, _path(settings))
    manifest_items.check_items(source)
    if not filtered.ended:
        progress.warn(f"{source.name} has no end record: taken as complete (--allow-cut)")
    _warn_astray(source, settings, progress)
    nothing = ": an empty manifest" if not source.items else ""
    progress.say(f"sealed {count_of(len(source), 'item')}{nothing}")
    history = [*(source.header.filtered or ()), "whole" if filtered.ended else "cut"]
    return derived.write(
        "seal", settings, {"filtered": history}, source, source.items, progress,
        filtered=tuple(history),
    )  # fmt: skip


def _path(settings: SealSettings) -> Path | None:
    return None if settings.source == manifest.STANDARD_STREAM else settings.source


def _read(settings: SealSettings) -> Filtered:
    path = _path(settings)
    if path is None:
        _check_start(cast(BufferedReader, sys.stdin.buffer), settings)
        return filtering.read_filtered(sys.stdin.buffer, "standard input", settings.allow_cut)
    with _opened(path) as stream:
        _check_start(stream, settings)
        return filtering.read_filtered(stream, str(path), settings.allow_cut)


def _check_start(stream: BufferedReader, settings: SealSettings) -> None:
    """A truncated line may begin with anything, and a filter may drop all lines."""
    if not settings.allow_cut and stream.peek(1):
        manifest.check_start(stream, settings.source)


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except IsADirectoryError as error:
        raise filekind.other_kind(path, "manifest") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _header(settings: SealSettings, filtered: Filtered) -> ManifestHeader:
    """The stream's header, or that of --like; its base is the original's, where that is known.

    A filter of a file passes on a base that is relative to the file's folder, which the reader of
    the pipe does not know.
    """
    path = _path(settings)
    if settings.like is None:
        if filtered.header is None:
            raise DataError(
                f"{path or 'standard input'} has no header: its filter dropped it; --like "
                "ORIGINAL.jsonl gives the header of the manifest that was filtered"
            )
        return filtered.header
    _opened(settings.like).close()
    original = Manifest(manifest.header_of(settings.like), [], settings.like)
    header = filtered.header or original.header
    if header.content != original.content:
        raise DataError(
            f"{settings.like} holds {original.content}, what was filtered is {header.content}"
        )
    here = Path.cwd() if path is None else path.resolve().parent
    return replace(header, base=Path(os.path.relpath(original.folder, here)).as_posix())


def _warn_astray(source: Manifest, settings: SealSettings, progress: Progress) -> None:
    """Warn if the first recording is not found: the base is probably that of another folder."""
    media = source.items[0].get("media") if source.items else None
    name = next(iter(media.values()), None) if isinstance(media, dict) else media
    if settings.like is None and isinstance(name, str) and not (source.folder / name).exists():
        progress.warn(
            f"{name} is not under {source.folder}: if the filter read a file in another folder, "
            "give that file with --like"
        )
