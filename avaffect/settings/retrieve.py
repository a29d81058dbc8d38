"""Settings of `retrieve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Labelled, Seeded, option
from avaffect.settings.compared_stores import ComparedStores

SAMPLERS = ("auto", "stream", "reject")

SMALLEST_TEMPERATURE = 1e-4
"""Below it the rounding of a float32 cosine, 6e-8, divided by T distorts the probabilities."""


@dataclass(frozen=True, kw_only=True)
class RetrieveSettings(ComparedStores, Labelled, Seeded):
    """Draws utterances of the pool for each query with probability softmax(similarity / T)
    (SAAML Eq. 5), exactly, for a pool of any size. The manifest on standard output is what `adapt`
    reads.

    In stores with splits, the queries of the training split are used."""

    examples: ClassVar[str] = """
    avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 | avaffect adapt
    # How selective is a temperature? The last line on standard error says
    avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.05 --draws 1 > /dev/null
    # A manifest to keep
    avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 -o retrieval.jsonl
    """

    temperature: float = option(
        0.1, "Temperature of the softmax.", "-T", "--temperature", at_least=SMALLEST_TEMPERATURE
    )
    draws: int = option(50, "Number of draws per query.", "--draws", at_least=1)
    sampler: str = option("auto", "Sampler; both are exact.", "--sampler", choices=SAMPLERS)
    similarity: Path | None = option(
        None, "Store of similarities, written by `similarity`.", "--similarity", role="input",
        metavar="S.h5",
    )  # fmt: skip
    grown: Path | None = option(
        None, "Retrieval from the first stores of --pool, drawn by streaming: the others alone are "
        "read, and draws are exchanged as their share requires. Exact.", "--grown", role="input",
        metavar="BEFORE.jsonl", added=True,
    )  # fmt: skip
    query_split: str = option(
        "train", "Split of the queries, in stores with splits; all: every utterance.",
        "--query-split",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grown is not None and self.similarity is not None:
            raise UsageError("--grown and --similarity exclude each other")
        if self.grown is not None and self.sampler == "reject":
            raise UsageError(
                "--grown goes with streaming: rejection costs no more on a larger pool"
            )
