"""Settings of `pretrain-l1`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretrain_odd import check_pairs
from avaffect.settings.pretraining import RecurrentPretrainingSettings


@dataclass(frozen=True, kw_only=True)
class PretrainL1Settings(RecurrentPretrainingSettings):
    """Speech-driven face reconstruction (Shukla et al. 2021): an encoder of sound learns to move a
    still face as the film does. With --odd-weight it learns Odd-One-Out as well: L1 + Odd.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("l1.safetensors"), "The encoder.", "-o", "--output", role="output")
    pictures: int = option(1, "Random frames of each clip to reconstruct.", "--pictures")
    alpha: float = option(
        1.0, "Weight of the faces in the total; the paper's L1 + Odd has 0.67.", "--alpha"
    )
    odd_weight: float | None = option(
        None, "The same from the other side: weight of Odd-One-Out, 1 - alpha.", "--odd-weight"
    )
    preview: Path | None = option(
        None,
        "Afterwards, write films there: real faces beside reconstructed ones, and one still driven "
        "by several utterances.",
        "--preview",
        role="runtime",
        metavar="DIR",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.odd_weight is not None:
            # One number, whichever side it was given from: the runs are the same.
            alpha = round(1.0 - self.odd_weight, 12)
            if self.alpha not in (1.0, alpha):
                raise UsageError("--alpha and --odd-weight say the same thing: give one")
            object.__setattr__(self, "alpha", alpha)
            object.__setattr__(self, "odd_weight", None)
        if not 0 < self.alpha <= 1:
            raise UsageError("--alpha is above 0 and 1 at most, --odd-weight 0 or more and below 1")
        if self.pictures < 1:
            raise UsageError(f"--pictures {self.pictures}: 1 at least")
        if self.alpha < 1:
            check_pairs(self.batch_utterances)
        if self.preview is not None and self.steps == 0:
            raise UsageError("--preview: with --steps 0 nothing is learned that could be shown")
