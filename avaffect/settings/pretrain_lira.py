"""Settings of `pretrain-lira`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import VisualPretrainingSettings


@dataclass(frozen=True, kw_only=True)
class PretrainLiraSettings(VisualPretrainingSettings):
    """LiRA (Ma et al. 2021), as in SS-VAERR: an encoder of faces, with a conformer on it, learns to
    tell the sound that goes with them.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("lira.safetensors"), "The encoder.", "-o", "--output", role="output")
    blocks: int = option(6, "Blocks of the conformer.", "--blocks")
    weight_decay: float = option(1e-4, "Decoupled weight decay.", "--weight-decay")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks < 1:
            raise UsageError(f"--blocks {self.blocks}: 1 at least")
