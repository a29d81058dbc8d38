"""Settings of `eval-class`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Common, argument, option

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class EvalClassSettings(Common):
    """Of predictions: accuracy, UA (mean recall of the classes that occur), F1 micro and macro,
    per class, confusion; of several runs, mean and standard deviation; folds of a run are pooled.
    Of a retrieval manifest: how often the retrieved utterances bear their query's label.

    Several files make one table, a row each. Scores are drawn on a terminal, tab-separated in a
    pipe, JSON with --json or -o."""

    predictions: tuple[Path, ...] = argument(
        "Manifests of predictions or of retrieval, or tables (CSV) of predictions.",
        default=(STANDARD_INPUT,), metavar="PREDICTIONS",
    )  # fmt: skip
    gold: tuple[Path, ...] = option(
        (), "True labels, by id: a store, a corpus manifest or a table (CSV). They stand over "
        "those in the predictions; of a retrieval they are the pool's, by default those in the "
        "pool's stores.",
        "--gold", role="input", metavar="GOLD",
    )  # fmt: skip
    label: str | None = option(
        None, "The label in GOLD, by default the one that was predicted or queried with; "
        "NAME=OTHER where GOLD calls it OTHER. Of a table NAME is the column of predictions.",
        "--label", metavar="NAME",
    )  # fmt: skip
    id_column: str | None = option(
        None, "Column of ids, in tables; by default one called id, utt, file or the like.", "--id",
        metavar="COLUMN",
    )  # fmt: skip
    classes: str | None = option(
        None,
        "Which classes, in which order: anger,happiness,neutral. happiness=excitement+happiness "
        "merges classes under one name. Gold labels of others are left out.",
        "--classes",
        metavar="LIST",
    )
    split: str | None = option(
        None, "Score this split; all for everything. By default test, where predictions are of "
        "several splits.", "--split",
    )  # fmt: skip
    runs: bool = option(False, "A row for each run.", "--runs", role="runtime")
    per_class: bool = option(False, "The scores of each class.", "--per-class", role="runtime")
    confusion: bool = option(False, "The confusion matrix.", "--confusion", role="runtime")
    json: bool = option(False, "One JSON object per file, on a line each.", "--json",
                        role="runtime")  # fmt: skip

    def __post_init__(self) -> None:
        # The command line hands over no files at all as an empty tuple.
        object.__setattr__(self, "predictions", self.predictions or (STANDARD_INPUT,))
