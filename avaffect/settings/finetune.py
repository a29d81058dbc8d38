"""Settings of `finetune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import Labelled, Modal, Rated, argument, option
from avaffect.settings.trace_losses import parse_losses
from avaffect.settings.training import TrainingSettings
from avaffect.settings.windows import check_windows

MODES = ("fine-tuned", "frozen", "scratch")
RECURRENT = ("bgru", "gru")
HEADS = ("linear", *RECURRENT)
SELECTIONS = ("ua", "accuracy", "f1_macro", "ccc", "none")


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(Labelled, Rated, Modal, TrainingSettings):
    """Trains a head on an encoder, with the encoder (fine-tuned), without (frozen), or both from
    random weights (scratch); without --encoder, on the features that the stores hold. Trains on the
    split train, keeps the epoch that does best on development, and leaves test alone; with folds,
    each in turn.

    Several runs differ in their seed; all are in the checkpoint, and `predict` gives the
    predictions of each."""

    media: tuple[Path, ...] = argument("Labelled stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("classifier.safetensors"), "The classifier.", "-o", "--output", role="output"
    )
    encoder: Path | None = option(
        None, "The encoder under the head; without, the stores' own features.", "--encoder",
        role="input", metavar="X.safetensors",
    )  # fmt: skip
    label: tuple[str, ...] = option(
        ("emotion",), "The label: a class, or a trace over time. Several traces are learned "
        "together. Repeatable.", "--label", metavar="NAME",
    )  # fmt: skip
    loss: tuple[str, ...] = option(
        (), "Losses of traces and their weights: ccc (1 - CCC), mse, ce (of 20 bins), ncce (of 20 "
        "clusters, cost-sensitive); ccc=1 unless said. With LABEL: before, of one label. "
        "Repeatable.", "--loss", metavar="[LABEL:]LOSS=W,...",
    )  # fmt: skip
    delay: float = option(
        0.0, "Traces were annotated so many seconds late: learned earlier, predicted later.",
        "--delay", metavar="SECONDS",
    )  # fmt: skip
    window: float | None = option(
        None, "Traces of recordings longer than this are predicted, here on development and by "
        "predict, in windows of so many seconds, half a window apart.", "--window",
        metavar="SECONDS",
    )  # fmt: skip
    mode: str | None = option(
        None, "What happens to the encoder; fine-tuned where there is one.", "--mode",
        choices=MODES,
    )  # fmt: skip
    freeze: tuple[str, ...] = option(
        (), "A part of the encoder that stays as it is while the others are trained: stem, the "
        "first convolution of encoders that see. Repeatable.", "--freeze", metavar="PART",
    )  # fmt: skip
    head: str = option(
        "linear", "The head: one dense layer on the mean over time, or layers of GRU, in both "
        "directions (bgru) or forward alone.", "--head", choices=HEADS,
    )  # fmt: skip
    augment: str | None = option(
        None, "Random changes of the faces that are trained on: flip, crop, crop-out, missing, "
        "solarise, salt-pepper, or several in turn.", "--augment", metavar="NAME[+NAME...]",
    )  # fmt: skip
    crop_pixels: int | None = option(
        None, "Pixels of a side that --augment crop leaves; 5/6 of the faces' unless said.",
        "--crop-pixels",
    )  # fmt: skip
    hidden: int | None = option(None, "Units of each direction of the GRU (256).", "--hidden")
    layers: int | None = option(None, "Layers of the GRU (2).", "--layers")
    dropout: float = option(0.0, "Dropout in the head.", "--dropout")
    frames_per_step: int = option(
        1, "The GRU reads means of so many frames: 4 make 25 of 100 a second.",
        "--frames-per-step",
    )  # fmt: skip
    runs: int = option(1, "Runs, with seeds from --seed on.", "--runs")
    folds: int | None = option(
        None, "Runs for each of K folds: fold k tests, k + 1 is development.", "--folds"
    )
    fraction: float = option(
        1.0, "Train on this share of the training part, drawn from each class.", "--fraction"
    )
    select: str | None = option(
        None, "What the kept epoch is best at on development: ua of classes, ccc of traces by "
        "default; none: the last.", "--select", choices=SELECTIONS,
    )  # fmt: skip
    epochs: int | None = option(
        None, "Passes (5; frozen or scratch 50, with bgru 100; unless --steps).", "--epochs"
    )
    learning_rate: float = option(1e-5, "Peak learning rate of the encoder.", "--learning-rate")
    head_learning_rate: float | None = option(
        None, "Peak learning rate of the head (1e-3, bgru 1e-4).", "--head-learning-rate"
    )
    batch_utterances: int = option(32, "Most utterances per step.", "--batch-utterances")

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag in ("runs", "hidden", "layers", "frames_per_step"):
            value = getattr(self, flag)
            if value is not None and value < 1:
                name = flag.replace("_", "-")
                raise UsageError(f"--{name} {value}: it is 1 at least")
        if self.folds is not None and self.folds < 3:
            raise UsageError(f"--folds {self.folds}: 3 at least: test, development, train")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout {self.dropout:g}: 0 or more and below 1")
        if self.encoder is None and self.mode not in (None, "frozen"):
            raise UsageError(
                f"--mode {self.mode} needs an --encoder: features that are given stay as they are"
            )
        if self.freeze and (self.encoder is None or self.mode == "frozen"):
            raise UsageError(
                "--freeze keeps a part of an --encoder that is trained: without one, or with "
                "--mode frozen, nothing of it changes anyway"
            )
        if self.head not in RECURRENT and self.frames_per_step > 1:
            raise UsageError("--frames-per-step goes with --head bgru or gru")
        if self.delay < 0:
            raise UsageError(f"--delay {self.delay:g}: 0 or more: annotators are late, not early")
        for name in self.label:
            if self.label.count(name) > 1:
                raise UsageError(f"--label {name} is given twice; name each label once")
        parse_losses(self.loss, self.label)
        check_windows(self.window)
        if self.crop_pixels is not None and "crop" not in (self.augment or "").split("+"):
            raise UsageError("--crop-pixels goes with --augment crop")
        if self.head_learning_rate is not None and not self.head_learning_rate > 0:
            raise UsageError(f"--head-learning-rate {self.head_learning_rate}: it is above 0")
