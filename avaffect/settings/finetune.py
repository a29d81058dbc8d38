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
# The last epoch, unless an earlier one was clearly better by ua.
AUTO = "auto"
SELECTIONS = (AUTO, "ua", "accuracy", "f1_macro", "ccc", "none")


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(Labelled, Rated, Modal, TrainingSettings):
    """Trains a head on an encoder, with the encoder (fine-tuned), without (frozen), or both from
    random weights (scratch); without --encoder, on the features that the stores hold. Trains on the
    split train, chooses the epoch by development (--select), and leaves test alone; with folds,
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
    frames_per_step: int | None = option(
        None, "The GRU reads means of so many frames; by default as many as make 25 steps a "
        "second, or the rate of the traces where that is higher.", "--frames-per-step",
    )  # fmt: skip
    runs: int = option(1, "Runs, with seeds from --seed on.", "--runs")
    folds: int | None = option(
        None,
        "Runs for each of K folds: fold k tests, k + 1 is development. By default the folds "
        "that the utterances have, where they have no splits; 0: none.",
        "--folds",
        metavar="K",
    )
    fraction: float = option(
        1.0, "Train on this share of the training part, drawn from each class.", "--fraction"
    )
    select: str | None = option(
        None, "What the kept epoch is best at on development; auto, the default of classes: the "
        "last, unless an earlier one is better in ua by more than chance; ccc of traces by "
        "default; none: the last.", "--select", choices=SELECTIONS,
    )  # fmt: skip
    epochs: int | None = option(
        None, "Passes (5; scratch 50; frozen 50, with bgru 20; unless --steps).", "--epochs"
    )
    least_steps: int | None = option(
        None, "More epochs where these make fewer steps than this (4000; with bgru, or an encoder "
        "that is trained, 300; none with --epochs).", "--least-steps",
    )  # fmt: skip
    learning_rate: float | None = option(
        None, "Peak learning rate of the encoder (1e-5 of base ones, more of smaller ones).",
        "--learning-rate",
    )  # fmt: skip
    head_learning_rate: float | None = option(
        None, "Peak learning rate of the head (1e-3; frozen linear 1e-2).", "--head-learning-rate"
    )
    head_penalty: float | None = option(
        None, "Penalty of a linear head's weights: as of so many utterances, P / 2 |w|^2 beside "
        "the sum of their losses (1 where it is frozen, as scikit-learn's C = 1; otherwise 0).",
        "--head-penalty", metavar="P",
    )  # fmt: skip
    batch_utterances: int = option(32, "Most utterances per step.", "--batch-utterances")

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag in ("runs", "hidden", "layers", "frames_per_step"):
            value = getattr(self, flag)
            if value is not None and value < 1:
                name = flag.replace("_", "-")
                raise UsageError(f"--{name} {value}: it is 1 at least")
        if self.folds is not None and self.folds < 3 and self.folds != 0:
            raise UsageError(f"--folds {self.folds}: 3 at least: test, development, train; or 0")
        if (self.least_steps or 0) < 0:
            raise UsageError(f"--least-steps {self.least_steps}: 0 or more")
        if self.least_steps and self.steps is not None:
            raise UsageError("--steps and --least-steps exclude each other")
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
        if self.head not in RECURRENT and (self.frames_per_step or 1) > 1:
            raise UsageError("--frames-per-step goes with --head bgru or gru")
        if self.head_penalty is not None and not self.head_penalty >= 0:
            raise UsageError(f"--head-penalty {self.head_penalty:g}: 0 or more")
        if self.head_penalty and self.head in RECURRENT:
            raise UsageError("--head-penalty goes with --head linear")
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
