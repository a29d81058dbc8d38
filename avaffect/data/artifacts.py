"""Any artifact by its path: its kind, its header, and the paths of its parents."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avaffect.core import checkpoint_header, filekind
from avaffect.core.errors import DataError
from avaffect.core.provenance import Provenance, Reference
from avaffect.data import manifest

SEARCH_PATH = "AVAFFECT_PATH"


@dataclass(frozen=True)
class Artifact:
    """kind: store, checkpoint or manifest. header: what the file says of itself."""

    path: Path
    kind: str
    content_id: str
    provenance: Provenance
    header: dict[str, Any]


def is_store(path: Path) -> bool:
    """Whether this file begins as a store does."""
    return filekind.kind_of(path) == filekind.STORE


def is_table(path: Path) -> bool:
    """Whether this file is called as a table, and does not begin as something else does."""
    if path.suffix.lower() not in filekind.TABLE_SUFFIXES or not path.is_file():
        return False
    of_text = (filekind.TABLE, filekind.EMPTY, filekind.BLANK, filekind.UNKNOWN)
    return filekind.kind_of(path) in of_text


def kind_of(path: Path, needed: str = "artifact") -> str:
    """store, checkpoint or manifest, by the file's first bytes, not its name.

    needed: what it should be, in the words of `filekind.other_kind`, for the error. Raises
    DataError where the file is not there, or is none of the three.
    """
    found = filekind.kind_of(path)
    if found == filekind.STORE:
        return "store"
    if found in (*filekind.MANIFESTS.values(), filekind.JSON):
        return "manifest"
    if found == filekind.CHECKPOINT:
        return "checkpoint"
    raise filekind.other_kind(path, needed)


def describe(path: Path, *expected: str) -> Artifact:
    """What an artifact says of itself, from its header alone (`check` verifies the rest).

    expected: what it may be: store; encoder, quantiser, projector, classifier; corpus, retrieval,
    predictions. Without, it may be anything. Raises DataError where it is something else.
    """
    needed = " or ".join(expected) or "artifact"
    kind = kind_of(path, needed)
    if kind == "store":
        if expected and kind not in expected:
            raise filekind.other_kind(path, needed)
        # Here and below: commands on manifests start without NumPy and h5py.
        from avaffect.data.store import reader

        header = reader.read_header(path)
        return Artifact(path, kind, header["content_id"], header["provenance"], header)
    if kind == "checkpoint":
        header = checkpoint_header.read_header(path, *expected)
        return Artifact(path, kind, header["content_id"], header.get("provenance", {}), header)
    # Nothing but the whole tells a manifest's identity, and whether it is whole.
    whole = manifest.read(path, expected or None)
    return Artifact(path, kind, whole.content_id, whole.header.get("provenance", {}), whole.header)


def locate(found: Reference, folder: Path, beside: Path | None = None) -> Path:
    """The file that a reference means, recognised by its content id.

    Looked for at the reference's path from `folder`, then, by name, in `folder`, beside the file
    `beside` that holds the reference, in the current folder and along AVAFFECT_PATH: artifacts
    may have been moved together. Raises DataError naming the file when none of these is it.
    """
    path = Path(found["path"])
    places = [folder / path, folder / path.name]
    if beside is not None:
        places += [beside.resolve().parent / path, beside.resolve().parent / path.name]
    places.append(Path.cwd() / path.name)
    for entry in filter(None, os.environ.get(SEARCH_PATH, "").split(os.pathsep)):
        places += [Path(entry) / path, Path(entry) / path.name]
    changed: Path | None = None
    for place in dict.fromkeys(places):
        if not place.is_file():
            continue
        if describe(place).content_id == found["content_id"]:
            return Path(os.path.relpath(place))
        changed = changed or place
    role = found.get("role", "file")
    if changed is not None:
        raise DataError(
            f"{changed} is no longer the {role} that was used (its content id differs from "
            f"{found['content_id'][:19]}…); restore it, or make what depends on it again"
        )
    raise DataError(
        f"{path.name}, the {role} that was used, is not at {folder / path} any more; put it there "
        f"or name its folder in {SEARCH_PATH}"
    )


def locate_parent(parent: Reference, child: Path) -> Path:
    """The file that `child`'s provenance refers to."""
    return locate(parent, child.resolve().parent)
