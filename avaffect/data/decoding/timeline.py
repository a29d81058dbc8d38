"""Classification of jumps of time stamps: a pause of the track, or a fault of the clock.

A track may pause for minutes while others continue: a camera is switched off in a call, a
microphone is muted or joins late. A time without data in any track is not part of the recording:
the clock was set, or the recording was paused; the parts before and after are joined. If a jump
leads away from the end of the other tracks, the stamps of this track are wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from avaffect.data.decoding.tracks import STILLS, demuxed
from avaffect.data.decoding.unusable import Unusable, check_file, opened

# Longer jumps of a time stamp must agree with the other tracks.
LARGEST_GAP_S = 60.0
# Longest duration of a packet: before a pause some containers declare the pause as its duration.
LONGEST_PACKET_S = 1.0

Span = tuple[float, float]
# Spans of each track, by index; of tracks of the other file by -1 - index.
Tracks = dict[int, list[Span]]


class Timeline:
    """The spans of time that each track of a recording covers, by its time stamps. They are read
    from the packets, without decoding, at the first query.

    beside: another file with the same second 0, whose tracks count too.
    """

    def __init__(self, path: Path, beside: Path | None = None) -> None:
        self._path, self._beside = path, beside
        self._tracks: dict[int, list[Span]] | None = None

    def no_time(self, index: int, from_s: float, to_s: float) -> float:
        """Seconds of a jump of track `index` that are not part of the recording: all, a part, or 0.

        from_s, to_s: time stamps before and after the jump, as in the container.
        """
        if self._tracks is None:
            self._tracks, zero_s = _read(self._path)
            self._add_beside(self._tracks, zero_s)
        jump = to_s - from_s
        everything = _merged(span for spans in self._tracks.values() for span in spans)
        holes = sum(
            max(min(after[0], to_s) - max(before[1], from_s), 0.0)
            for before, after in pairwise(everything)
        )
        if jump - holes > LARGEST_GAP_S and not self._agrees(self._tracks, index, everything):
            return jump
        return min(holes, jump)

    def _add_beside(self, tracks: Tracks, zero_s: float) -> None:
        if self._beside is None or self._beside == self._path:
            return
        # Its faults are reported when it is decoded itself.
        with contextlib.suppress(Unusable):
            check_file(self._beside)
            others, start_s = _read(self._beside)
            for index, spans in others.items():
                moved = [(start + zero_s - start_s, end + zero_s - start_s) for start, end in spans]
                tracks[-1 - index] = moved

    def _agrees(self, tracks: Tracks, index: int, everything: list[Span]) -> bool:
        """Whether the end of a track is nearer to those of others with its jumps than without."""
        own = tracks.get(index, [])
        others = [spans for other, spans in tracks.items() if other != index and spans]
        if not own or not others:
            return False
        ends = max(_without_holes(spans[-1][1], everything) for spans in others)
        spans = _merged(own)
        starts = [everything[0][0], *(end for _, end in spans)]
        jumps = [
            _without_holes(start, everything) - _without_holes(before, everything)
            for before, (start, _) in zip(starts, spans)
        ]
        end = _without_holes(spans[-1][1], everything)
        joined = end - sum(jump for jump in jumps if jump > LARGEST_GAP_S)
        return abs(end - ends) <= abs(joined - ends)


def _without_holes(time_s: float, everything: list[Span]) -> float:
    """A time without the spans that no track covers."""
    return time_s - sum(
        max(min(after[0], time_s) - before[1], 0.0) for before, after in pairwise(everything)
    )


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order; those within LARGEST_GAP_S of each other are merged."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start - merged[-1][1] <= LARGEST_GAP_S:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _read(path: Path) -> tuple[dict[int, list[Span]], float]:
    """The spans of each track by its index, and second 0, in the container's time stamps."""
    tracks: dict[int, list[Span]] = {}
    with opened(path) as container:
        streams = [
            stream
            for stream in (*container.streams.audio, *container.streams.video)
            if not stream.disposition & STILLS
        ]
        for packet in demuxed(container, *streams):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None:
                start = float(stamp * packet.time_base)
                _extend(tracks.setdefault(packet.stream_index, []), start, _duration(packet))
        zero_s = (container.start_time or 0) / av.time_base
    return {index: _merged(spans) for index, spans in tracks.items()}, zero_s


def _duration(packet: Any) -> float:
    return min(float((packet.duration or 0) * packet.time_base), LONGEST_PACKET_S)


def _extend(spans: list[Span], start: float, duration: float) -> None:
    if spans and spans[-1][0] - LARGEST_GAP_S <= start <= spans[-1][1] + LARGEST_GAP_S:
        spans[-1] = (min(spans[-1][0], start), max(spans[-1][1], start + duration))
    else:
        spans.append((start, start + duration))
