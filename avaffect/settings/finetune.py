"""Settings of `finetune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Labelled, Modal, Rated, argument, option
from avaffect.settings.feature_stores import parse_features
from avaffect.settings.label_losses import spelled_losses
from avaffect.settings.training import TrainingSettings

MODES = ("fine-tuned", "frozen", "scratch")
RECURRENT = ("bgru", "gru")
# The last epoch, unless an earlier one was clearly better by ua.
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(Labelled, Rated, Modal, TrainingSettings):
    """Trains a head and the encoder under it (--mode fine-tuned), the head alone (frozen), or both
    from random weights (scratch); without --encoder, a head on the features in the stores. Trains
    on the split train, selects the epoch on the split development (--select) and does not read the
    split test; with folds, each fold in turn.

    Several runs differ in their seed. The checkpoint holds all of them, and `predict` writes the
    predictions of each."""

    examples: ClassVar[str] = """
    # A linear head on a frozen encoder, five seeds
    avaffect finetune media.h5 --encoder adapted.safetensors --mode frozen --runs 5 \\
      -o er.safetensors
    # Traces: GRU layers, windows of 20 s, an annotation delay of 2.4 s
    avaffect finetune sewa.h5 --encoder lira.safetensors --head bgru \\
      --label arousal --label valence --delay 2.4 --window 20 -o va.safetensors
    # A baseline on openSMILE features
    avaffect extract media.h5 --model egemaps-functionals -o egemaps.h5
    avaffect finetune egemaps.h5 -o baseline.safetensors
    """

    media: tuple[Path, ...] = argument("Labelled stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("classifier.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    encoder: Path | None = option(
        None, "Encoder under the head. Default: none, the features in the stores.", "--encoder",
        role="input", metavar="X.safetensors",
    )  # fmt: skip
    features: tuple[str, ...] = option(
        (), "Features in a store, as written by extract, under a name; joined with MEDIA by id. "
        "Several may differ in rate and dimension, and may be combined with --encoder. Repeatable.",
        "--features", role="input", metavar="NAME=STORE.h5",
    )  # fmt: skip
    label: tuple[str, ...] = option(  # type: ignore[assignment]
        ("emotion",), "Name of the label: a class, a distribution (rater votes), a scalar or a "
        "trace. Several, of any kind, are trained together. Repeatable.", "--label",
        metavar="NAME",
    )  # fmt: skip
    loss: tuple[str, ...] = option(
        (), "Losses and their weights. Class: ce (cross-entropy). Distribution: kl, ce. Scalar: "
        "ccc (1 - CCC), mse, mae. Trace: ccc, mse, mae, ce (over 20 bins), ncce (cost-sensitive, "
        "over 20 clusters). LABEL: limits them to one label. Default: the first, with weight 1. "
        "Repeatable.", "--loss", metavar="[LABEL:]LOSS=W,...",
    )  # fmt: skip
    delay: float = option(
        0.0, "Annotation delay of traces in seconds, compensated in training and prediction.",
        "--delay", metavar="SECONDS", at_least=0,
    )  # fmt: skip
    window: float | None = option(
        None, "Window in seconds for the prediction of traces of longer recordings, with a hop of "
        "half a window. Default: 60, for recordings above two minutes.", "--window",
        metavar="SECONDS", above=0,
    )  # fmt: skip
    mode: str | None = option(
        None, "Training of the encoder. Default: fine-tuned with --encoder.", "--mode",
        choices=MODES,
    )  # fmt: skip
    freeze: tuple[str, ...] = option(
        (), "Part of the encoder to freeze: stem, the first convolution of a visual or audiovisual "
        "encoder. Repeatable.", "--freeze", metavar="PART",
    )  # fmt: skip
    head: str = option(
        "linear", "Head: one linear layer on the mean over time, or GRU layers, bidirectional "
        "(bgru) or forward (gru), or a head of another package.", "--head",
        metavar="linear|bgru|gru|NAME",
    )  # fmt: skip
    augment: str | None = option(
        None, "Augmentations of the training faces: flip, crop, crop-out, missing, solarise, "
        "salt-pepper; several joined by +.", "--augment", metavar="NAME[+NAME...]",
    )  # fmt: skip
    crop_pixels: int | None = option(
        None, "Side of --augment crop in pixels. Default: 5/6 of the faces' side.",
        "--crop-pixels", at_least=1,
    )  # fmt: skip
    hidden: int | None = option(
        None, "Hidden units of the GRU in each direction. Default: 256.", "--hidden", at_least=1
    )
    layers: int | None = option(None, "Number of GRU layers. Default: 2.", "--layers", at_least=1)
    dropout: float = option(
        0.0, "Dropout probability in the head.", "--dropout", at_least=0, below=1
    )
    frames_per_step: int | None = option(
        None, "Frames that are averaged into one step of the GRU. Default: 25 steps per second, or "
        "the rate of the traces if that is higher.", "--frames-per-step", at_least=1,
    )  # fmt: skip
    runs: int = option(1, "Number of runs, with seeds from --seed on.", "--runs", at_least=1)
    folds: int | None = option(
        None,
        "Cross-validation over K folds: fold k is the test part, k + 1 the development part. 0: "
        "none. Default: the folds in the store, if it has no splits.",
        "--folds",
        metavar="K",
        at_least=0,
    )
    fraction: float = option(
        1.0, "Share of the training part, drawn from each class.", "--fraction", above=0, at_most=1
    )
    select: str | None = option(
        None, "Metric that selects the best epoch on the development split: ua, accuracy, "
        "f1_macro, ccc, pearson; METRIC_LABEL for one of several labels. auto: the last epoch, "
        "unless the UA of an earlier one is significantly higher; none: the last epoch. Default: "
        "of the first label, auto for classes and distributions, otherwise ccc.", "--select",
        metavar="METRIC",
    )  # fmt: skip
    epochs: int | None = option(
        None, "Passes over the data. Default: 5; scratch or frozen 50; frozen with bgru 20.",
        "--epochs", at_least=1,
    )  # fmt: skip
    least_steps: int | None = option(
        None, "Minimum number of optimiser steps: more epochs if these have fewer. Default: 4000; "
        "300 with bgru or a trained encoder; 0 with --epochs.", "--least-steps", at_least=0,
    )  # fmt: skip
    learning_rate: float | None = option(
        None, "Peak learning rate of the encoder. Default: 1e-5 for base encoders, higher for "
        "smaller ones.", "--learning-rate", above=0,
    )  # fmt: skip
    head_learning_rate: float | None = option(
        None, "Peak learning rate of the head. Default: 1e-3; frozen linear 1e-2.",
        "--head-learning-rate", above=0,
    )  # fmt: skip
    head_penalty: float | None = option(
        None, "L2 penalty P of a linear head: P / 2 |w|^2 beside the sum of the utterances' "
        "losses. Default: 1 if frozen, as C = 1 in scikit-learn, otherwise 0.", "--head-penalty",
        metavar="P", at_least=0,
    )  # fmt: skip
    batch_utterances: int = option(
        32, "Utterances per step at most.", "--batch-utterances", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds in (1, 2):
            raise UsageError(f"--folds {self.folds}: at least 3 (test, development, train), or 0")
        if self.least_steps and self.steps is not None:
            raise UsageError("--steps and --least-steps exclude each other")
        if self.encoder is None and self.mode not in (None, "frozen"):
            raise UsageError(
                f"--mode {self.mode} needs an --encoder: features that are given stay as they are"
            )
        if self.encoder is None and self.modality is not None:
            raise UsageError(
                f"--modality {self.modality} needs an --encoder: features that are given have none"
            )
        if self.freeze and (self.encoder is None or self.mode == "frozen"):
            raise UsageError(
                "--freeze keeps a part of an --encoder that is trained: without one, or with "
                "--mode frozen, nothing of it changes anyway"
            )
        # Completed settings have one frame a step.
        frames = self.frames_per_step if (self.frames_per_step or 1) > 1 else None
        of_gru = {"hidden": self.hidden, "layers": self.layers, "frames-per-step": frames}
        for flag, value in of_gru.items():
            if self.head == "linear" and value is not None:
                raise UsageError(f"--{flag} goes with --head {' or '.join(RECURRENT)}")
        if self.head_penalty and self.head != "linear":
            raise UsageError("--head-penalty goes with --head linear")
        for name in self.label:
            if self.label.count(name) > 1:
                raise UsageError(f"--label {name} is given twice; name each label once")
        spelled_losses(self.loss, self.label)
        parse_features(self.features)
        if self.crop_pixels is not None and "crop" not in (self.augment or "").split("+"):
            raise UsageError("--crop-pixels goes with --augment crop")
