"""Settings of `pretrain-cpc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings
from avaffect.settings.training import learning_rate

CELLS = ("gru", "lstm")
SOURCES = ("clip", "batch")

TIED = (
    "--accumulate: negatives of the whole batch tie its utterances together; --negatives-from clip "
    "does not"
)


@dataclass(frozen=True, kw_only=True)
class PretrainCpcSettings(RecurrentPretrainingSettings):
    """Contrastive Predictive Coding (van den Oord et al. 2018): an audio encoder of samples
    discriminates the next frames from negatives."""

    examples: ClassVar[str] = """
    avaffect pretrain-cpc lrw.h5 -o cpc.safetensors
    # Negatives of the same clip: utterances are independent of each other
    avaffect pretrain-cpc lrw.h5 --negatives-from clip --accumulate 4 \\
      -o cpc-clip.safetensors
    avaffect extract cremad.h5 --model cpc.safetensors -o features.h5
    """

    output: Path = option(
        Path("cpc.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    ahead: int = option(12, "Number of frames to predict, of 10 ms each.", "--ahead", at_least=1)
    negatives: int = option(
        128, "Number of negatives per predicted frame.", "--negatives", at_least=1
    )
    negatives_from: str = option(
        "batch", "Source of the negatives: the same clip, or the whole batch.",
        "--negatives-from", choices=SOURCES,
    )  # fmt: skip
    cell: str | None = option(
        None, "Recurrent cell of a new encoder. Default: gru.", "--cell", choices=CELLS
    )
    learning_rate: float = learning_rate(2e-4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is not None and self.cell is not None:
            raise UsageError("--cell and --init exclude each other: --init has a cell")
        if self.init is None and self.cell is None:
            object.__setattr__(self, "cell", CELLS[0])
        if self.negatives_from == "batch" and self.accumulate > 1:
            raise UsageError(TIED)
