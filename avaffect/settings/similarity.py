"""Settings of `similarity`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import Common, option


@dataclass(frozen=True, kw_only=True)
class SimilaritySettings(Common):
    """The cosine of every query with every utterance of the pool, or with the K most like it: a
    store with a row for each query, for inspection and for `retrieve --similarity`.

    `retrieve` does not need it: it draws without ever holding the matrix."""

    query: tuple[Path, ...] = option(
        MISSING, "Embeddings of the queries.", "--query", role="input", metavar="A.h5"
    )
    pool: tuple[Path, ...] = option(
        MISSING, "Embeddings of the pool.", "--pool", role="input", metavar="B.h5"
    )
    output: Path = option(MISSING, "The store to write.", "-o", "--output", role="output")
    top: int | None = option(None, "Keep the K most similar alone, best first.", "--top",
                             metavar="K")  # fmt: skip

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise UsageError(f"--top {self.top}: at least 1 is kept")
