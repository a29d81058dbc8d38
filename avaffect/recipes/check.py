"""`check`: is an artifact whole, uncorrupted, and are its inputs there?"""

from __future__ import annotations

from pathlib import Path

from avaffect.core import checkpoint_header
from avaffect.core.errors import DataError
from avaffect.core.provenance import Provenance
from avaffect.data import artifacts, manifest
from avaffect.data.verifying import verify_store

# Folders of recordings: listed by path and size, no artifacts.
FOLDER_ROLES = ("recordings", "corpus")


def check(path: Path, parents: bool = False) -> None:
    """Verify one artifact from its bytes; with `parents`, that its inputs can be found too.

    Raises DataError saying what is wrong.
    """
    kind = artifacts.kind_of(path)
    record: Provenance
    try:
        if kind == "store":
            record = verify_store(path).provenance
        elif kind == "checkpoint":
            record = checkpoint_header.verify(path).get("provenance", {})
        else:
            record = manifest.read(path).header.get("provenance", {})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{path} is damaged: {error!r}; make it again") from error
    if parents:
        for parent in record.get("inputs", []):
            # A stream has no path.
            if parent["role"] not in FOLDER_ROLES and parent["path"]:
                artifacts.locate_parent(parent, path)
