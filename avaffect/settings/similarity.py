"""Settings of `similarity`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Common, option
from avaffect.settings.compared_stores import ComparedStores


@dataclass(frozen=True, kw_only=True)
class SimilaritySettings(ComparedStores, Common):
    """The cosine similarity of every query with every utterance of the pool, or with its K nearest:
    a store with a row for each query, for inspection and for `retrieve --similarity`.

    `retrieve` does not need it: it draws without the whole matrix."""

    examples: ClassVar[str] = """
    avaffect similarity --query msp.h5 --pool vox.h5 --top 20 -o nearest.h5
    # All similarities, then draws from them
    avaffect similarity --query msp.h5 --pool vox.h5 -o similarity.h5
    avaffect retrieve --query msp.h5 --pool vox.h5 --similarity similarity.h5 \\
      -T 0.05 -o drawn.jsonl
    """

    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    top: int | None = option(
        None, "Number of nearest utterances per query, best first. Default: all.", "--top",
        metavar="K", at_least=1,
    )  # fmt: skip
