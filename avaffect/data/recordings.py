"""The recordings of a manifest's items, without decoding."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from avaffect.core import faults
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import content_id
from avaffect.core.nouns import count_of
from avaffect.data.items import audio_of, video_of
from avaffect.data.manifest import Item, Manifest


def media_content_id(manifest: Manifest, items: Iterable[Item]) -> str:
    """Hash of the paths and sizes of the items' recordings, which shows a changed recording."""
    sources = sorted({source for item in items for source in (audio_of(item), video_of(item))})
    return content_id([[source, _size(manifest.folder / source)] for source in sources if source])


def check_within(manifest: Manifest, items: Iterable[Item], folder: Path) -> None:
    """Raises DataError, with the first of them, where recordings lie outside of a folder, by their
    path or by a link; UsageError where that is no folder."""
    if not folder.is_dir():
        raise UsageError(f"--within {folder}: no such folder")
    root = folder.resolve()
    sources = {source for item in items for source in (audio_of(item), video_of(item)) if source}
    places = {source: (manifest.folder / source).resolve() for source in sources}
    outside = sorted(source for source in sources if not places[source].is_relative_to(root))
    if outside:
        raise DataError(
            f"{manifest.name}: {len(outside)} of "
            f"{count_of(len(sources), 'recording lies', 'recordings lie')} outside of {folder}, "
            f"the first at {places[outside[0]]}"
        )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError as error:
        if error.errno in faults.FROM_SYSTEM:
            raise faults.of_file(path, error.errno) from error
        return None
