"""Settings of `pretrain-odd`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings

VARIANTS = ("clip", "group")


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
    share: float = option(0.25, "Share of jumbled clips, with --variant clip.", "--share")
    group: int = option(4, "Clips of a group, with --variant group.", "--group")
    window: float = option(0.15, "Length of each window, as a share of the clip.", "--window")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share < 1:
            raise UsageError(f"--share {self.share}: between 0 and 1, neither of them")
        if not 0 < self.window <= 0.5:
            raise UsageError(f"--window {self.window}: above 0, and two must fit: 0.5 at most")
        if self.group < 2:
            raise UsageError(f"--group {self.group}: 2 at least")
