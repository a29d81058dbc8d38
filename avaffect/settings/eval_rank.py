"""Settings of `eval-rank`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Rated, Seeded, argument, option
from avaffect.settings.printed import Printed
from avaffect.settings.text_files import TextFiles


@dataclass(frozen=True, kw_only=True)
class EvalRankSettings(TextFiles, Printed, Rated, Seeded):
    """Mean average precision (mAP) of scores over time, such as those of `finetune --head
    highlight`: how well the segments of each recording that are a highlight are ranked before the
    others, and the mean over recordings. Recordings without a highlight, and those that are one
    throughout, have nothing to rank: they are counted and left out.

    Predictions and gold are stores, corpus manifests, CSV or ARFF files, or folders of such files,
    as of `eval-ccc`. The output is a table on a terminal, tab-separated in a pipe, JSON with --json
    or -o."""

    examples: ClassVar[str] = """
    avaffect predict films.h5 --model highlight.safetensors -o scores.h5
    avaffect eval-rank scores.h5 --gold films.h5
    # Adapted against pre-trained, over the runs of both
    avaffect eval-rank before.h5 after.h5 --gold films.h5 --json |
      avaffect compare -
    """

    predictions: tuple[Path, ...] = argument("Predicted scores over time.", metavar="PREDICTIONS")
    gold: tuple[Path, ...] = option(
        MISSING, "What is relevant over time: values above --threshold. Repeatable.", "--gold",
        role="input", metavar="GOLD",
    )  # fmt: skip
    label: tuple[str, ...] = option(
        (), "Label to score; NAME=OTHER if GOLD calls it OTHER. Default: all that both sides have. "
        "Repeatable.", "--label", metavar="NAME",
    )  # fmt: skip
    threshold: float = option(
        0.5, "Value of GOLD above which a segment is relevant.", "--threshold", at_least=0
    )
    split: str | None = option(
        None, "Split to score; all: every recording. Default: test, for predictions of several "
        "splits.", "--split",
    )  # fmt: skip
    per_recording: bool = option(
        False, "Print the scores of each recording.", "--per-recording", role="runtime"
    )
    json: bool = option(
        False, "Print one JSON object per file, on a line each.", "--json", role="runtime"
    )
