"""The recording of an utterance of any store: the store names the file, its lineage the folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.core.provenance import Provenance, of_role
from avaffect.data import artifacts
from avaffect.data.store.reader import Store

SOURCE = "source"
# Roles of a store's input stores.
ROLES = ("media", "store")
# No chain of commands has more steps.
DEEPEST = 32


def folder_of(store: Store) -> Path | None:
    """The folder of a store's sources; None where it is unknown, as of a store that was joined from
    several folders, or whose parents were moved away."""
    return _folder(store.path, store.provenance, DEEPEST)


def _folder(path: Path, record: Provenance, left: int) -> Path | None:
    here = path.resolve().parent
    folders = {(here / found["path"]).resolve() for found in of_role(record, "recordings")}
    for role in ROLES if left and not folders else ():
        for parent in of_role(record, role):
            try:
                file = artifacts.locate_parent(parent, path)
                found = _folder(file, artifacts.describe(file).provenance, left - 1)
            except DataError:
                return None
            if found is None:
                return None
            folders.add(found)
        if folders:
            break
    return folders.pop() if len(folders) == 1 else None


def paths_of(stores: Sequence[Store]) -> tuple[Path | None, list[list[str | None]]]:
    """A folder, and for each store the path of each utterance's recording from there.

    The folder is that of the first store whose own is known. Paths of a store whose folder is
    unknown are unchanged; None where it names none.
    """
    folders = [folder_of(store) for store in stores]
    base = next((folder for folder in folders if folder is not None), None)
    found: list[list[str | None]] = []
    for store, folder in zip(stores, folders):
        names = store.meta.get(SOURCE, [""] * store.count)
        found.append([_from(base, folder, str(name)) if name else None for name in names])
    return base, found


def _from(base: Path | None, folder: Path | None, name: str) -> str:
    if base is None or folder is None or folder == base:
        return name
    return Path(os.path.relpath(folder / name, base)).as_posix()
