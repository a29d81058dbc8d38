"""Recordings that are named on the command line, by path, folder or pattern, as a corpus."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avaffect.core import filekind
from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.patterns import expanded
from avaffect.core.progress import Progress
from avaffect.data import manifest, manifest_items
from avaffect.data.corpora.common import SUFFIXES, is_text, media_files
from avaffect.data.manifest import Item, Manifest
from avaffect.data.names import ids_of

# What may be a recording, where the suffix does not say so.
_PERHAPS = (filekind.RECORDING, filekind.UNKNOWN)


@dataclass(frozen=True)
class Listed:
    """A corpus of recordings; unusable: name -> why, of files that cannot be opened."""

    corpus: Manifest
    unusable: dict[str, str] = field(default_factory=dict)


def listed(paths: Sequence[Path], progress: Progress) -> Listed | None:
    """The recordings at `paths`: files, folders with all below them, patterns such as a/*.wav. None
    where they are stores.

    Ids are the names of the files, or their paths where two have one name. Raises UsageError for
    stores beside recordings, DataError where a path is neither, or is not UTF-8, a folder has no
    recording, or a pattern matches nothing.
    """
    stores: list[Path] = []
    files: list[Path] = []
    unusable: dict[str, str] = {}
    for path in expanded(paths):
        if path.is_dir():
            found, lost = _in_folder(path, progress)
            files += found
            unusable |= lost
        elif filekind.kind_of(path) == filekind.STORE:
            stores.append(path)
        elif path.suffix.lower() in SUFFIXES or _may_be_recording(path):
            files.append(path)
        else:
            raise filekind.other_kind(path, "store or recording")
    if stores and files:
        raise UsageError(
            f"{stores[0]} is a store and {files[0]} a recording: predict stores and recordings by "
            "two commands"
        )
    return None if stores else Listed(_corpus(files), unusable)


def _may_be_recording(path: Path) -> bool:
    return path.suffix.lower() not in (".h5", ".hdf5") and filekind.kind_of(path) in _PERHAPS


def _in_folder(folder: Path, progress: Progress) -> tuple[list[Path], dict[str, str]]:
    lost: dict[str, list[str]] = defaultdict(list)
    found = [folder / name for name in media_files(folder, lost)]
    unusable = {str(folder / name): why for why, names in lost.items() for name in names}
    if not found and not unusable:
        raise DataError(f"{folder}: no recording is in this folder (of {', '.join(SUFFIXES)})")
    progress.say(f"{folder}: {count_of(len(found) + len(unusable), 'recording')}")
    return found, unusable


def _corpus(files: Sequence[Path]) -> Manifest:
    whole = list(dict.fromkeys(Path(os.path.abspath(path)) for path in files))
    folder = Path(os.path.commonpath([path.parent for path in whole])) if whole else Path.cwd()
    for path in (folder, *whole):
        if not is_text(str(path)):
            raise DataError(f"{str(path)!a}: the name is not UTF-8; rename it")
    names = [path.relative_to(folder) for path in whole]
    found = ids_of(names)
    items: list[Item] = [
        {"id": identifier, "media": name.as_posix()}
        for identifier, name in zip(found, names, strict=True)
    ]
    header = manifest.new_header("corpus", base=str(folder), corpus=folder.name, labels={})
    corpus = Manifest(header, items)
    manifest_items.check_items(corpus)
    return corpus
