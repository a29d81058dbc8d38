"""Sources of --noise: files, folders and stores of audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avaffect.core import faults, filekind
from avaffect.core.errors import DataError
from avaffect.core.hashing import content_id, file_content_id
from avaffect.data import artifacts
from avaffect.data.store.reader import Store
from avaffect.recipes.common import work
from avaffect.recipes.common.work import Input

ROLE = "noise"


@dataclass(frozen=True)
class Sources:
    """Sources of --noise: stores of audio; files and their names; whether a file without audio may
    be skipped, as in a folder."""

    stores: list[Store] = field(default_factory=list)
    files: list[tuple[Path, str, bool]] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)

    @classmethod
    def find(cls, paths: Sequence[Path]) -> Sources:
        """Raises DataError if one of the paths is missing, or a folder is empty."""
        found = cls()
        for path in paths:
            if path.is_dir():
                files = _files_in(path)
                identity = content_id([[name, file_content_id(file)] for file, name in files])
                found.inputs.append((ROLE, path, identity))
                found.files.extend((file, name, True) for file, name in files)
            elif not path.exists():
                raise DataError(f"--noise {path}: no such file or folder")
            elif artifacts.is_store(path):
                store = Store(path)
                found.inputs.extend(work.store_inputs(ROLE, [store]))
                found.stores.append(store)
            elif filekind.kind_of(path) not in (filekind.RECORDING, filekind.UNKNOWN):
                raise filekind.other_kind(path, "noise")
            else:
                found.inputs.append((ROLE, path, file_content_id(path)))
                found.files.append((path, path.name, False))
        return found


def _files_in(folder: Path) -> list[tuple[Path, str]]:
    """All files beneath a folder, in the order of their names, but hidden ones."""
    found = [
        (path.relative_to(folder).as_posix(), path)
        for parent, folders, names in faults.walk(folder, followlinks=False)
        for path in (Path(parent, name) for name in (*folders, *names))
    ]
    files = [
        (path, name)
        for name, path in sorted(found)
        if path.is_file() and not any(part.startswith(".") for part in Path(name).parts)
    ]
    if not files:
        raise DataError(f"--noise {folder}: this folder has no file")
    return files
