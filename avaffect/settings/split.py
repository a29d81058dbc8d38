"""Settings of `split`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Seeded, argument, option

DEFAULT_RATIOS = (70.0, 10.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class SplitSettings(Seeded):
    """Whole speakers (or sessions) go to train, development and test, so that utterances come near
    the ratios; or to K folds, of which fold k tests and fold k+1 validates in run k. Counts and
    class balance are said on standard error. Leakage is refused.
    """

    source: Path = argument(
        "Corpus manifest, - for standard input.", default=Path("-"), metavar="M.jsonl"
    )
    by: str = option("speaker", "What is never divided.", "--by", choices=("speaker", "session"))
    ratios: tuple[float, float, float] | None = option(
        None,
        "Shares of train, development and test; 70 10 20 unless --folds is given.",
        "--ratios",
        metavar="TRAIN DEVELOPMENT TEST",
    )
    folds: int | None = option(None, "Number of folds, 3 or more.", "--folds", metavar="K")
    stratify: str | None = option(
        None, "Bring each class of this label near the shares too.", "--stratify", metavar="LABEL"
    )
    replace: bool = option(
        False, "Replace the splits or folds that are there.", "--replace", role="runtime"
    )
    allow_speaker_overlap: bool = option(
        False,
        "Let a speaker with several sessions stand in several parts.",
        "--allow-speaker-overlap",
        role="runtime",
    )
