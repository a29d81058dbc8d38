"""The labels that `finetune` learns, their losses, and labels over time."""

from __future__ import annotations

from dataclasses import dataclass

from avaffect.core.errors import UsageError
from avaffect.settings.base import Labelled, Rated, option
from avaffect.settings.class_balance import BalanceOptions
from avaffect.settings.label_losses import FOCAL, spelled_losses


@dataclass(frozen=True, kw_only=True)
class LearnedLabels(Labelled, Rated, BalanceOptions):
    """Raises UsageError for a label that is named twice, --focal-gamma without its loss, and as
    `spelled_losses` does."""

    label: tuple[str, ...] = option(  # type: ignore[assignment]
        ("emotion",), "Name of the label: a class, a distribution (rater votes), a scalar or a "
        "trace. Several, of any kind, are trained together. Repeatable.", "--label",
        metavar="NAME",
    )  # fmt: skip
    loss: tuple[str, ...] = option(
        (), "Losses and their weights. Class: ce (cross-entropy), focal. Distribution: kl, ce, "
        "focal. Scalar: ccc (1 - CCC), mse, mae. Trace: ccc, mse, mae, kl (of the order within a "
        "recording), ce (over 20 bins), ncce (cost-sensitive, over 20 clusters). Or a loss of "
        "another package. LABEL: limits them to one label. Default: the first, with weight 1; kl "
        "with --head highlight. Repeatable.", "--loss",
        metavar="[LABEL:]LOSS=W,...",
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

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.label:
            if self.label.count(name) > 1:
                raise UsageError(f"--label {name} is given twice; name each label once")
        said = spelled_losses(self.loss, self.label)
        if self.focal_gamma is not None and not any(FOCAL in losses for losses in said.values()):
            raise UsageError("--focal-gamma goes with --loss focal=W")
