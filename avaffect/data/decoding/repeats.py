"""Packets that repeat the previous frame without storing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av

from avaffect.data.decoding.audio import Packets
from avaffect.data.decoding.clock import PictureClock
from avaffect.data.decoding.timeline import LARGEST_GAP_S

# A packet nearer to a picture than this, in intervals between pictures, is part of it: a field, or
# an invisible reference for later pictures.
APART = 0.6


class PicturePackets(Packets):
    """Packets of pictures, some of which repeat the last picture: they are empty (Theora), or
    marked as not coded (MPEG-4), and the decoder gives no picture for them.

    In AVI, time is counted by packets: a jump consists of empty packets, which FFmpeg skips. Jumps
    of more than LARGEST_GAP_S are taken as a camera that was off.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        super().__init__(container, stream)
        # Time stamps of packets whose picture is not decoded yet, and of the last decoded picture.
        self._open: set[int] = set()
        self._counts = container.format.name == "avi"
        self._last: int | None = None

    def _sent(self, packet: av.Packet) -> None:
        if packet.pts is not None and not packet.is_discard:
            self._open.add(packet.pts)

    def repeats(self, frame: av.VideoFrame | None, clock: PictureClock) -> Sequence[float]:
        """Time stamps, in seconds, at which the picture before `frame` is repeated; without a
        frame, those after the last one. clock: of the earlier pictures."""
        last, stamp = self._last, None if frame is None else frame.pts
        if frame is not None:
            self._last = stamp
        # Nearly always: the first of the expected pictures.
        if stamp in self._open and min(self._open) == stamp and not self._counts:
            self._open.discard(stamp)
            return ()
        known = stamp is None or stamp in self._open
        # Decoders give pictures in order: an earlier picture that is missing will not come.
        gone = [pts for pts in self._open if stamp is None or pts <= stamp]
        self._open.difference_update(gone)
        if last is None or not known or (frame is not None and stamp is None):
            return ()
        base = float(self.stream.time_base)
        if self._counts and stamp is not None and (stamp - last) * base <= LARGEST_GAP_S:
            gone = list(range(last + 1, stamp))
        found: list[float] = []
        before, apart = last, APART * clock.interval_s / base
        for pts in sorted(gone):
            if pts - before > apart and (stamp is None or stamp - pts > apart):
                found.append(pts * base)
                before = pts
        return found
