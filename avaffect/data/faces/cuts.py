"""Detection of cuts: frames at which the scene changes."""

from __future__ import annotations

import cv2
import numpy as np

# Side of the pictures that are compared, and of the subsampled ones that are averaged to them.
SIDE, TAKEN = 16, 64
# Least unlikeness (1 - correlation, 0..2) of different scenes. Within the shots of real videos it
# is below 0.1, across cuts 0.5 or more.
ANOTHER = 0.3
# In noise and fast pans all pictures are unlike the last: at a cut the unlikeness is larger by this
# factor.
SUDDEN = 2.0
# Least change of a picture in grey levels, apart from its brightness: the correlation of nearly
# black pictures is arbitrary.
CHANGE = 6.0


def scene(luma: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) uint8: a picture, reduced for comparison."""
    taken = cv2.resize(luma, (TAKEN, TAKEN), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(taken, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def unlikeness(scene: np.ndarray, other: np.ndarray) -> float:
    """1 - correlation, 0..2; brightness and contrast are ignored, so that fades count little."""
    return 1.0 - float(cv2.matchTemplate(scene, other, cv2.TM_CCOEFF_NORMED)[0, 0])


def differ(scene: np.ndarray, other: np.ndarray) -> bool:
    """Whether two scenes are different."""
    return unlikeness(scene, other) > ANOTHER and _change(scene, other) > CHANGE


def _change(scene: np.ndarray, other: np.ndarray) -> float:
    change = scene.astype(np.float64) - other
    return float(np.abs(change - change.mean()).mean())


class Cuts:
    """Detector of cuts, picture by picture. count: of cuts so far; scene: of the last picture, None
    before the first."""

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
            # A repeated picture has no information on motion.
            return False
        if moved < CHANGE / 2:
            self._unlikeness = 0.0
            return False
        before, self._unlikeness = self._unlikeness, unlikeness(last, self.scene)
        if self._unlikeness < max(ANOTHER, SUDDEN * before) or _change(last, self.scene) < CHANGE:
            return False
        self.count += 1
        return True
