"""Decoding video with PyAV (FFmpeg): any container or codec to a constant frame rate.

Time: second 0 is the start of the container (of its earliest track), as for audio. Output frame t
is the source frame nearest to t / fps, for constant and variable rates; it is None if there is no
source frame within HOLD_S. See `clock` for faults of time stamps.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from avaffect.data.decoding.audio import TOLERANCE_S, UNSEEKABLE, check_damage, sought_to
from avaffect.data.decoding.clock import PictureClock
from avaffect.data.decoding.declared import declared_end
from avaffect.data.decoding.display import Display, Displays
from avaffect.data.decoding.repeats import PicturePackets
from avaffect.data.decoding.timeline import Timeline
from avaffect.data.decoding.tracks import opened_for, video_track
from avaffect.data.decoding.unusable import MOST_FILLED_S, Unusable, check_file

# Longest time before and after its time stamp for which a picture is used.
HOLD_S = 0.5
# Decoding starts at a key frame before the utterance: for later starts a seek saves time.
SEEK_FROM_S = 5.0
# The last picture may be this many intervals earlier than its container declares.
LATE_FRAMES = 2.5
DEFAULT_INTERVAL_S = 0.04
# Formats whose first plane is 8-bit luma.
LUMA_FIRST = re.compile(r"(yuvj?4\d\dp|yuva4\d\dp|nv\d\d|gray)$")
# Limited range (16..235) to full range.
EXPAND = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


class Picture:
    """A decoded frame as it is displayed."""

    def __init__(self, frame: av.VideoFrame, display: Display) -> None:
        self._frame, self._display = frame, display
        self._luma: np.ndarray | None = None
        self._rgb: np.ndarray | None = None
        self.limited = False

    @property
    def luma(self) -> np.ndarray:
        """(H, W) uint8: the decoder's own plane if it has one, without a copy; see `limited`."""
        if self._luma is None:
            self._luma = self._display.of(self._read_luma())
        return self._luma

    def grey(self, part: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """A part of `luma`, or an array made from it, in the full range of 0..255. out: array for
        the result, which may be `part`."""
        return cv2.LUT(part, EXPAND, out) if self.limited else part

    @property
    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        if self._rgb is None:
            self._rgb = self._display.of(self._frame.to_ndarray(format="rgb24"))
        return self._rgb

    def _read_luma(self) -> np.ndarray:
        frame = self._frame
        ranges = _limited_ranges(frame.format.name)
        if ranges is None:
            frame = frame.reformat(format="gray")
        else:
            self.limited = int(frame.color_range) in ranges
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: frame.height, : frame.width]


@functools.cache
def _limited_ranges(name: str) -> tuple[int, ...] | None:
    """FFmpeg's numbers of colour ranges (0 unspecified, 1 limited, 2 full) that mean a limited
    range in a pixel format; None if its first plane is not 8-bit luma."""
    if not LUMA_FIRST.match(name):
        return None
    if name.startswith("yuvj"):
        return ()
    return (1,) if name == "gray" else (0, 1)


@dataclass
class VideoCounts:
    """Counts of decoded pictures, final after the last picture.

    shown        output frames
    dropped      source frames within the utterance that are in no output frame
    duplicated   output frames with the same source frame as the one before
    damaged      skipped packets
    notes        remarks on the decoding for the user
    """

    shown: int = 0
    dropped: int = 0
    duplicated: int = 0
    damaged: int = 0
    notes: list[str] = field(default_factory=list)


def read_pictures(
    path: Path, fps: float, counts: VideoCounts, start_s: float | None = None,
    end_s: float | None = None, beside: Path | None = None,
) -> Iterator[Picture | None]:  # fmt: skip
    """The pictures of a recording at `fps`, in order; None for a missing picture. Fills `counts`.

    start_s, end_s: the utterance, in seconds of the recording; by default all of it. beside: an
    audio file with the same second 0; see `Timeline`.

    Raises, before the first picture or after the last, Unusable: missing, unreadable, no picture,
    empty, damaged, truncated or outside; and MachineFault, as `decode_audio` does.
    """
    check_file(path)
    if start_s is not None and end_s is not None and end_s <= start_s:
        raise Unusable("empty", f"it ends at {end_s:g} s and starts at {start_s:g} s")
    with opened_for("video", path) as container:
        stream = video_track(container)
        yield from _read(path, container, stream, fps, counts, start_s or 0.0, end_s, beside)


def _read(
    path: Path, container: Any, stream: Any, fps: float, counts: VideoCounts,
    start_s: float, end_s: float | None, beside: Path | None,
) -> Iterator[Picture | None]:  # fmt: skip
    zero_s = (container.start_time or 0) / av.time_base
    if start_s > SEEK_FROM_S and container.format.name not in UNSEEKABLE:
        sought_to(container, stream, zero_s + start_s)
    rate = stream.average_rate or stream.guessed_rate
    no_time = functools.partial(Timeline(path, beside).no_time, stream.index)
    clock = PictureClock(zero_s, 1 / float(rate) if rate else DEFAULT_INTERVAL_S, no_time)
    packets = PicturePackets(container, stream)
    displays = Displays(stream)
    sampler = _Sampler(fps, start_s, end_s, counts)
    for frame in packets:
        for again_s in packets.repeats(frame, clock):
            yield from sampler.stand(clock.place(again_s))
        yield from sampler.feed(frame, clock.place(frame.time), displays.of(frame))
        if sampler.full:
            break
    for again_s in () if sampler.full else packets.repeats(None, clock):
        yield from sampler.stand(clock.place(again_s))
    if not sampler.full:
        yield from sampler.finish(clock.end_s)
    counts.damaged = packets.damaged
    if displays.tilt:
        counts.notes.append(
            f"its display matrix deviates by {displays.tilt:.0f} degrees from a right angle: the "
            "pictures are rotated by the nearest right angle"
        )
    if not sampler.full:
        declared = declared_end(path, container, stream, zero_s)
        late = max(TOLERANCE_S, LATE_FRAMES * clock.interval_s)
        _check_end(counts, start_s, end_s, clock.reached_s, declared, late)
    check_damage(packets)


class _Sampler:
    """Selects the source frame of each output frame."""

    def __init__(
        self, fps: float, start_s: float, end_s: float | None, counts: VideoCounts
    ) -> None:
        self.fps, self.start_s, self.counts = fps, start_s, counts
        self.limit = None if end_s is None else max(round((end_s - start_s) * fps), 1)
        self._last: tuple[av.VideoFrame, float, Display] | None = None
        self._picture: Picture | None = None

    @property
    def full(self) -> bool:
        return self.limit is not None and self.counts.shown >= self.limit

    def feed(
        self, frame: av.VideoFrame, time_s: float, display: Display
    ) -> Iterator[Picture | None]:
        last = self._last
        if last is None:
            yield from self._blank(time_s - HOLD_S)
        else:
            yield from self._show(min((last[1] + time_s) / 2, last[1] + HOLD_S))
            yield from self._blank(time_s - HOLD_S)
            self._leave(last[1])
        self._last, self._picture = (frame, time_s, display), None

    def stand(self, time_s: float) -> Iterator[Picture | None]:
        """Repeat the last picture at another time."""
        if self._last is not None:
            frame, last_s, display = self._last
            yield from self._show(min((last_s + time_s) / 2, last_s + HOLD_S))
            yield from self._blank(time_s - HOLD_S)
            self._last = (frame, time_s, display)

    def finish(self, end_s: float) -> Iterator[Picture | None]:
        """Repeat the last picture until `end_s`."""
        if self._last is not None:
            # An output frame is within the video if its middle is.
            yield from self._show(end_s - 0.5 / self.fps, before=True)
            self._leave(self._last[1])

    def _leave(self, time_s: float) -> None:
        if self._picture is None and time_s >= self.start_s - 0.5 / self.fps and not self.full:
            self.counts.dropped += 1

    @property
    def _next_s(self) -> float:
        return self.start_s + self.counts.shown / self.fps

    def _check_length(self, until_s: float) -> None:
        """Raises Unusable where one picture, or none, stands for longer than any."""
        if self.limit is None and until_s - self._next_s > MOST_FILLED_S:
            hours = (until_s - self._next_s) / 3600
            raise Unusable("damaged", f"its time stamps have {hours:,.0f} h without a picture")

    def _show(self, until_s: float, before: bool = False) -> Iterator[Picture]:
        self._check_length(until_s)
        # Rounding must not decide between two frames at equal distance.
        until_s += -1e-6 if before else 1e-6
        while self._next_s <= until_s and not self.full:
            if self._picture is None:
                assert self._last is not None
                self._picture = Picture(self._last[0], self._last[2])
            else:
                self.counts.duplicated += 1
            self.counts.shown += 1
            yield self._picture

    def _blank(self, until_s: float) -> Iterator[None]:
        self._check_length(until_s)
        while self._next_s < until_s - 1e-6 and not self.full:
            self.counts.shown += 1
            yield None


def _check_end(
    counts: VideoCounts, start_s: float, end_s: float | None, reached: float,
    declared: float | None, late: float,
) -> None:  # fmt: skip
    """The pictures ended before the utterance: the file is truncated, or the utterance is
    outside."""
    wanted = declared if end_s is None else min(end_s, declared or end_s)
    if declared is not None and start_s < declared and reached < (wanted or 0.0) - late:
        raise Unusable(
            "truncated", f"only {reached:.2f} s of {declared:.2f} s of video are present"
        )
    if (end_s is not None and reached < end_s - late) or (start_s and not counts.shown):
        asked = f"{start_s:g} s to {'the end' if end_s is None else f'{end_s:g} s'}"
        raise Unusable("outside", f"it is {asked}; the video ends at {reached:.2f} s")
    if not counts.shown:
        raise Unusable("empty", "it contains no pictures")
