"""Settings of `predict`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Batched, argument, option
from avaffect.settings.feature_stores import parse_features
from avaffect.settings.windows import check_windows


@dataclass(frozen=True, kw_only=True)
class PredictSettings(Batched):
    """Applies a model of `finetune` to a store. A model of several runs writes one item per run and
    utterance; in cross-validation each fold is predicted by the run that was not trained on it."""

    examples: ClassVar[str] = """
    avaffect predict U.h5 --model er.safetensors --split test | avaffect eval-class
    # A table for other programs
    avaffect predict U.h5 --model er.safetensors |
      jq -r 'select(.kind == "item") | [.id, .prediction] | @tsv'
    # Traces go to a store
    avaffect predict sewa.h5 --model va.safetensors -o traces.h5
    """

    media: tuple[Path, ...] = argument("Media stores.", metavar="MEDIA.h5")
    model: Path = option(
        MISSING,
        "Checkpoint written by `finetune`.",
        "--model",
        role="input",
        metavar="ER.safetensors",
    )
    features: tuple[str, ...] = option(
        (), "Features in a store, under the name that they had in finetune. Repeatable.",
        "--features", role="input", metavar="NAME=STORE.h5",
    )  # fmt: skip
    label: tuple[str, ...] = option(
        (), "Label to predict. Default: all labels of the classifier. Repeatable.", "--label",
        metavar="NAME", added=True,
    )  # fmt: skip
    split: str | None = option(None, "Split to predict. Default: every utterance.", "--split")
    annotations: Path | None = option(
        None, "Manifest whose labels, speakers, splits and folds override those in the store, by "
        "id.", "--annotations", role="input", metavar="M.jsonl",
    )  # fmt: skip
    window: float | None = option(
        None, "Window in seconds for the prediction of traces of longer recordings. Default: that "
        "of finetune.", "--window", metavar="SECONDS", above=0,
    )  # fmt: skip
    step: float | None = option(
        None, "Hop of the windows in seconds. Default: half a window.", "--step",
        metavar="SECONDS", above=0,
    )  # fmt: skip
    mask_absent: bool = option(False, "Predict NaN where no face was detected.", "--mask-absent")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_features(self.features)
        check_windows(self.window, self.step)
