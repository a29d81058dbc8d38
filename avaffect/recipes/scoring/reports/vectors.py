"""Reports of `eval-embeddings`."""

from __future__ import annotations

from dataclasses import dataclass, field

from avaffect.core.record import Record
from avaffect.recipes.scoring.reports.base import Report


@dataclass(frozen=True, kw_only=True)
class Separation(Record):
    """davies_bouldin of so many classes, with two utterances each or more, in so many utterances;
    chance: its mean where the same classes are of other utterances, at random."""

    davies_bouldin: float
    classes: int
    utterances: int
    chance: float | None = None


@dataclass(frozen=True, kw_only=True)
class VectorReport(Report):
    """vectors: their name; by: what is told apart -> how far."""

    file: str
    content: str = "vectors"
    vectors: str
    by: dict[str, Separation] = field(default_factory=dict)
