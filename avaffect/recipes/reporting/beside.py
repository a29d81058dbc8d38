"""The files that a page shows beside those that it is given: their lineage, and its histories of
training and lists of lost recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avaffect.core.hashing import content_id
from avaffect.core.provenance import identity
from avaffect.recipes.common.ancestry import Ancestor
from avaffect.recipes.media.preprocess_summary import losses_path
from avaffect.recipes.reporting.given import Given
from avaffect.training.state import metrics_path


def histories(lineage: Sequence[Ancestor], given: Given) -> list[Path]:
    """Metrics files beside the checkpoints of a lineage, in its order, then the given ones."""
    paths = [metrics_path(Path(each.path)) for each in lineage if each.kind == "checkpoint"]
    return list(dict.fromkeys([*filter(Path.is_file, paths), *given.metrics]))


def losses(lineage: Sequence[Ancestor]) -> list[Path]:
    """Lists of lost recordings beside the stores of a lineage."""
    paths = [losses_path(Path(each.path)) for each in lineage if each.kind == "store"]
    return list(filter(Path.is_file, paths))


def identity_of(ancestor: Ancestor) -> str:
    """Of what a page shows of an ancestor. It has the content that the reference to it names, or
    else is missing."""
    made = None if ancestor.record is None else identity(ancestor.record)
    return content_id([ancestor.kind, ancestor.content, made])
