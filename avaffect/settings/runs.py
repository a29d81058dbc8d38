"""Runs of `finetune`: how many, on which part of the data, how long, and which epoch is kept."""

from __future__ import annotations

from dataclasses import dataclass

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.training import TrainingSettings, batch_utterances

# The last epoch, unless an earlier one was clearly better by ua.
AUTO = "auto"
# The last epoch.
NONE = "none"
ADAM, SGD = "adam", "sgd"


@dataclass(frozen=True, kw_only=True)
class Runs(TrainingSettings):
    """Raises UsageError for fewer than three folds, and for --steps with --least-steps."""

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
        "f1_macro, ccc, pearson, map; METRIC_LABEL for one of several labels. auto: the last "
        "epoch, unless the UA of an earlier one is significantly higher; none: the last epoch. "
        "Default: of the first label, auto for classes and distributions, map with --head "
        "highlight, otherwise ccc.", "--select",
        metavar="METRIC",
    )  # fmt: skip

    epochs: int | None = option(
        None, "Passes over the data. Default: 5; scratch or frozen 50; frozen with another head "
        "than linear, or --pooling attentive, 20.", "--epochs", at_least=1,
    )  # fmt: skip
    least_steps: int | None = option(
        None, "Minimum number of optimiser steps: more epochs if these have fewer. Default: 4000; "
        "300 with another head than linear, --pooling attentive or a trained encoder; 0 with "
        "--epochs.", "--least-steps", at_least=0,
    )  # fmt: skip
    batch_utterances: int = batch_utterances(32)
    optimiser: str = option(
        ADAM, "Optimiser. sgd: stochastic gradient descent, whose --weight-decay is not decoupled.",
        "--optimiser", choices=(ADAM, SGD), added=True,
    )  # fmt: skip
    momentum: float = option(
        0.9, "Momentum of --optimiser sgd.", "--momentum", at_least=0, below=1, added=True
    )
    betas: tuple[float, float] | None = option(
        None, "Decay of Adam's means of the gradient and of its square. Default: 0.9 0.999; of "
        "vavl 0.95 0.999.", "--betas", metavar="MEAN SQUARE", at_least=0, below=1, added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds in (1, 2):
            raise UsageError(f"--folds {self.folds}: at least 3 (test, development, train), or 0")
        if self.least_steps and self.steps is not None:
            raise UsageError("--steps and --least-steps exclude each other")
        if self.momentum != type(self).momentum and self.optimiser != SGD:
            raise UsageError(f"--momentum {self.momentum:g} goes with --optimiser {SGD}")
        if self.betas is not None and self.optimiser == SGD:
            raise UsageError(f"--betas go with --optimiser {ADAM}")
