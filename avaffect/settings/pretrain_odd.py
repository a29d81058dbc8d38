"""Settings of `pretrain-odd`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    """Audio Odd-One-Out (Shukla et al. 2021): an encoder of sound learns to tell clips in which two
    windows have changed places.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("odd.safetensors"), "The encoder.", "-o", "--output", role="output")
    variant: str = option(
        "clip", "Each clip by itself, or the odd one of a group.", "--variant", choices=VARIANTS
    )
    share: float | None = option(
        None, "Share of jumbled clips, with --variant clip; 0.25 by default.", "--share"
    )
    group: int | None = option(
        None, "Clips of a group, with --variant group; 4 by default.", "--group"
    )
    window: float = option(0.15, "Length of each window, as a share of the clip.", "--window")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant == "clip":
            self._check_clip()
        else:
            self._check_group()
        if not 0 < self.window <= 0.5:
            raise UsageError(f"--window {self.window}: above 0, and two must fit: 0.5 at most")

    def _check_clip(self) -> None:
        if self.group is not None:
            raise UsageError("--group goes with --variant group")
        object.__setattr__(self, "share", SHARE if self.share is None else self.share)
        if not 0 < self.share < 1:
            raise UsageError(f"--share {self.share}: between 0 and 1, neither of them")
        check_pairs(self.batch_utterances)

    def _check_group(self) -> None:
        if self.share is not None:
            raise UsageError("--share goes with --variant clip: one clip of each group is jumbled")
        object.__setattr__(self, "group", GROUP if self.group is None else self.group)
        if self.group < 2:
            raise UsageError(f"--group {self.group}: 2 at least")
        if self.group > self.batch_utterances:
            raise UsageError(
                f"--group {self.group}: a batch of --batch-utterances {self.batch_utterances} "
                "holds no such group"
            )


def check_pairs(batch_utterances: int) -> None:
    """Raises UsageError where no batch can hold both a jumbled clip and an intact one."""
    if batch_utterances < FEWEST_CLIPS:
        raise UsageError(
            f"--batch-utterances {batch_utterances}: {FEWEST_CLIPS} at least, a jumbled clip and "
            "an intact one"
        )
