"""Tracking a face from frame to frame by normalised cross-correlation."""

from __future__ import annotations

import cv2
import numpy as np

# Width in pixels at which faces are compared: a smaller one would be inexact.
WIDTH = 16
# The middle of the box, without background.
SHARE = 0.8
# Least contrast of a face, as a share of the template's: a codec may leave a faint ghost of a face,
# with high correlation, in its former place.
FAINT = 0.25
# Margin of the search, in widths of the box, around the place at constant speed.
REACH = 0.25


class Template:
    """A face in one picture, to be found in the next."""

    def __init__(self, luma: np.ndarray, box: np.ndarray) -> None:
        self.factor = max(1, round(box[2] / WIDTH))
        columns = max(round(SHARE * box[2] / self.factor), 4)
        rows = max(round(SHARE * box[3] / self.factor), 4)
        left = round(box[0] - columns * self.factor / 2)
        top = round(box[1] - rows * self.factor / 2)
        # Offset from the template's corner to the centre of the box.
        self._offset = box[0] - left, box[1] - top
        self._reach = max(round(REACH * box[2] / self.factor), 2)
        self._picture = _patch(luma, left, top, columns, rows, self.factor)
        self._faint = FAINT * _contrast(self._picture)

    def find(self, luma: np.ndarray, x: float, y: float) -> tuple[float, float, float]:
        """x and y of the box's centre in another picture, and the likeness (-1..1).

        x, y: expected centre.
        """
        factor, reach = self.factor, self._reach
        rows, columns = self._picture.shape
        left = round(x - self._offset[0]) - reach * factor
        top = round(y - self._offset[1]) - reach * factor
        field = _patch(luma, left, top, columns + 2 * reach, rows + 2 * reach, factor)
        likeness = cv2.matchTemplate(field, self._picture, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(likeness)
        if _contrast(field[row : row + rows, column : column + columns]) < self._faint:
            best = 0.0
        sub_x = _peak(likeness[row], column)
        sub_y = _peak(likeness[:, column], row)
        return (
            left + factor * sub_x + self._offset[0],
            top + factor * sub_y + self._offset[1],
            best,
        )


def _contrast(picture: np.ndarray) -> float:
    return cv2.meanStdDev(picture)[1].item()


def _peak(values: np.ndarray, place: int) -> float:
    """The maximum of the parabola through the highest value and its neighbours."""
    if not 0 < place < len(values) - 1:
        return float(place)
    before, here, after = values[place - 1 : place + 2].tolist()
    bend = before - 2 * here + after
    return place + (0.5 * (before - after) / bend if bend < 0 else 0.0)


def _patch(
    luma: np.ndarray, left: int, top: int, columns: int, rows: int, factor: int
) -> np.ndarray:
    """(rows, columns) averages of factor x factor pixels; edges are repeated beyond the picture."""
    height, width = luma.shape
    right, bottom = left + columns * factor, top + rows * factor
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        part = luma[top:bottom, left:right]
    else:
        x0, x1 = min(max(left, 0), width - 1), max(min(right, width), 1)
        y0, y1 = min(max(top, 0), height - 1), max(min(bottom, height), 1)
        part = luma[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        before_y, before_x = (
            min(max(-top, 0), rows * factor - 1),
            min(max(-left, 0), columns * factor - 1),
        )
        part = cv2.copyMakeBorder(
            part, before_y, max(rows * factor - before_y - part.shape[0], 0),
            before_x, max(columns * factor - before_x - part.shape[1], 0), cv2.BORDER_REPLICATE,
        )[: rows * factor, : columns * factor]  # fmt: skip
    if factor == 1:
        return part.copy()
    return cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
