"""Settings of `pretrain-byol`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import ViewPretrainingSettings


@dataclass(frozen=True, kw_only=True)
class PretrainByolSettings(ViewPretrainingSettings):
    """Bootstrap your own latent (Grill et al. 2020) on faces, as in SS-VAERR: from one view of a
    clip an encoder foretells what a moving average of itself makes of another.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("byol.safetensors"), "The encoder.", "-o", "--output", role="output")
    smallest_crop: float = option(
        0.08, "Share of the picture that the smallest crop covers.", "--smallest-crop"
    )
    weight_decay: float = option(1e-4, "Decoupled weight decay.", "--weight-decay")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.smallest_crop <= 1:
            raise UsageError(f"--smallest-crop {self.smallest_crop:g}: above 0 and 1 at most")
