"""The way of one face through the pictures: its boxes, smoothed, and where gaps are filled."""

from __future__ import annotations

import functools

import numpy as np

from avaffect.data.faces.detection import overlap
from avaffect.data.faces.options import INTERPOLATED

# Smoothing looks this many frames to either side (AV-HuBERT: a window of 12).
HALF = 6
# A face that is away for up to so many frames, and comes back where it was, was there meanwhile.
GAP = 12
CAPACITY = 512
_MEAN = np.ones(2 * HALF + 1)


class Path:
    """Boxes of the frames that may still change, from `first` on; a frame has one where its piece
    is not 0. Pieces are stretches of frames without a jump: nothing is smoothed across their ends.
    """

    def __init__(self, columns: int, first: int) -> None:
        self.first = first
        self._boxes = np.zeros((CAPACITY, columns))
        self._scores = np.zeros(CAPACITY)
        self._sources = np.zeros(CAPACITY, np.int8)
        self._pieces = np.zeros(CAPACITY, np.int32)
        self._last_piece = 0

    def forget(self, before: int) -> None:
        """Frames before this one will not be asked for again."""
        if before - self.first < CAPACITY // 2:
            return
        shift = before - self.first
        for array in (self._boxes, self._scores, self._sources, self._pieces):
            array[: CAPACITY - shift] = array[shift:].copy()
            array[CAPACITY - shift :] = 0
        self.first = before

    def put(self, frame: int, box: np.ndarray, source: int, score: float) -> None:
        """A box in the piece that is going on."""
        place = frame - self.first
        self._boxes[place], self._scores[place] = box, score
        self._sources[place], self._pieces[place] = source, self._last_piece

    def begin(self) -> None:
        """What is put next makes a new piece."""
        self._last_piece += 1

    def erase(self, start: int, stop: int) -> None:
        self._pieces[max(start - self.first, 0) : max(stop - self.first, 0)] = 0

    def has(self, frame: int) -> bool:
        return frame >= self.first and bool(self._pieces[frame - self.first])

    def box(self, frame: int) -> np.ndarray:
        return self._boxes[frame - self.first]

    def spread(self, start: int, frame: int, correction: np.ndarray, earliest: int) -> None:
        """Correct the box of `frame`, and those after `start` by a growing share."""
        places = np.arange(max(start + 1, earliest), frame + 1)
        shares = (places - start) / (frame - start)
        self._boxes[places - self.first] += shares[:, None] * correction

    def bridge(self, before: int, after: int) -> bool:
        """Fill the frames between two boxes where the face was away for a moment; join the pieces.

        False where it was away for long, or came back elsewhere.
        """
        start, stop = self.box(before), self.box(after)
        if after - before > GAP + 1 or overlap(start, stop) <= 0:
            return False
        for frame in range(before + 1, after):
            share = (frame - before) / (after - before)
            self.put(frame, start + share * (stop - start), INTERPOLATED, 0.0)
        piece = self._pieces[before - self.first]
        self._pieces[before - self.first : after - self.first + 1] = piece
        self._last_piece = int(piece)
        return True

    def smooth(self, frame: int, latest: int) -> tuple[np.ndarray, int, float]:
        """The box of a frame that has one, smoothed; its source and score.

        Positions follow a parabola fitted to the frames around, so that quick motion is kept;
        sizes are averaged. latest: the last frame that is known.
        """
        place = frame - self.first
        pieces = self._pieces
        piece = pieces[place]
        left, right = min(HALF, place), min(HALF, latest - frame)
        around = pieces[place - left : place + right + 1]
        if (around != piece).any():
            ends = np.flatnonzero(around != piece) - left
            left = min([left, *(-end - 1 for end in ends.tolist() if end < 0)])
            right = min([right, *(end - 1 for end in ends.tolist() if end > 0)])
        rows = self._boxes[place - left : place + right + 1]
        box = _parabola(left, right) @ rows
        box[2:4] = _MEAN[: len(rows)] @ rows[:, 2:4] / len(rows)
        source = int(self._sources[place])
        return box, source, float(self._scores[place])


@functools.cache
def _parabola(left: int, right: int) -> np.ndarray:
    """Weights of the least-squares parabola's value at 0 over frames -left..right (Savitzky and
    Golay, Analytical Chemistry 1964); a line where there are few frames."""
    places = np.arange(-left, right + 1)
    degree = min(2, (len(places) - 1) // 2)
    return np.linalg.pinv(np.vander(places, degree + 1, increasing=True))[0]
