"""Settings of `augment-noise`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Resumable, Seeded, ShardedLater, argument, option


@dataclass(frozen=True, kw_only=True)
class AugmentNoiseSettings(Resumable, ShardedLater, Seeded):
    """Adds a segment of a noise recording to each utterance at a signal-to-noise ratio (SNR). The
    segment depends on the seed and the utterance's id alone: it is the same at every ratio. Faces,
    labels and metadata are copied."""

    examples: ClassVar[str] = """
    # Babble of 6 speakers at 5 dB
    avaffect augment-noise cremad.h5 --noise cremad.h5 --babble 6 --snr 5 \\
      --audio-only -o noisy5.h5
    # Noise of several kinds, for training
    avaffect augment-noise media.h5 --noise musan/noise --noise pink.wav \\
      --snr-range 0 20 -o noisy.h5
    """

    media: Path = argument("A media store.", metavar="MEDIA.h5")
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    noise: tuple[Path, ...] = option(
        MISSING,
        "Noise: a recording, a folder of recordings, or a media store. Repeatable.",
        "--noise",
        role="input",
        metavar="FILE|DIR|NOISE.h5",
    )
    snr: float | None = option(
        None, "SNR of every utterance in dB.", "--snr", metavar="DB", at_least=-200, at_most=200
    )
    snr_range: tuple[float, float] | None = option(
        None,
        "Range in dB from which the SNR of each utterance is drawn.",
        "--snr-range",
        metavar="LOW HIGH",
        at_least=-200,
        at_most=200,
    )
    babble: int = option(
        1,
        "Number of noise recordings that are summed at equal power.",
        "--babble",
        metavar="N",
        at_least=1,
    )
    audio_only: bool = option(
        False, "Write the audio alone, without faces and other streams.", "--audio-only"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.range_db
        if low > high:
            raise UsageError(f"--snr-range {low:g} {high:g}: the lower number comes first")

    @property
    def range_db(self) -> tuple[float, float]:
        """The lowest and the highest ratio; UsageError unless one option says it."""
        if self.snr is not None and self.snr_range is None:
            return self.snr, self.snr
        if self.snr_range is not None and self.snr is None:
            return self.snr_range
        raise UsageError("give either --snr DB or --snr-range LOW HIGH")
