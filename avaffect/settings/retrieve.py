"""Settings of `retrieve`."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import Labelled, Seeded, option

SAMPLERS = ("auto", "stream", "reject")

SMALLEST_TEMPERATURE = 1e-4
"""Below it the rounding of a float32 cosine, 6e-8, divided by T distorts the probabilities."""


@dataclass(frozen=True, kw_only=True)
class RetrieveSettings(Labelled, Seeded):
    """Draws utterances of the pool for each query with probability softmax(similarity / T)
    (SAAML Eq. 5), exactly, at any size of the pool. The manifest on standard output is what
    `adapt` reads.

    Where the queries have splits, those of the training split are used."""

    query: tuple[Path, ...] = option(
        MISSING, "Embeddings of labelled utterances.", "--query", role="input", metavar="A.h5"
    )
    pool: tuple[Path, ...] = option(
        MISSING, "Embeddings of the pool.", "--pool", role="input", metavar="B.h5"
    )
    temperature: float = option(0.1, "Temperature of the softmax.", "-T", "--temperature")
    draws: int = option(50, "Draws per query.", "--draws")
    sampler: str = option("auto", "How to draw; both are exact.", "--sampler", choices=SAMPLERS)
    similarity: Path | None = option(
        None, "Use these similarities, by `similarity`.", "--similarity", role="input",
        metavar="S.h5",
    )  # fmt: skip
    query_split: str = option(
        "train", "Split of the queries where there are splits; all for everything.",
        "--query-split",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not SMALLEST_TEMPERATURE <= self.temperature < math.inf:
            raise UsageError(
                f"-T {self.temperature}: the temperature is {SMALLEST_TEMPERATURE:g} or more"
            )
        if self.draws < 1:
            raise UsageError(f"--draws {self.draws}: 1 draw per query or more")
