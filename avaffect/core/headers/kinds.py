"""The header of any checkpoint, typed by its kind."""

from __future__ import annotations

from pathlib import Path

from avaffect.core import checkpoint_header
from avaffect.core.headers.checkpoint import CheckpointHeader, typed
from avaffect.core.headers.classifier import ClassifierHeader
from avaffect.core.headers.encoder import EncoderHeader
from avaffect.core.headers.projector import ProjectorHeader
from avaffect.core.headers.quantiser import QuantiserHeader

KINDS: dict[str, type[CheckpointHeader]] = {
    kind.kind: kind for kind in (EncoderHeader, QuantiserHeader, ProjectorHeader, ClassifierHeader)
}


def read_named(path: Path, *names: str) -> CheckpointHeader:
    """The header of a checkpoint of a kind of one of these names, or of any.

    Raises DataError where the file is no whole checkpoint, or one of another kind.
    """
    found = checkpoint_header.read_header(path, *names)
    return typed(path, found, KINDS.get(str(found.get("kind")), CheckpointHeader))
