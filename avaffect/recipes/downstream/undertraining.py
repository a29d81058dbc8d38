"""Warnings for runs that were too short or learned nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.settings.encoder_training import LORA
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training.ending import own_lines

LONGER, FASTER = 4, 10
# Higher rates are not proposed.
HIGHEST_HEAD_RATE, HIGHEST_RATE = 1e-2, 1e-3


def ended(
    history: Path, tags: Mapping[str, Any], train: Labels, kept_last: bool
) -> dict[str, float]:
    """The end of one run on its training part, for its metrics: falling, chance (1 or 0) and
    epochs.

    kept_last: no earlier epoch was selected; where one was, longer training does not help.
    """
    lines = own_lines(history, tags)
    if not lines:
        return {}
    falling, chance = train.ended(lines)
    return {
        "falling": float(falling and kept_last),
        "chance": float(chance),
        "epochs": float(lines[-1]["epoch"] + 1),
    }


def warn(
    settings: FinetuneSettings,
    runs: Sequence[Mapping[str, Mapping[str, float]]],
    progress: Progress,
) -> None:
    """Warn of runs, by their metrics, that never left chance on their training part, or whose loss
    was still falling."""
    endings = [run.get("training", {}) for run in runs]
    for kind, words in (
        ("chance", "the predictions of the training part itself never left chance"),
        ("falling", "the loss was still falling when training ended"),
    ):
        count = sum(bool(ending.get(kind)) for ending in endings)
        if count:
            some = "" if len(runs) == 1 else f"in {count} of {count_of(len(runs), 'run')} "
            epochs = max(int(ending.get("epochs", 0)) for ending in endings)
            cure = " or ".join(_remedies(settings, epochs, kind))
            last = "; if nothing helps, these inputs do not show the label" * (kind == "chance")
            progress.warn(f"{some}{words}: try {cure}{last}")


def _remedies(settings: FinetuneSettings, epochs: int, kind: str) -> list[str]:
    """Options and values, with their present values."""
    if settings.steps is not None:
        found = [f"--steps {LONGER * settings.steps} (now {settings.steps})"]
    else:
        found = [f"--epochs {LONGER * epochs} (now {epochs})"]
    rates = {"head-learning-rate": (settings.head_learning_rate, HIGHEST_HEAD_RATE)}
    if settings.mode != "frozen":
        rates["learning-rate"] = settings.learning_rate, HIGHEST_RATE
    for name, (rate, highest) in rates.items():
        if rate is not None and rate < highest:
            found.append(f"--{name} {min(FASTER * rate, highest):g} (now {rate:g})")
    if kind == "chance" and settings.mode in ("fine-tuned", LORA):
        found.append("--mode frozen")
    return found
