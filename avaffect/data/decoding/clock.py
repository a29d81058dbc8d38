"""Times of decoded audio and video: jitter, gaps, drift and broken time stamps.

Deviations of a time stamp up to GAP_S are rounding or jitter and are ignored; later stamps are
gaps. If stamps run backwards, or jump by more than LARGEST_GAP_S without agreement of the other
tracks, the clock is broken, and the following audio is joined without a gap.

The clock of a microphone may run slower or faster than that of the time stamps: the audio then has
more or fewer samples than the stamps span. It is stretched accordingly, in a phase-locked loop,
once the difference is DRIFT_S. Audio with exact stamps, or with jitter alone, is not changed.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import av

from avaffect.data.decoding.timeline import LARGEST_GAP_S

GAP_S = 0.04
# Lateness that slowly adds up to this is drift; a lost packet causes less.
DRIFT_S = 0.03
# Less lateness than this is ignored.
QUIET_S = 0.01
# Number of frames that must agree on a gap.
LATER = 8
# The median lateness of frames with this total duration is free of jitter.
LEVEL_S = 0.6
LEAST_FRAMES = 5
# Gain of the loop, critically damped: pace = 1 + rate + GAIN lateness, rate' = GAIN^2 / 4 lateness.
GAIN = 0.25
# A larger deviation is not drift.
LARGEST_RATE = 0.1
# Number of intervals between pictures from which the duration of a picture is estimated.
INTERVALS = 15

# A jump of time stamps, from and to in seconds of the container -> the seconds of it without time.
NoTime = Callable[[float, float], float]


def never_time(from_s: float, to_s: float) -> float:
    """Treat every long jump as a fault of the clock."""
    return to_s - from_s


class AudioClock:
    """Times of decoded audio frames.

    zero_s: time stamp of second 0; position_s: time of the next frame, None if its stamp decides.
    pace: duration of a frame over that of its samples, exactly 1.0 without drift.
    """

    def __init__(
        self, zero_s: float, position_s: float | None, no_time: NoTime = never_time
    ) -> None:
        self.zero_s, self.position_s, self._no_time = zero_s, position_s, no_time
        self.pace = 1.0
        self._shift_s = self._rate = 0.0
        self._drifts = False
        self._restart()

    @property
    def reached_s(self) -> float:
        """End of the audio, also by the raw time stamps, on which a container's duration is
        based."""
        return (self.position_s or 0.0) - min(self._shift_s, 0.0)

    def place(
        self, frame: av.AudioFrame, later: Sequence[av.AudioFrame] = ()
    ) -> tuple[bool | None, float]:
        """Whether a gap precedes this frame (None for the first frame), and the frame's time.
        Advances the clock and sets `pace` for the frame.

        later: some of the following frames; a step of the time stamps that they reverse is jitter.
        """
        stamp = None if frame.time is None else frame.time - self.zero_s + self._shift_s
        first = self.position_s is None
        here = (stamp or 0.0) if self.position_s is None else self.position_s
        seconds = frame.samples / frame.sample_rate
        gap = False
        if stamp is not None:
            late = stamp - here
            if self._steps(here, [frame, *later] if abs(late) > GAP_S else [frame]):
                late = self._jump(here, late)
                gap = late > GAP_S
                here += late if gap else 0.0
                self._restart()
            else:
                self._follow(late, seconds)
        self.position_s = here + seconds * self.pace
        return (None if first else gap), here

    def _steps(self, here: float, frames: Sequence[av.AudioFrame]) -> bool:
        """Whether the first of some frames, and all that follow, deviate from `here`."""
        late = []
        for frame in frames:
            if frame.time is not None:
                late.append(frame.time - self.zero_s + self._shift_s - here)
            here += frame.samples / frame.sample_rate
        # Both conditions, as earlier lateness is drift.
        return (min(late) > GAP_S and min(late) - self._level > GAP_S) or (
            max(late) < -GAP_S and max(late) - self._level < -GAP_S
        )

    def _jump(self, here: float, late: float) -> float:
        """The lateness of a frame without the time that a faulty clock adds."""
        cut = min(late, 0.0)
        if late > LARGEST_GAP_S:
            raw = self.zero_s - self._shift_s + here
            cut = self._no_time(raw, raw + late)
        self._shift_s -= cut
        return late - cut

    def _restart(self) -> None:
        self._late: deque[tuple[float, float]] = deque()
        self._span_s = self._level = self._since_s = 0.0
        self._base: float | None = None

    def _follow(self, late: float, seconds: float) -> None:
        """Update the loop with the lateness of a frame of `seconds`."""
        self._late.append((late, seconds))
        self._span_s += seconds
        self._since_s += seconds
        while len(self._late) > LEAST_FRAMES and self._span_s - self._late[0][1] >= LEVEL_S:
            self._span_s -= self._late.popleft()[1]
        # A median for each frame would cost more than decoding it.
        quiet = abs(late) <= QUIET_S and not self._drifts
        self._level = 0.0 if quiet else statistics.median([value for value, _ in self._late])
        if len(self._late) < LEAST_FRAMES or self._span_s < LEVEL_S:
            return
        if self._base is None:
            self._base, self._since_s = self._level, 0.0
        if not self._drifts and abs(self._level - self._base) > DRIFT_S:
            self._drifts = self._is_drift(self._base)
        if self._drifts:
            self._rate = _within(self._rate + GAIN**2 / 4 * self._level * seconds)
            self.pace = 1 + _within(self._rate + GAIN * self._level)

    def _is_drift(self, base: float) -> bool:
        """Whether the median lateness moved by more than jitter can move it; if so, set the
        rate."""
        moved = self._level - base
        jitter = statistics.median(abs(value - self._level) for value, _ in self._late)
        self._rate = _within(moved / max(self._since_s, LEVEL_S))
        return abs(moved) > DRIFT_S + jitter


def with_later(frames: Iterable[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Each frame with the next LATER frames, fewer at the end."""
    waiting: deque[Any] = deque()
    for frame in frames:
        waiting.append(frame)
        if len(waiting) > LATER:
            yield waiting.popleft(), list(waiting)
    while waiting:
        yield waiting.popleft(), list(waiting)


def _within(rate: float) -> float:
    return min(max(rate, -LARGEST_RATE), LARGEST_RATE)


class PictureClock:
    """Times of decoded pictures.

    zero_s: time stamp of second 0; interval_s: duration of a picture until two are decoded.
    """

    def __init__(self, zero_s: float, interval_s: float, no_time: NoTime = never_time) -> None:
        self.zero_s, self._declared_s, self._no_time = zero_s, interval_s, no_time
        self._last_s: float | None = None
        self._shift_s = 0.0
        self._intervals: deque[float] = deque(maxlen=INTERVALS)

    @property
    def interval_s(self) -> float:
        """Duration of a picture, by the last ones: the mean that a container declares is wrong if
        its clock jumps."""
        return statistics.median_low(self._intervals) if self._intervals else self._declared_s

    def place(self, time_s: float | None) -> float:
        """The time of a picture whose time stamp is `time_s`; advances the clock."""
        last = self._last_s
        stamp = self.end_s if time_s is None else time_s - self.zero_s + self._shift_s
        if last is not None and not -GAP_S <= stamp - last <= LARGEST_GAP_S:
            stamp -= self._broken(stamp)
        elif last is not None and stamp > last:
            self._intervals.append(stamp - last)
        self._last_s = stamp if last is None else max(stamp, last)
        return self._last_s

    def _broken(self, stamp: float) -> float:
        """Seconds of the step to a stamp that a faulty clock adds."""
        cut = stamp - self.end_s
        if cut > 0:
            raw = self.zero_s - self._shift_s
            cut = self._no_time(raw + self.end_s, raw + stamp)
        self._shift_s -= cut
        return cut

    @property
    def end_s(self) -> float:
        return 0.0 if self._last_s is None else self._last_s + self.interval_s

    @property
    def reached_s(self) -> float:
        """`end_s`, also by the raw time stamps, on which a container's duration is based."""
        return self.end_s - min(self._shift_s, 0.0)
