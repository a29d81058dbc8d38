"""Settings of `compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import argument, option
from avaffect.settings.printed import Printed

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class CompareSettings(Printed):
    """Mean and standard deviation over the runs of each report, and the difference from a baseline
    with a t-test, paired by run. Two predictions of one run each are compared by utterance:
    McNemar's test of classes, and a bootstrap over speakers.

    Reports are the output of eval-class and eval-ccc with -o or --json; predictions of classes are
    scored first. Of projectors, what `train-projector` scored of the development split is compared.
    The output is a table on a terminal, tab-separated in a pipe, JSON with --json or
    -o.

    Rows named NAME@NUMBER are points of a curve: each is compared with the baseline's point at the
    same number, and --plot draws the curves; of other rows, bars."""

    examples: ClassVar[str] = """
    avaffect eval-class scratch.jsonl frozen.jsonl --json | avaffect compare
    # Named rows, two scores
    avaffect compare scratch.json APC=apc.json --score f1_macro --score ua
    # Single runs on the same utterances
    avaffect compare scratch.jsonl frozen.jsonl --score ua
    # A table for a paper
    avaffect compare scratch.json frozen.json --format latex > table.tex
    # Curves over the noise level
    avaffect compare scratch@0=s0.json scratch@10=s10.json \\
      L1@0=l0.json L1@10=l10.json --plot noise.png --axis 'SNR in dB'
    # Figure 2 of VAVL, from predictions with --shared-distance
    avaffect compare vavl.jsonl uavm.jsonl --score shared_distance \\
      --plot figure2.png
    """

    reports: tuple[Path, ...] = argument(
        "Reports, predictions of classes (manifests, or tables of other programs), or projectors; "
        "NAME=FILE names the row. Files of one NAME are one row: the runs of each.",
        default=(STANDARD_INPUT,), metavar="[NAME=]FILE",
    )  # fmt: skip
    score: tuple[str, ...] = option(
        (), "Score to compare: ua, accuracy, f1_macro; ccc, ccc_mean, arousal.ccc; "
        "shared_distance; davies_bouldin. Default: ua, ccc of each label, or davies_bouldin. "
        "Repeatable.", "--score",
        metavar="NAME",
    )  # fmt: skip
    baseline: str | None = option(
        None, "Baseline: a row, by name or file, or a curve. Default: the first.", "--baseline",
        metavar="NAME",
    )  # fmt: skip
    unpaired: bool = option(
        False, "Welch's t-test for independent runs, instead of the paired test.", "--unpaired",
    )  # fmt: skip
    per_class: bool = option(
        False, "F1 of each class instead of the scores.", "--per-class", role="runtime"
    )
    plot: Path | None = option(
        None, "Picture of the curves, or of a bar for each row, to write: .png, .svg or .pdf.",
        "--plot", role="runtime", metavar="FILE",
    )  # fmt: skip
    axis: str = option(
        "", "Label of the picture's horizontal axis, such as 'SNR in dB'.", "--axis",
        role="runtime", metavar="TEXT",
    )  # fmt: skip
    json: bool = option(False, "Print one JSON object.", "--json", role="runtime")

    def __post_init__(self) -> None:
        super().__post_init__()
        # The command line hands over no files at all as an empty tuple.
        object.__setattr__(self, "reports", self.reports or (STANDARD_INPUT,))
        if self.axis and self.plot is None:
            raise UsageError("--axis labels the picture of --plot, which is missing")
        if self.per_class and self.score:
            raise UsageError("--per-class compares F1 of each class; it goes without --score")
