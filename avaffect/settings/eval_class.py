"""Settings of `eval-class`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Classed, argument, option
from avaffect.settings.printed import Printed
from avaffect.settings.text_files import TextFiles

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class EvalClassSettings(TextFiles, Printed, Classed):
    """Accuracy, UA (mean recall of the classes that occur), F1 micro and macro, scores per class
    and confusion matrix of predictions; of several runs, mean and standard deviation. The folds of
    a run are pooled. Of a retrieval manifest: how often the retrieved utterances have the label of
    their query.

    Several files make one table, a row each. The output is a table on a terminal, tab-separated in
    a pipe, JSON with --json or -o."""

    examples: ClassVar[str] = """
    avaffect predict media.h5 --model er.safetensors | avaffect eval-class
    # Predictions of another program, a CSV table
    avaffect eval-class theirs.csv --gold labels.csv --label predicted=emo \\
      --id filename
    # With intervals that 95 percent of the draws of a bootstrap lie in
    avaffect eval-class predictions.jsonl --confidence 95
    # By sex, and whether predictions are better than chance
    avaffect eval-class P.jsonl --gold corpus.jsonl --by sex --permutations 2000
    # Are probabilities right as often as they say?
    avaffect eval-class P.jsonl --calibration --plot-reliability curve.pdf
    # A retrieval
    avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 |
      avaffect eval-class --gold vox.jsonl
    """

    predictions: tuple[Path, ...] = argument(
        "Manifests of predictions or of retrieval, or tables (CSV) of predictions.",
        default=(STANDARD_INPUT,), metavar="PREDICTIONS",
    )  # fmt: skip
    gold: tuple[Path, ...] = option(
        (), "Gold labels by id: a store or a corpus manifest, of classes or rater votes, or a "
        "table (CSV) of classes; they override those in the predictions. Of a retrieval, those of "
        "the pool. Default: those in the pool's stores. Repeatable.",
        "--gold", role="input", metavar="GOLD",
    )  # fmt: skip
    label: str | None = option(
        None, "Name of the label; NAME=OTHER if GOLD calls it OTHER. In a table, NAME is the "
        "column of predictions. Default: the label that was predicted or queried.",
        "--label", metavar="NAME",
    )  # fmt: skip
    id_column: str | None = option(
        None, "Column of ids in tables. Default: id, utt, file or the like.", "--id",
        metavar="COLUMN",
    )  # fmt: skip
    split: str | None = option(
        None, "Split to score; all: every utterance. Default: test, for predictions of several "
        "splits.", "--split",
    )  # fmt: skip
    confidence: float | None = option(
        None, "Confidence in percent of intervals of the scores, such as 95: by bootstrap over "
        "speakers, where predictions name them, else over utterances.", "--confidence",
        metavar="PERCENT", at_least=50, at_most=99.9, added=True,
    )  # fmt: skip
    permutations: int = option(
        0, "Permutations of the gold labels, within speakers where predictions name them, by which "
        "the scores are tested against chance; all that there are, where these are few. 0: no "
        "test.", "--permutations", metavar="N", at_least=0, at_most=100_000, added=True,
    )  # fmt: skip
    calibration: bool = option(
        False, "Calibration of the probabilities: expected calibration error in 10 bins of equal "
        "width, and Brier score.", "--calibration", added=True,
    )  # fmt: skip
    by: tuple[str, ...] = option(
        (), "Field by which scores are grouped: sex, age, corpus, speaker or any other of the "
        "predictions, of GOLD, or of the store that was predicted. Repeatable.", "--by",
        metavar="FIELD", added=True,
    )  # fmt: skip
    plot: Path | None = option(
        None, "Picture of the confusion matrix to write (.png, .svg, .pdf), a panel for each file. "
        "Needs matplotlib.", "--plot", role="runtime", metavar="FILE", added=True,
    )  # fmt: skip
    plot_reliability: Path | None = option(
        None, "Picture of --calibration to write: accuracy over the probability of the predicted "
        "class, a panel for each file.", "--plot-reliability", role="runtime", metavar="FILE",
        added=True,
    )  # fmt: skip
    runs: bool = option(False, "Print a row for each run.", "--runs", role="runtime")
    per_class: bool = option(
        False, "Print the scores of each class.", "--per-class", role="runtime"
    )
    confusion: bool = option(False, "Print the confusion matrix.", "--confusion", role="runtime")
    json: bool = option(
        False, "Print one JSON object per file, on a line each.", "--json", role="runtime"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # The command line hands over no files at all as an empty tuple.
        object.__setattr__(self, "predictions", self.predictions or (STANDARD_INPUT,))
        if self.plot_reliability is not None and not self.calibration:
            raise UsageError("--plot-reliability draws --calibration, which is missing")
