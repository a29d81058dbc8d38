"""Detection of cuts: frames at which the scene changes."""

from __future__ import annotations

import cv2
import numpy as np

# Pictures are compared at so many pixels a side, taken as means of every few pixels.
SIDE, TAKEN = 16, 64
# Unlikeness (1 - correlation, 0..2) from which a picture is another one. Within the shots of real
# films it stays below 0.1, across cuts it is 0.5 or more.
ANOTHER = 0.3
# In noise and quick pans every picture is unlike the one before: a cut is so much more unlike.
SUDDEN = 2.0
# Grey levels by which a picture must change, its brightness apart: what is nearly black resembles
# nothing.
CHANGE = 6.0


def scene(luma: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) uint8: a whole picture at a glance."""
    taken = cv2.resize(luma, (TAKEN, TAKEN), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(taken, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def unlikeness(scene: np.ndarray, other: np.ndarray) -> float:
    """0..2; brightness and contrast do not count, so that fades and flashes do little."""
    return 1.0 - float(cv2.matchTemplate(scene, other, cv2.TM_CCOEFF_NORMED)[0, 0])


def differ(scene: np.ndarray, other: np.ndarray) -> bool:
    """Whether two scenes show something else."""
    return unlikeness(scene, other) > ANOTHER and _change(scene, other) > CHANGE


def _change(scene: np.ndarray, other: np.ndarray) -> float:
    change = scene.astype(np.float64) - other
    return float(np.abs(change - change.mean()).mean())


class Cuts:
    """Notices cuts as pictures come. count: those so far; scene: the last picture's, None before
    the first."""

    def __init__(self) -> None:
        self.count = 0
        self.scene: np.ndarray | None = None
        self._unlikeness = 0.0

    def step(self, luma: np.ndarray) -> bool:
        """Whether there is a cut between the last picture and this one."""
        last, self.scene = self.scene, scene(luma)
        if last is None:
            return False
        moved = cv2.norm(last, self.scene, cv2.NORM_L1) / last.size
        if moved == 0:
            # A picture that is shown again says nothing about motion.
            return False
        if moved < CHANGE / 2:
            self._unlikeness = 0.0
            return False
        before, self._unlikeness = self._unlikeness, unlikeness(last, self.scene)
        if self._unlikeness < max(ANOTHER, SUDDEN * before) or _change(last, self.scene) < CHANGE:
            return False
        self.count += 1
        return True
