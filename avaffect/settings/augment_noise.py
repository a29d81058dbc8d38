"""Settings of `augment-noise`."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import Seeded, argument, option


@dataclass(frozen=True, kw_only=True)
class AugmentNoiseSettings(Seeded):
    """Each utterance gets a piece of a noise recording at a signal-to-noise ratio: which piece is
    drawn by seed and id alone, so that it is the same at every ratio. Pictures, labels and all that
    is known of the utterances go along."""

    media: Path = argument("A media store.", metavar="MEDIA.h5")
    output: Path = option(MISSING, "The store to write.", "-o", "--output", role="output")
    noise: tuple[Path, ...] = option(
        MISSING,
        "Noise: a recording, a folder of recordings, or a store of sound.",
        "--noise",
        role="input",
        metavar="FILE|DIR|NOISE.h5",
    )
    snr: float | None = option(
        None, "Signal-to-noise ratio of every utterance, in dB.", "--snr", metavar="DB"
    )
    snr_range: tuple[float, float] | None = option(
        None, "Draw it between two, for each utterance.", "--snr-range", metavar="LOW HIGH"
    )
    babble: int = option(
        1, "The noise is the sum of so many recordings, all equally loud.", "--babble", metavar="N"
    )
    audio_only: bool = option(
        False, "Write the sound alone, without faces and other streams.", "--audio-only"
    )

    def __post_init__(self) -> None:
        low, high = self.range_db
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise UsageError(f"--snr-range {low:g} {high:g}: the lower number comes first")
        if abs(low) > 200 or abs(high) > 200:
            raise UsageError("--snr, --snr-range: decibels between -200 and 200")
        if self.babble < 1:
            raise UsageError(f"--babble {self.babble}: 1 at least")

    @property
    def range_db(self) -> tuple[float, float]:
        """The lowest and the highest ratio; UsageError unless one option says it."""
        if self.snr is not None and self.snr_range is None:
            return self.snr, self.snr
        if self.snr_range is not None and self.snr is None:
            return self.snr_range
        raise UsageError("give either --snr DB or --snr-range LOW HIGH")
