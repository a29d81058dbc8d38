"""Rows on an even grid of time: their places, the rate, and gaps between them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from avaffect.core.errors import DataError

# Times with more steps than this are no times; float64 does not tell them apart.
_MOST_STEPS = 2.0**50
# Distance of a row from its place, in steps, that needs no warning: files round times.
UNEVEN = 0.1
# A row farther away could belong to the next place.
TOO_FAR = 0.5
# Usual rates of cameras and front-ends, where times are rounded: whole numbers, and NTSC's.
NTSC = (24000 / 1001, 30000 / 1001, 60000 / 1001)
ROUNDED = 5e-4
# Two utterances whose rates differ by a larger share come from different settings, ...
APART = 0.01
# ... if they differ by so many steps at their end: short ones are too imprecise.
STEPS_APART = 1.0


@dataclass(frozen=True)
class Grid:
    """positions: (T,) int64 steps from the first row on, strictly rising; step: between places, in
    the unit of the times, NaN of fewer than two rows; worst: the largest distance of a row from its
    place, in steps, infinite where no grid can be fitted."""

    positions: np.ndarray
    step: float
    worst: float


def grid_of(times: np.ndarray) -> Grid:
    """The even grid of times (T,), which strictly rise.

    Its step is fitted to all of them: times that are rounded to milliseconds do not drift.
    """
    if len(times) < 2:
        return Grid(np.zeros(len(times), dtype=np.int64), np.nan, 0.0)
    between = np.diff(times)
    # A short distance between rows is one step, whatever the gaps; the shortest may be jitter.
    step, start = float(np.sort(between)[(len(between) - 1) // 4]), float(times[0])
    for _ in range(2):
        if not (times[-1] - start) < _MOST_STEPS * step:
            return Grid(np.arange(len(times)), step, np.inf)
        steps = np.maximum(np.rint(between / step), 1).astype(np.int64)
        positions = np.concatenate([[0], np.cumsum(steps)])
        step, start = _line(positions, times)
    worst = np.abs(times - start - step * positions).max() / step
    return Grid(positions, step, float(worst))


def _line(positions: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the straight line through the times, by least squares."""
    centred = positions - positions.mean()
    slope = float(centred @ (times - times.mean()) / (centred @ centred))
    return slope, float(times.mean() - slope * positions.mean())


def filled(values: np.ndarray, positions: np.ndarray, count: int) -> np.ndarray:
    """(count, D): rows (T, D) at their positions, with linear interpolation between them; before
    the first and after the last the row itself."""
    places = np.arange(count)
    after = np.minimum(np.searchsorted(positions, places), len(positions) - 1)
    before = np.maximum(np.searchsorted(positions, places, side="right") - 1, 0)
    span = positions[after] - positions[before]
    share = np.divide(places - positions[before], span, out=np.zeros(count), where=span > 0)
    # The difference of two large numbers may be more than float32 holds.
    rise = values[after].astype(np.float64) - values[before]
    return (values[before] + share[:, None] * rise).astype(values.dtype)


@dataclass
class Rates:
    """The rates of utterances, each by its own times.

    names: of those with more than one row; steps, seconds: from their first row to the last.
    """

    names: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, name: str, grid: Grid) -> None:
        """Record an utterance; grid: of its times in seconds."""
        if len(grid.positions) > 1:
            last = int(grid.positions[-1])
            self.names.append(name)
            self.steps.append(last)
            self.seconds.append(last * grid.step)

    def common(self) -> float | None:
        """The rate of all in Hz, None where no utterance has two rows.

        Raises DataError where an utterance has another rate.
        """
        if not self.names:
            return None
        steps, seconds = np.array(self.steps, dtype=np.float64), np.array(self.seconds)
        # The median, which a few other rates do not change.
        longest = steps >= np.median(steps)
        rate = _usual(float(np.median(steps[longest] / seconds[longest])))
        off = np.abs(seconds * rate - steps)
        other = np.flatnonzero((off > STEPS_APART) & (off > APART * steps))
        if len(other):
            worst = int(other[0])
            raise DataError(
                f"{self.names[worst]} has {steps[worst] / seconds[worst]:.4g} rows a second, most "
                f"have {rate:g} ({len(other)} of {len(steps)} differ); import them apart, or "
                "resample them"
            )
        return rate


def _usual(rate: float) -> float:
    """The usual rate that rounded times stand for, else the rate itself."""
    near = min((*NTSC, float(max(round(rate), 1))), key=lambda usual: abs(usual - rate))
    return float(f"{near if abs(near - rate) < ROUNDED * rate else rate:.6g}")
