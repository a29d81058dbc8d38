"""Settings of `eval-ccc`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Rated, Seeded, argument, option


@dataclass(frozen=True, kw_only=True)
class EvalCccSettings(Rated, Seeded):
    """Of predicted traces: CCC, Pearson, RMSE and MAE, pooled over all recordings and as the mean
    of the recordings' own; of several runs, mean and standard deviation.

    Both sides are a store, a corpus manifest, a CSV or ARFF file, or a folder of such files.
    Recordings are matched by id or file name, values by time. Several files make one table. Scores
    are drawn on a terminal, tab-separated in a pipe, JSON with --json or -o."""

    predictions: tuple[Path, ...] = argument("What was predicted.", metavar="PREDICTIONS")
    gold: tuple[Path, ...] = option(
        MISSING, "True traces; of several raters, see --raters.", "--gold", role="input",
        metavar="GOLD",
    )  # fmt: skip
    label: tuple[str, ...] = option(
        (), "Score this label; NAME=OTHER where GOLD calls it OTHER. By default all that both "
        "sides have.", "--label", metavar="NAME",
    )  # fmt: skip
    delay: float = option(
        0.0, "Seconds by which annotations were shifted back in training: predictions are shifted "
        "forth by as much, and scored against the gold that comes so much later.", "--delay",
        metavar="SECONDS",
    )  # fmt: skip
    rate: float | None = option(
        None, "Compare so many values a second; by default those that GOLD has.", "--rate",
        metavar="HZ",
    )  # fmt: skip
    unbiased: bool = option(
        False, "Variances and covariance of CCC over N - 1 instead of N.", "--unbiased"
    )
    split: str | None = option(
        None, "Score this split; all for everything. By default test, where predictions are of "
        "several splits.", "--split",
    )  # fmt: skip
    bootstrap: int = option(
        0, "Draw the recordings so many times again for confidence intervals of 95 %.",
        "--bootstrap", metavar="N",
    )  # fmt: skip
    per_recording: bool = option(
        False, "The scores of each recording.", "--per-recording", role="runtime"
    )
    json: bool = option(
        False, "One JSON object per file, on a line each.", "--json", role="runtime"
    )
