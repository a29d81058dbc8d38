"""Settings of `predict`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Batched, Resumable, ShardedLater, argument, option
from avaffect.settings.feature_stores import parse_features
from avaffect.settings.windows import check_windows


@dataclass(frozen=True, kw_only=True)
class PredictSettings(Resumable, ShardedLater, Batched):
    """Applies a model of `finetune` to recordings, which it decodes as `preprocess` does, or to
    stores. A model of several runs writes one item per run and utterance; in cross-validation each
    fold is predicted by the run that was not trained on it."""

    examples: ClassVar[str] = """
    # Recordings as they are, and a model in one file
    avaffect predict clips/ talk.mp4 --model emotion.safetensors
    # Emotions over time
    avaffect predict talk.mp4 --model emotion.safetensors --window 2 --step 1 \\
      --format csv
    avaffect predict U.h5 --model er.safetensors --split test |
      avaffect eval-class
    # Traces go to a store
    avaffect predict sewa.h5 --model va.safetensors -o traces.h5
    """

    media: tuple[Path, ...] = argument(
        "Recordings (files, folders with all below them, patterns), or media stores.",
        metavar="MEDIA",
    )
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
    without_features: tuple[str, ...] = option(
        (), "Features of finetune to do without, by their name: every utterance is predicted as if "
        "it lacked them, so that they count as their mean. Their store may be left out. "
        "Repeatable.", "--without-features", metavar="NAME", added=True,
    )  # fmt: skip
    modality: str | None = option(
        None, "Modality to predict from, whatever an utterance has: audio or video. Of an encoder "
        "that was fine-tuned on both, or a head on two streams, such as vavl. Default: both, where "
        "an utterance has both.", "--modality", choices=("audio", "video"), added=True,
    )  # fmt: skip
    shared_distance: bool = option(
        False, "Add to each utterance that has both streams the cosine distance of their "
        "embeddings at the end of the layers that both go through (figure 2 of VAVL), and say its "
        "mean. Of heads with such layers, such as vavl.", "--shared-distance", added=True,
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
        None, "Window in seconds: of traces of longer recordings, by default that of finetune; of "
        "other labels, each window is predicted by itself, by default the whole utterance is.",
        "--window", metavar="SECONDS", above=0,
    )  # fmt: skip
    step: float | None = option(
        None, "Hop of the windows in seconds. Default: half a window.", "--step",
        metavar="SECONDS", above=0,
    )  # fmt: skip
    views: int = option(
        1, "Number of views of an utterance whose predictions are averaged (scores of classes "
        "before the softmax), for an encoder that reads a section of it or some of its pictures: "
        "sections and pictures at other places, evenly apart. 1: the middle.", "--views",
        metavar="N", at_least=1, added=True,
    )  # fmt: skip
    format: str | None = option(
        None, "Form of predicted classes and numbers: json (a manifest), csv or table. Default: "
        "json; table, for recordings and a terminal.", "--format", role="runtime",
        choices=("json", "csv", "table"), added=True,
    )  # fmt: skip
    face_model: Path | None = option(
        None, "Weights of YuNet (.onnx), for recordings and a classifier that is no bundle. "
        "Default: where preprocess read them, or beside the classifier.", "--face-model",
        role="runtime", metavar="FILE", added=True,
    )  # fmt: skip
    jobs: int | None = option(
        None, "Number of processes that decode recordings. Default: one per core, one alone for "
        "few recordings.", "-j", "--jobs", role="runtime", at_least=1, added=True,
    )  # fmt: skip
    mask_absent: bool = option(False, "Predict NaN where no face was detected.", "--mask-absent")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_features(self.features)
        check_windows(self.window, self.step)
