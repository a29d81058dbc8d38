"""Verification of an artifact: complete, uncorrupted, its inputs present."""

from __future__ import annotations

from pathlib import Path

from avaffect.core import checkpoint_header, headers
from avaffect.core.errors import DataError
from avaffect.core.hashing import has_digest
from avaffect.core.headers import CheckpointHeader, ManifestHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance
from avaffect.data import artifacts, manifest
from avaffect.data.store.verifying import verify_store

# No artifacts: folders of recordings, tables, lists, files of other programs.
FOREIGN_ROLES = (
    "recordings", "corpus", "table", "ids", "face model", "weights", "files", "scores",
)  # fmt: skip
# Fields outside the content id.
UNGUARDED = {
    "store": "attributes, statistics and provenance",
    "checkpoint": "its whole header (labelled speakers, metrics, provenance)",
    "manifest": "its lines",
}
# Exceptions of reading what is not as any writer makes it.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def verify(path: Path, parents: bool = False, progress: Progress = SILENT) -> str:
    """Verify one artifact from its bytes; with `parents`, that its inputs can be found too.

    Returns the unverified parts, in words: "" where all was verified. Raises DataError that names
    the damage.
    """
    kind = artifacts.kind_of(path)
    record: Provenance
    try:
        if kind == "store":
            store = verify_store(path, progress)
            record, version = store.provenance, store.version
        else:
            header = _checkpoint(path) if kind == "checkpoint" else _manifest(path)
            record, version = header.provenance, header.version
        if parents:
            for parent in record.get("inputs", []):
                # A stream has no path.
                if parent["role"] not in FOREIGN_ROLES and parent["path"]:
                    artifacts.locate_parent(parent, path)
    except DAMAGE as error:
        raise DataError(f"{path} is damaged: {error!r}; make it again") from error
    if has_digest(version):
        return ""
    unguarded = UNGUARDED[kind]
    return f"{path} is of version {version}, which has no digest of {unguarded}: not verified"


def _checkpoint(path: Path) -> CheckpointHeader:
    checkpoint_header.verify(path)
    return headers.read(path, CheckpointHeader)


def _manifest(path: Path) -> ManifestHeader:
    header = manifest.read(path).header
    manifest.check_end(path, header.version)
    return header
