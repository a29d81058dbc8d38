"""Settings of `pretrain-pase`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings
from avaffect.settings.training import learning_rate

WORKERS = ("waveform", "lps", "mfcc", "fbank", "prosody", "lim", "gim")


@dataclass(frozen=True, kw_only=True)
class PretrainPaseSettings(RecurrentPretrainingSettings):
    """PASE (Pascual et al. 2019): from the frames of an audio encoder of samples, small networks
    (workers) regress waveform, spectra, cepstra and prosody, and discriminate frames of the same
    utterance from others."""

    examples: ClassVar[str] = """
    avaffect pretrain-pase lrw.h5 -o pase.safetensors
    # Without a worker
    avaffect pretrain-pase lrw.h5 --without prosody -o no-prosody.safetensors
    avaffect extract cremad.h5 --model pase.safetensors -o features.h5
    """

    output: Path = option(
        Path("pase.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    without: tuple[str, ...] = option(
        (), "Worker to leave out. Repeatable.", "--without", choices=WORKERS
    )
    learning_rate: float = learning_rate(1e-3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.workers:
            raise UsageError("--without: leave at least one worker")

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers that are trained."""
        return tuple(name for name in WORKERS if name not in self.without)
