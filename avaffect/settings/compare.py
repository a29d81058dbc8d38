"""Settings of `compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Common, argument, option

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class CompareSettings(Common):
    """Mean and standard deviation over runs of each report, its difference from a baseline, and
    whether that is more than chance: a t-test, paired by run.

    Reports are what eval-class and eval-ccc write with -o or --json; predictions of classes are
    scored on the way. A table on a terminal, tab-separated in a pipe, JSON with --json or -o.

    Rows called NAME@NUMBER are points of a curve: each is compared with the baseline's point at the
    same number, and --plot draws them."""

    reports: tuple[Path, ...] = argument(
        "Reports, or predictions of classes; NAME=FILE gives a row its name.",
        default=(STANDARD_INPUT,), metavar="[NAME=]FILE",
    )  # fmt: skip
    score: tuple[str, ...] = option(
        (), "Compare by this score: accuracy, ua, f1_macro; ccc, ccc_mean, arousal.ccc. By default "
        "f1_macro, or ccc of each label.", "--score", metavar="NAME",
    )  # fmt: skip
    baseline: str | None = option(
        None, "The row, by name or file, or the curve that others are compared with; by default "
        "the first.", "--baseline", metavar="NAME",
    )  # fmt: skip
    unpaired: bool = option(
        False, "Runs have nothing to do with each other: Welch's t-test instead of the paired one.",
        "--unpaired",
    )  # fmt: skip
    per_class: bool = option(False, "The F1 of each class instead.", "--per-class", role="runtime")
    plot: Path | None = option(
        None, "Draw the curves into a picture: .png, .svg or .pdf.", "--plot", role="runtime",
        metavar="FILE",
    )  # fmt: skip
    axis: str = option(
        "", "What the numbers of a curve are, beneath the picture: 'SNR in dB'.", "--axis",
        role="runtime", metavar="TEXT",
    )  # fmt: skip
    json: bool = option(False, "One JSON object.", "--json", role="runtime")

    def __post_init__(self) -> None:
        # The command line hands over no files at all as an empty tuple.
        object.__setattr__(self, "reports", self.reports or (STANDARD_INPUT,))
