"""Settings of `predict`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Batched, argument, option
from avaffect.settings.windows import check_windows


@dataclass(frozen=True, kw_only=True)
class PredictSettings(Batched):
    """Applies a classifier of `finetune` to a store. A classifier of several runs gives one item
    per run and utterance; one of folds predicts each fold by the run that did not see it."""

    media: tuple[Path, ...] = argument("Media stores.", metavar="MEDIA.h5")
    model: Path = option(
        MISSING, "The classifier.", "--model", role="input", metavar="ER.safetensors"
    )
    split: str | None = option(None, "Predict this split alone.", "--split")
    annotations: Path | None = option(
        None, "Manifest whose labels, splits and folds stand over those in the store, by id.",
        "--annotations", role="input", metavar="M.jsonl",
    )  # fmt: skip
    window: float | None = option(
        None, "Traces of recordings longer than this are predicted in windows of so many seconds; "
        "as in finetune unless said.", "--window", metavar="SECONDS",
    )  # fmt: skip
    step: float | None = option(
        None, "Seconds from one window to the next; half a window unless said.", "--step",
        metavar="SECONDS",
    )  # fmt: skip
    mask_absent: bool = option(
        False, "Traces are NaN where there was no face to see.", "--mask-absent"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_windows(self.window, self.step)
