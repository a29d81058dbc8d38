"""Settings of `pretrain-odd`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings

VARIANTS = ("clip", "group")
SHARE = 0.25
GROUP = 4
FEWEST_CLIPS = 2
"""Of a batch with --variant clip."""


@dataclass(frozen=True, kw_only=True)
class PretrainOddSettings(RecurrentPretrainingSettings):
    """Audio Odd-One-Out (Shukla et al. 2021): an audio encoder detects clips in which two
    windows were swapped."""

    examples: ClassVar[str] = """
    avaffect pretrain-odd lrw.h5 -o odd.safetensors
    # One jumbled clip among eight
    avaffect pretrain-odd lrw.h5 --variant group --group 8 -o odd8.safetensors
    avaffect extract cremad.h5 --model odd.safetensors -o features.h5
    """

    output: Path = option(
        Path("odd.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    variant: str = option(
        "clip",
        "Classification of each clip, or of the odd one in a group.",
        "--variant",
        choices=VARIANTS,
    )
    share: float | None = option(
        None,
        "Share of jumbled clips, with --variant clip. Default: 0.25.",
        "--share",
        above=0,
        below=1,
    )
    group: int | None = option(
        None, "Clips per group, with --variant group. Default: 4.", "--group", at_least=2
    )
    window: float = option(
        0.15, "Length of each window, as a share of the clip.", "--window", above=0, at_most=0.5
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant == "clip":
            self._check_clip()
        else:
            self._check_group()

    def _check_clip(self) -> None:
        if self.group is not None:
            raise UsageError("--group goes with --variant group")
        object.__setattr__(self, "share", SHARE if self.share is None else self.share)
        check_pairs(self.batch_utterances)

    def _check_group(self) -> None:
        if self.share is not None:
            raise UsageError("--share goes with --variant clip: one clip of each group is jumbled")
        group = GROUP if self.group is None else self.group
        object.__setattr__(self, "group", group)
        if group > self.batch_utterances:
            raise UsageError(
                f"--group {group}: a batch of --batch-utterances {self.batch_utterances} is smaller"
            )


def check_pairs(batch_utterances: int) -> None:
    """Raises UsageError where no batch can hold both a jumbled clip and an intact one."""
    if batch_utterances < FEWEST_CLIPS:
        raise UsageError(
            f"--batch-utterances {batch_utterances}: at least {FEWEST_CLIPS}, a jumbled clip and "
            "an intact one"
        )
