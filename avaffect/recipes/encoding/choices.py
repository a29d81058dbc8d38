"""Layers and parts of an encoder that options name, against its header: no torch is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avaffect.core import headers
from avaffect.core.headers import EncoderHeader


def check(
    path: Path | None, layer: int | None = None, weighted: bool = False, parts: Sequence[str] = ()
) -> None:
    """Raises UsageError for a layer or part that the encoder at `path` does not have, and for
    `weighted` layers of one that has no two.

    Headers of earlier versions do not say: there it is found when the encoder is loaded.
    """
    if path is None or (layer is None and not weighted and not parts):
        return
    structure = headers.read(path, EncoderHeader).structure
    if structure is None:
        return
    structure.check_layer(layer, str(path))
    structure.check_parts(parts, str(path))
    if weighted:
        structure.check_weighted(str(path))
