"""Any artifact by its path: its kind, its header, and the paths of its parents."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from avaffect.core import checkpoint_header, filekind, headers, unchanged
from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.headers import CheckpointHeader, ManifestHeader, StoreHeader
from avaffect.core.provenance import Provenance, Reference
from avaffect.data import manifest

SEARCH_PATH = "AVAFFECT_PATH"
SETTLED_S = 2.0
# What is known of manifests that were read: by place and state of the file.
_manifests: dict[tuple[str, unchanged.Stamp | None], tuple[ManifestHeader, str]] = {}


@dataclass(frozen=True)
class Artifact:
    """kind: store, checkpoint or manifest. header: the header of the file."""

    path: Path
    kind: str
    header: StoreHeader | CheckpointHeader | ManifestHeader
    content_id: str

    @property
    def provenance(self) -> Provenance:
        """What it was made from; empty where it does not say."""
        return self.header.provenance


def is_store(path: Path) -> bool:
    """Whether this file is a store, by its first bytes."""
    return filekind.kind_of(path) == filekind.STORE


def is_table(path: Path) -> bool:
    """Whether this file is a table, by its suffix, and nothing else, by its first bytes."""
    if path.suffix.lower() not in filekind.TABLE_SUFFIXES or not path.is_file():
        return False
    of_text = (filekind.TABLE, filekind.EMPTY, filekind.BLANK, filekind.UNKNOWN)
    return filekind.kind_of(path) in of_text


def kind_of(path: Path, needed: str = "artifact") -> str:
    """store, checkpoint or manifest, by the file's first bytes, not its name.

    needed: the expected kind, in the words of `filekind.other_kind`, for the error. Raises
    DataError if the file is missing, or of another kind.
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
    """An artifact by its header alone (`check` verifies the rest).

    expected: the kinds that are allowed: store; encoder, quantiser, projector, classifier; corpus,
    retrieval, predictions; by default all. Raises DataError for another kind.
    """
    needed = " or ".join(expected) or "artifact"
    kind = kind_of(path, needed)
    if kind == "store":
        if expected and kind not in expected:
            raise filekind.other_kind(path, needed)
        # Here and below: commands on manifests start without NumPy and h5py.
        from avaffect.data.store import structure

        header = structure.read_header(path)
        return Artifact(path, kind, header, header.content_id)
    if kind == "checkpoint":
        found = checkpoint_header.read_header(path, *expected)
        of_checkpoint = headers.typed(path, found, CheckpointHeader)
        return Artifact(path, kind, of_checkpoint, of_checkpoint.content_id)
    return _manifest(path, expected)


def content_id_of(path: Path, *expected: str) -> str:
    """The content id of an artifact, which is then the one that the command reads; see
    `core.unchanged`. expected, errors: as of `describe`."""
    return unchanged.take(path, lambda: describe(path, *expected).content_id)


def _manifest(path: Path, expected: tuple[str, ...]) -> Artifact:
    """The content id of a manifest, and its completeness, need all of its lines: those of an
    unchanged one are read once, however often it is among the inputs of inputs."""
    found = path.stat()
    key = os.path.realpath(path), unchanged.stamp_of(path)
    known = _manifests.get(key)
    if known is None or (expected and known[0].content not in expected):
        whole = manifest.read(path, expected or None)
        known = whole.header, whole.content_id
        # A file that has just been written may change again within the same tick of the clock.
        if time.time() - found.st_ctime > SETTLED_S:
            _manifests[key] = known
    return Artifact(path, "manifest", *known)


def identity_of(path: Path) -> str:
    """The content id of an artifact, or of a table. Raises DataError for another kind of file."""
    return file_content_id(path) if is_table(path) else describe(path).content_id


def locate(found: Reference, folder: Path, beside: Path | None = None) -> Path:
    """The file of a reference, recognised by its content id.

    It is searched for at the reference's path from `folder`, then by name in `folder`, beside the
    file `beside` that contains the reference, in the current folder and along AVAFFECT_PATH, as
    artifacts may have been moved together. Raises DataError, with the file, if it is at none of
    these.
    """
    path = Path(found["path"])
    changed: Path | None = None
    for place in places_of(path, folder, beside):
        if identity_of(place) == found["content_id"]:
            return Path(os.path.relpath(place))
        changed = changed or place
    role = found.get("role", "file")
    if changed is not None:
        raise DataError(
            f"{changed} is no longer the {role} that was used (its content id differs from "
            f"{found['content_id'][:19]}…); restore it, or make the artifacts that use it again"
        )
    raise DataError(
        f"{path.name}, the {role} that was used, is no longer at {folder / path}; move it there, "
        f"or add its folder to {SEARCH_PATH}"
    )


def places_of(path: Path, folder: Path, beside: Path | None = None) -> list[Path]:
    """The files that may be the one that a reference names, in the order of `locate`."""
    places = [folder / path, folder / path.name]
    if beside is not None:
        places += [beside.resolve().parent / path, beside.resolve().parent / path.name]
    places.append(Path.cwd() / path.name)
    for entry in filter(None, os.environ.get(SEARCH_PATH, "").split(os.pathsep)):
        places += [Path(entry) / path, Path(entry) / path.name]
    return [place for place in dict.fromkeys(places) if place.is_file()]


def locate_parent(parent: Reference, child: Path) -> Path:
    """The file that `child`'s provenance refers to."""
    return locate(parent, child.resolve().parent)
