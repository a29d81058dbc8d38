"""Scores of a projector's embeddings of held-out utterances, as `train-projector` kept them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avaffect.core import headers
from avaffect.core.errors import DataError
from avaffect.core.headers import ProjectorHeader
from avaffect.recipes.scoring.reports.base import Numbered, Report

SPLIT = "development"


@dataclass(frozen=True, kw_only=True)
class EmbeddingRun(Numbered):
    """One projector, called by its seed. scores: accuracy, nearest_neighbour,
    nearest_centroid, davies_bouldin, as far as it has them."""

    scores: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class EmbeddingReport(Report):
    """target  name of the label
    count   held-out utterances
    """

    file: str
    content: str = "embeddings"
    target: str
    split: str = SPLIT
    count: int
    seen: dict[str, int] | None = None
    runs: tuple[EmbeddingRun, ...]


def read(path: Path) -> EmbeddingReport:
    """The scores in the checkpoint of a projector.

    Raises DataError where it is no projector, or was trained without a development split.
    """
    header = headers.read(path, ProjectorHeader)
    found: dict[str, Any] = dict(header.metrics.get(SPLIT, {}))
    if not found:
        raise DataError(
            f"{path} has no scores of held-out utterances: train it on stores with a split "
            f"{SPLIT!r}, from `avaffect split`"
        )
    count = int(found.pop("utterances"))
    seed = int(header.provenance.get("settings", {}).get("seed", 0))
    return EmbeddingReport(
        file=str(path),
        target=next(iter(header.labels)),
        count=count,
        runs=(EmbeddingRun(run=seed, scores=found),),
    )
