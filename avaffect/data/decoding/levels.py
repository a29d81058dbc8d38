"""Full scale of floating-point samples, and clipped samples.

Full scale of floats is 1 only by convention: files may contain int16 values, or samples of unit
variance. `full_scale` decides by all samples of a recording, if more than LEAST_SHARE of them are
beyond 1 or whole numbers:

- whole numbers alone: full scale of the integers, 2^15, 2^23 or 2^31, the smallest that fits;
- up to SLIGHT with less than LEAST_SHARE beyond 1: full scale is 1, and these few are clipped;
- from INTEGERS to 2^15: 2^15, for integers that were filtered or resampled;
- otherwise the largest sample, for samples of unit variance or excessive level.

A lossy decoder gives floats slightly beyond 1 for loud audio. Its full scale is always 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

SLIGHT = 2.0
LEAST_SHARE = 0.001
INTEGERS = 128.0
INTEGER_SCALES = (2.0**15, 2.0**23, 2.0**31)
# At full scale, this many equal samples in a row are clipped; more for 8 bits, whose large steps
# also occur at a smooth crest.
AT_FULL_SCALE = 1 - 2**-14
LEAST_RUN = 3
AT_COARSE_FULL_SCALE = 0.98
LEAST_COARSE_RUN = 6
# A lower ceiling is due to clipping if this many runs reach it steeply: the sum of the steps before
# and after is at least this, as a share and in steps of 16 bits. A smooth crest of three equal
# samples cannot be as steep. A crest of two can, but in a tone it is always the same.
LEAST_CEILING = 0.01
LEAST_STEEP = 4
STEEP_SHARE = 0.004
STEEP_STEPS = 8 / 2**15


def full_scale(blocks: Iterable[np.ndarray]) -> float:
    """Full scale of a recording of floats that are not from a lossy decoder.

    blocks: all its samples, in arrays of any shape.
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
    """The largest value of a channel on one side of zero, as a share of full scale; the number of
    samples there, of long runs of them, and of long steep runs; the samples around shorter steep
    runs."""

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
    """Counter of clipped samples, block by block.

    lossless: whether the codec keeps samples exactly; otherwise only samples beyond full scale, or
    in runs at it, are known to be clipped.
    """

    lossless: bool
    _coarse: bool = False
    _ceilings: dict[tuple[int, int], _Ceiling] = field(default_factory=dict)
    _beyond: dict[int, int] = field(default_factory=dict)

    def look(self, block: np.ndarray, scale: float) -> None:
        """Add a block (C, n) as decoded: uint8, int16, int32 or float; scale: full scale."""
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
        """The number in the channel with most clipped samples."""
        counts = dict(self._beyond)
        runs: dict[int, int] = {}
        for (number, _), ceiling in self._ceilings.items():
            runs[number] = runs.get(number, 0) + ceiling.clipped(self._coarse)
        return max((max(counts.get(n, 0), runs.get(n, 0)) for n in {*counts, *runs}), default=0)


def _count_runs(
    ceiling: _Ceiling, channel: np.ndarray, extreme: np.generic, factor: float, coarse: bool
) -> None:
    """Runs in a block; a run across two blocks counts as two."""
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
