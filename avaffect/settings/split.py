"""Settings of `split`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Seeded, argument, option

DEFAULT_RATIOS = (70.0, 10.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class SplitSettings(Seeded):
    """Assigns whole speakers (or sessions) to train, development and test, near the ratios; or to K
    folds, of which fold k is the test part and fold k+1 the development part of run k. Counts and
    class balance go to standard error. Leakage is refused."""

    examples: ClassVar[str] = """
    avaffect split emodb.jsonl --by speaker --ratios 70 10 20 -o emodb-split.jsonl
    # Cross-validation
    avaffect split iemocap.jsonl --by session --folds 5 -o iemocap-folds.jsonl
    """

    source: Path = argument(
        "Corpus manifest; - (the default): standard input.", default=Path("-"), metavar="M.jsonl"
    )
    by: str = option(
        "speaker", "Unit that is never divided.", "--by", choices=("speaker", "session")
    )
    ratios: tuple[float, float, float] | None = option(
        None,
        "Shares of train, development and test. Default: 70 10 20, without --folds.",
        "--ratios",
        metavar="TRAIN DEVELOPMENT TEST",
        at_least=0,
    )
    folds: int | None = option(None, "Number of folds.", "--folds", metavar="K", at_least=3)
    stratify: str | None = option(
        None, "Label whose classes are balanced over the parts too.", "--stratify", metavar="LABEL"
    )
    replace: bool = option(False, "Replace existing splits or folds.", "--replace", role="runtime")
    allow_speaker_overlap: bool = option(
        False,
        "Allow a speaker with several sessions in several parts.",
        "--allow-speaker-overlap",
        role="runtime",
    )
