"""The track of one face: its boxes, smoothed, with gaps filled."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from avaffect.data.faces.detection import overlap
from avaffect.data.faces.options import INTERPOLATED

# Half width of the smoothing window in frames (AV-HuBERT: a window of 12).
HALF = 6
# A face that is missing for up to this many frames, and reappears in its place, was present
# meanwhile.
GAP = 5
CAPACITY = 512


class Path:
    """Boxes of the frames that may still change, from `first` on; a frame with piece 0 has none.
    Pieces are runs of frames without a jump; smoothing does not cross their ends.
    """

    def __init__(self, columns: int, first: int) -> None:
        self.first = first
        self._boxes = np.zeros((CAPACITY, columns))
        self._scores = np.zeros(CAPACITY)
        self._sources = np.zeros(CAPACITY, np.int8)
        self._pieces = np.zeros(CAPACITY, np.int32)
        self._last_piece = 0

    def forget(self, before: int) -> None:
        """Release the frames before this one."""
        if before - self.first < CAPACITY // 2:
            return
        shift = min(before - self.first, CAPACITY)
        for array in (self._boxes, self._scores, self._sources, self._pieces):
            array[: CAPACITY - shift] = array[shift:].copy()
            array[CAPACITY - shift :] = 0
        self.first = before

    def put(self, frame: int, box: np.ndarray, source: int, score: float) -> None:
        """Add a box to the current piece."""
        place = frame - self.first
        self._boxes[place], self._scores[place] = box, score
        self._sources[place], self._pieces[place] = source, self._last_piece

    def begin(self) -> None:
        """Start a new piece with the next box."""
        self._last_piece += 1

    def erase(self, start: int, stop: int) -> None:
        self._pieces[max(start - self.first, 0) : max(stop - self.first, 0)] = 0

    def has(self, frame: int) -> bool:
        return frame >= self.first and bool(self._pieces[frame - self.first])

    def box(self, frame: int) -> np.ndarray:
        return self._boxes[frame - self.first]

    def spread(self, start: int, frame: int, correction: np.ndarray) -> None:
        """Correct the box of `frame`, and those after `start` by a linearly growing share of it."""
        shares = _shares(frame - start)[:, None]
        self._boxes[start + 1 - self.first : frame + 1 - self.first] += shares * correction

    def fill(self, before: int, after: int, source: int, score: float) -> None:
        """Interpolate boxes of the current piece between those of two frames."""
        if after - before > 1:
            between = slice(before + 1 - self.first, after - self.first)
            start, stop = self.box(before), self.box(after)
            self._boxes[between] = start + _shares(after - before)[:-1, None] * (stop - start)
            self._scores[between], self._sources[between] = score, source
            self._pieces[between] = self._last_piece

    def bridge(self, before: int, after: int) -> bool:
        """Fill a short gap between two boxes and join their pieces.

        False, and no change, if the gap is long or the face reappears in another place.
        """
        if after - before > GAP + 1 or overlap(self.box(before), self.box(after)) <= 0:
            return False
        self.fill(before, after, INTERPOLATED, 0.0)
        piece = self._pieces[before - self.first]
        self._pieces[before - self.first : after - self.first + 1] = piece
        self._last_piece = int(piece)
        return True

    def stretches(self, first: int, present: np.ndarray) -> list[tuple[int, int]]:
        """(start, stop) of the runs of frames in one piece, among the frames from `first` on that
        are `present` (bool)."""
        begin = max(first, self.first)
        stop = first + len(present)
        if begin >= stop:
            return []
        pieces = self._pieces[begin - self.first : stop - self.first] * present[begin - first :]
        changes = np.flatnonzero(pieces[1:] != pieces[:-1]) + (begin + 1)
        edges = [begin, *changes.tolist(), stop]
        return [
            (start, end)
            for start, end in itertools.pairwise(edges)
            if self._pieces[start - self.first] and present[start - first]
        ]

    def smooth(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The smoothed boxes (stop - start, columns) of frames in one piece, their sources and
        scores.

        A parabola is fitted to the positions in the window, which keeps fast motion; sizes are
        averaged.
        """
        begin, end = start - self.first, stop - self.first
        piece = self._pieces[begin]
        before = _lasting(self._pieces[max(begin - HALF, 0) : begin][::-1] == piece)
        after = _lasting(self._pieces[end : end + HALF] == piece)
        parabola, mean = _weights(before, stop - start, after)
        rows = self._boxes[begin - before : end + after]
        boxes = parabola @ rows
        boxes[:, 2:4] = mean @ rows[:, 2:4]
        return boxes, self._sources[begin:end], self._scores[begin:end]


@functools.cache
def _shares(count: int) -> np.ndarray:
    return np.arange(1, count + 1) / count


def _lasting(same: np.ndarray) -> int:
    """Number of true values before the first false one."""
    return len(same) if same.all() else int(same.argmin())


@functools.lru_cache(maxsize=1024)
def _weights(before: int, count: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices (count, before + count + after) that smooth `count` frames, with frames before
    and after them, by a parabola and by the mean over the frames within HALF."""
    frames = before + count + after
    parabola, mean = np.zeros((2, count, frames))
    for row in range(count):
        place = before + row
        left, right = min(HALF, place), min(HALF, frames - 1 - place)
        parabola[row, place - left : place + right + 1] = _parabola(left, right)
        mean[row, place - left : place + right + 1] = 1 / (left + 1 + right)
    return parabola, mean


@functools.cache
def _parabola(left: int, right: int) -> np.ndarray:
    """Weights of the least-squares parabola's value at 0 over frames -left..right (Savitzky and
    Golay, Analytical Chemistry 1964); of a line for few frames."""
    places = np.arange(-left, right + 1)
    degree = min(2, (len(places) - 1) // 2)
    return np.linalg.pinv(np.vander(places, degree + 1, increasing=True))[0]
