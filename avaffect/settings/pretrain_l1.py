"""Settings of `pretrain-l1`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretrain_odd import check_pairs
from avaffect.settings.pretraining import RecurrentPretrainingSettings


@dataclass(frozen=True, kw_only=True)
class PretrainL1Settings(RecurrentPretrainingSettings):
    """Speech-driven face reconstruction (Shukla et al. 2021): from the audio, an encoder and a
    decoder animate a still face as in the video. With --odd-weight the encoder is trained on
    Odd-One-Out as well: L1 + Odd."""

    examples: ClassVar[str] = """
    avaffect pretrain-l1 lrw.h5 --preview films -o l1.safetensors
    # L1 + Odd, weighted as in the paper
    avaffect pretrain-l1 lrw.h5 --alpha 0.67 -o l1-odd.safetensors
    avaffect extract cremad.h5 --model l1.safetensors -o features.h5
    """

    output: Path = option(
        Path("l1.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    pictures: int = option(
        1, "Number of random frames of each clip to reconstruct.", "--pictures", at_least=1
    )
    alpha: float = option(
        1.0,
        "Weight of the face reconstruction in the total loss; 0.67 in the paper's L1 + Odd.",
        "--alpha",
        above=0,
        at_most=1,
    )
    odd_weight: float | None = option(
        None,
        "Weight of Odd-One-Out, 1 - alpha, instead of --alpha.",
        "--odd-weight",
        at_least=0,
        below=1,
    )
    preview: Path | None = option(
        None,
        "Folder for videos of the result: real beside reconstructed faces, and one still animated "
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
                raise UsageError(
                    "--alpha and --odd-weight exclude each other: alpha is 1 - odd weight"
                )
            object.__setattr__(self, "alpha", alpha)
            object.__setattr__(self, "odd_weight", None)
        if self.alpha < 1:
            check_pairs(self.batch_utterances)
        if self.preview is not None and self.steps == 0:
            raise UsageError("--preview and --steps 0 exclude each other: nothing was trained")
