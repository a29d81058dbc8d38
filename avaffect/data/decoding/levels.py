"""Full scale of floating-point samples, and clipped samples.

Floats have full scale at 1, by convention alone: arrays of int16 values or of unit variance are
written to files too. `full_scale` tells by all samples of a recording, where more than
LEAST_SHARE of them lie beyond 1 or are whole numbers:

- whole numbers alone: the integers' full scale, 2^15, 2^23 or 2^31, the least that holds them;
- up to SLIGHT with less than LEAST_SHARE beyond 1: full scale is 1, and the few are clipped;
- from INTEGERS to 2^15: 2^15, integers that were filtered or resampled;
- else the largest sample: of unit variance, or louder than they should be.

A lossy decoder gives floats a little beyond 1 for loud sound. Its full scale is always 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

SLIGHT = 2.0
LEAST_SHARE = 0.001
INTEGERS = 128.0
INTEGER_SCALES = (2.0**15, 2.0**23, 2.0**31)
# At full scale, so many equal samples in a row were clipped. The steps of 8 bits are so large there
# that a smooth crest has some.
AT_FULL_SCALE = 1 - 2**-14
LEAST_RUN = 3
AT_COARSE_FULL_SCALE = 0.98
LEAST_COARSE_RUN = 6
# A ceiling below was made by clipping where so many runs meet it steeply: the samples before and
# after are lower by so much in all, as a share and in steps of 16 bits, which a smooth crest of
# three equal samples cannot be. One of two can, but in a tone it is always the same one.
LEAST_CEILING = 0.01
LEAST_STEEP = 4
STEEP_SHARE = 0.004
STEEP_STEPS = 8 / 2**15


def full_scale(blocks: Iterable[np.ndarray]) -> float:
    """What full scale is in a recording of floats that no lossy decoder made.

    blocks: all its samples, arrays of any shape.
    """
    peak, beyond, count, whole = 0.0, 0, 0, True
    for block in blocks:
        size = np.abs(block)
        peak = max(peak, float(size.max(initial=0.0)))
        beyond += int(np.count_nonzero(size > 1))
        count += block.size
        whole = whole and bool((block == np.rint(block)).all())
    if peak <= 1:
        return 1.0
    if whole and peak <= INTEGER_SCALES[-1]:
        return next(scale for scale in INTEGER_SCALES if peak <= scale)
    if beyond < LEAST_SHARE * count:
        return 1.0
    return INTEGER_SCALES[0] if INTEGERS <= peak <= INTEGER_SCALES[0] else peak


@dataclass
class _Ceiling:
    """The largest value of a channel on one side of zero, as a share of full scale; samples there;
    long runs of them; long runs that are met steeply; what lies around shorter ones that are."""

    value: float = 0.0
    samples: int = 0
    long: int = 0
    steep: int = 0
    around: set[float] = field(default_factory=set)

    def clipped(self, coarse: bool) -> int:
        if self.long and self.value >= (AT_COARSE_FULL_SCALE if coarse else AT_FULL_SCALE):
            return self.samples
        return self.samples if max(self.steep, len(self.around)) >= LEAST_STEEP else 0


@dataclass
class Clipping:
    """Counts samples that were clipped, block by block.

    lossless: whether the codec keeps samples as they are: else only those beyond full scale, or
    in runs at it, are known to be clipped.
    """

    lossless: bool
    _coarse: bool = False
    _ceilings: dict[tuple[int, int], _Ceiling] = field(default_factory=dict)
    _beyond: dict[int, int] = field(default_factory=dict)

    def look(self, block: np.ndarray, scale: float) -> None:
        """block: (C, n) as decoded: uint8, int16, int32 or float; scale: where full scale is."""
        self._coarse = coarse = block.dtype == np.uint8 or not self.lossless
        if block.dtype == np.uint8:
            block = block.astype(np.int16) - 128
        is_float = block.dtype.kind == "f"
        for number, channel in enumerate(block):
            if is_float:
                beyond = int(np.count_nonzero(np.abs(channel) > scale))
                self._beyond[number] = self._beyond.get(number, 0) + beyond
            if is_float and not self.lossless:
                continue
            for sign, extreme in ((1, channel.max()), (-1, channel.min())):
                value = sign * float(extreme) / scale
                ceiling = self._ceilings.setdefault((number, sign), _Ceiling())
                if value > ceiling.value:
                    ceiling = self._ceilings[number, sign] = _Ceiling(value)
                if value == ceiling.value and value >= LEAST_CEILING:
                    _count_runs(ceiling, channel, extreme, sign / scale, coarse)

    @property
    def samples(self) -> int:
        """Those of the channel that was clipped most."""
        counts = dict(self._beyond)
        runs: dict[int, int] = {}
        for (number, _), ceiling in self._ceilings.items():
            runs[number] = runs.get(number, 0) + ceiling.clipped(self._coarse)
        return max((max(counts.get(n, 0), runs.get(n, 0)) for n in {*counts, *runs}), default=0)


def _count_runs(
    ceiling: _Ceiling, channel: np.ndarray, extreme: np.generic, factor: float, coarse: bool
) -> None:
    """Runs of a block; one that goes on in the next block is counted as two."""
    edges = np.flatnonzero(np.diff(channel == extreme, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    ceiling.samples += int(lengths.sum())
    ceiling.long += int((lengths >= (LEAST_COARSE_RUN if coarse else LEAST_RUN)).sum())
    if coarse:
        return
    inside = (lengths > 1) & (starts > 0) & (ends < len(channel))
    around = channel[starts[inside] - 1].astype(float) + channel[ends[inside]]
    steep = 2 * ceiling.value - factor * around >= max(STEEP_STEPS, STEEP_SHARE * ceiling.value)
    ceiling.steep += int((steep & (lengths[inside] >= LEAST_RUN)).sum())
    if len(ceiling.around) < LEAST_STEEP:
        ceiling.around.update(around[steep].tolist())
