"""Settings of `pretrain-dino`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import ViewPretrainingSettings


@dataclass(frozen=True, kw_only=True)
class PretrainDinoSettings(ViewPretrainingSettings):
    """Self-distillation with no labels (DINO, Caron et al. 2021) on faces, as in SS-VAERR: of large
    and small crops of a clip an encoder says what a moving average of itself says of the large
    ones.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("dino.safetensors"), "The encoder.", "-o", "--output", role="output")
    outputs: int | None = option(
        None, "Numbers that the softmax is over; 4096 with preset base, 512 with nano.", "--outputs"
    )
    local_views: int = option(8, "Small crops of each clip, beside two large ones.",
                              "--local-views")  # fmt: skip
    student_temperature: float = option(
        0.1, "Of the softmax of the encoder.", "--student-temperature"
    )
    teacher_temperature: float = option(
        0.04, "Of the softmax of its moving average.", "--teacher-temperature"
    )
    centre_momentum: float = option(
        0.9, "Of the mean that is taken off the teacher's scores.", "--centre-momentum"
    )
    frozen_epochs: int = option(
        1, "Epochs before the last layer is trained, too.", "--frozen-epochs"
    )
    head_norm: bool = option(False, "Batch norm in the head: small corpora need it.", "--head-norm")
    weight_decay: float = option(0.04, "Decoupled weight decay.", "--weight-decay")
    clip: float = option(3.0, "Largest gradient norm; 0 for no clipping.", "--clip")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.outputs is not None and self.outputs < 2:
            raise UsageError(f"--outputs {self.outputs}: 2 at least")
        for name, least in (("local_views", 0), ("frozen_epochs", 0)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {getattr(self, name)}: {least} at least")
        for name in ("student_temperature", "teacher_temperature"):
            if not getattr(self, name) > 0:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {getattr(self, name):g}: it is above 0")
        if not 0 <= self.centre_momentum < 1:
            raise UsageError(f"--centre-momentum {self.centre_momentum:g}: 0 or more, below 1")
