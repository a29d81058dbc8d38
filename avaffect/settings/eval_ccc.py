"""Settings of `eval-ccc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Rated, Seeded, argument, option
from avaffect.settings.printed import Printed
from avaffect.settings.text_files import TextFiles


@dataclass(frozen=True, kw_only=True)
class EvalCccSettings(TextFiles, Printed, Rated, Seeded):
    """CCC, Pearson, RMSE and MAE of predicted traces, pooled over all recordings and as the mean
    over recordings; of predicted scalars, over utterances; of several runs, mean and standard
    deviation.

    Predictions and gold standard are stores, corpus manifests, CSV or ARFF files, or folders of
    such files. Recordings are matched by id or file name, values by time. Several files make one
    table. The output is a table on a terminal, tab-separated in a pipe, JSON with --json or -o."""

    examples: ClassVar[str] = """
    avaffect eval-ccc predictions/ --gold gold/ --label arousal --label valence
    # Scalars of utterances
    avaffect predict media.h5 --model arousal.safetensors | avaffect eval-ccc -
    # Scalars that another program predicted, a table with a column per dimension
    avaffect eval-ccc theirs.csv --gold ratings.csv --label arousal
    # With confidence intervals
    avaffect eval-ccc frozen.h5 tuned.h5 --gold sewa.jsonl --bootstrap 1000
    # Predictions that were trained with an annotation delay
    avaffect eval-ccc predictions/ --gold recola.jsonl --delay 2.4 --json
    """

    predictions: tuple[Path, ...] = argument(
        "Predicted traces, or manifests or tables (CSV) of predicted scalars.",
        metavar="PREDICTIONS",
    )
    gold: tuple[Path, ...] = option(
        (), "Gold standard of traces, required; of scalars (a store, a corpus manifest or a table) "
        "it overrides that in the predictions. Repeatable.", "--gold", role="input",
        metavar="GOLD",
    )  # fmt: skip
    label: tuple[str, ...] = option(
        (), "Label to score; NAME=OTHER if GOLD calls it OTHER. In a table of scalars, NAME is the "
        "column of predictions. Default: all that both sides have. Repeatable.", "--label",
        metavar="NAME",
    )  # fmt: skip
    id_column: str | None = option(
        None, "Column of ids in tables of scalars. Default: id, utt, file or the like.", "--id",
        metavar="COLUMN", added=True,
    )  # fmt: skip
    delay: float = option(
        0.0, "Annotation delay in seconds by which annotations were shifted back in training: "
        "predictions are shifted forth.", "--delay", metavar="SECONDS",
    )  # fmt: skip
    rate: float | None = option(
        None, "Sampling rate of the comparison in Hz. Default: that of GOLD.", "--rate",
        metavar="HZ", above=0, at_most=1000,
    )  # fmt: skip
    unbiased: bool = option(
        False, "Variances and covariance of CCC with N - 1 instead of N.", "--unbiased"
    )
    split: str | None = option(
        None, "Split to score; all: every recording. Default: test, for predictions of several "
        "splits.", "--split",
    )  # fmt: skip
    bootstrap: int = option(
        0, "Number of bootstrap resamples of the recordings (of scalars, of the speakers), for 95 "
        "% confidence intervals; 0: none.", "--bootstrap", metavar="N", at_least=0,
    )  # fmt: skip
    by: tuple[str, ...] = option(
        (), "Field by which scores are grouped: sex, age, corpus, speaker or any other of GOLD (a "
        "store, a corpus manifest, or a table of recordings beside gold traces), of PREDICTIONS, "
        "or of the store that was predicted. Repeatable.", "--by", metavar="FIELD", added=True,
    )  # fmt: skip
    per_recording: bool = option(
        False, "Print the scores of each recording.", "--per-recording", role="runtime"
    )
    accuracy: bool = option(
        False, "Print 1 - MAE of each label and its average, too: the accuracy of labels from 0 to "
        "1, such as the traits of First Impressions.", "--accuracy", role="runtime",
    )  # fmt: skip
    json: bool = option(
        False, "Print one JSON object per file, on a line each.", "--json", role="runtime"
    )
