"""Settings of `pretrain-cpc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings

CELLS = ("gru", "lstm")
SOURCES = ("clip", "batch")

TIED = (
    "{}: negatives of the whole batch tie its utterances together; --negatives-from clip does not"
)


@dataclass(frozen=True, kw_only=True)
class PretrainCpcSettings(RecurrentPretrainingSettings):
    """Contrastive Predictive Coding (van den Oord et al. 2018): an encoder of samples learns to
    tell the frames that will come from frames that will not.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("cpc.safetensors"), "The encoder.", "-o", "--output", role="output")
    ahead: int = option(12, "Frames of 10 ms that are foretold, one after another.", "--ahead")
    negatives: int = option(128, "Other frames that each is to be told from.", "--negatives")
    negatives_from: str = option(
        "batch", "Whose frames these are: of the same clip, or of the whole batch.",
        "--negatives-from", choices=SOURCES,
    )  # fmt: skip
    cell: str | None = option(
        None, "Recurrence of a new encoder; gru by default.", "--cell", choices=CELLS
    )
    learning_rate: float = option(2e-4, "Peak learning rate.", "--learning-rate")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("ahead", "negatives"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} {getattr(self, name)}: 1 at least")
        if self.init is not None and self.cell is not None:
            raise UsageError("--cell is for a new encoder: --init has its own")
        if self.init is None and self.cell is None:
            object.__setattr__(self, "cell", CELLS[0])
        if self.negatives_from == "batch" and self.accumulate > 1:
            raise UsageError(TIED.format("--accumulate"))
