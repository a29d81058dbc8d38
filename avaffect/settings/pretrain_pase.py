"""Settings of `pretrain-pase`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings

WORKERS = ("waveform", "lps", "mfcc", "fbank", "prosody", "lim", "gim")


@dataclass(frozen=True, kw_only=True)
class PretrainPaseSettings(RecurrentPretrainingSettings):
    """PASE (Pascual et al. 2019): an encoder of samples gives frames from which small networks,
    the workers, tell waveform, spectra, cepstra, prosody, and what is of one utterance.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("pase.safetensors"), "The encoder.", "-o", "--output", role="output")
    without: tuple[str, ...] = option(
        (), "Leave a worker out; may be repeated.", "--without", choices=WORKERS
    )
    learning_rate: float = option(1e-3, "Peak learning rate.", "--learning-rate")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.workers:
            raise UsageError("--without: one worker at least has to stay")

    @property
    def workers(self) -> tuple[str, ...]:
        """Those that stay."""
        return tuple(name for name in WORKERS if name not in self.without)
