"""Following faces through a film: key frames are searched, between them faces are tracked.

A face is believed when it is found a second time some frames later. One that is lost and found
again is the same person as long as it was the only one missing: two faces are two people only when
they are seen together, so that no path ever jumps between them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from avaffect.data.faces.detection import Detector, Found, overlap
from avaffect.data.faces.options import DETECTED, TRACKED
from avaffect.data.faces.path import HALF, Path
from avaffect.data.faces.template import Template

# Frames between searches: near a face that is followed (more often where tracking strays), for
# faces while there is none, and for further ones while there is.
KEY_FIRST, KEY_LEAST, KEY_MOST = 4, 3, 16
SEARCH, SEARCH_MOST = 6, 12
FURTHER = 100
# Likeness to its last key frame: below DOUBTFUL a face is searched for, below LOST it is gone.
LOST, DOUBTFUL = 0.5, 0.75
# How long a face that looks the same is followed while the detector does not see it (profile).
PATIENCE = 25
MOST_PEOPLE = 4
# Two boxes that overlap by this are one face.
SAME = 0.4
# How far tracking may stray from detection, as overlap, before key frames come more often.
ASTRAY = 0.85
# A detector's boxes tremble, tracking drifts: the truth is between.
TRUST = 0.5
# Frames that may still change; a face that is found was perhaps there in some of them.
AHEAD = 24
BACK = AHEAD - 3 * KEY_FIRST


@dataclass
class Person:
    """One face. `sure` once it was found twice; until then it may have to be forgotten."""

    path: Path
    template: Template
    visible: bool = True
    sure: bool = False
    trials: int = 0
    since: int = 0
    last: int = 0
    found: int = 0
    key: int = 0
    interval: int = KEY_FIRST
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))


class People:
    """Everybody in a film. `step` takes the luma of each frame in order (None: no picture)."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.everybody: list[Person] = []
        self.now = -1
        self._lumas: deque[np.ndarray | None] = deque(maxlen=BACK + 1)
        self._next_scan = 0
        self._scan_interval = SEARCH
        self._scans = 0

    @property
    def fixed(self) -> int:
        """Boxes of frames before this one change no more."""
        return self.now - AHEAD

    def step(self, luma: np.ndarray | None) -> None:
        self.now += 1
        self._lumas.append(luma)
        seen_before = self._visible()
        if luma is None:
            for person in seen_before:
                self._lose(person)
            return
        for person in seen_before:
            self._follow(person, luma)
        self._part(self._visible())
        seen = self._visible()
        if len(seen) < len(seen_before):
            self._next_scan, self._scan_interval = self.now, SEARCH
        if self.now >= self._next_scan:
            self._scan(luma, seen)

    def finish(self) -> None:
        """The film is over: faces that had no second chance are believed."""
        for person in self.everybody:
            if person.visible and not person.sure and person.trials:
                self._forget(person)

    def _visible(self) -> list[Person]:
        return [person for person in self.everybody if person.visible]

    def _scan(self, luma: np.ndarray, seen: list[Person]) -> None:
        self._scans += 1
        # Small faces cost more to find: looked for only where there are no others.
        fine = not seen and self._scans % 2 == 0
        found = self.detector.scan(luma, fine)
        boxes = [person.path.box(self.now) for person in seen]
        for face in sorted(found, key=lambda face: -face.box[2]):
            if all(overlap(face.box, box) < SAME and not _inside(face.box, box) for box in boxes):
                self._welcome(luma, face)
                boxes.append(face.box)
        now_seen = self._visible()
        if len(now_seen) > len(seen):
            self._scan_interval = SEARCH
        else:
            most = FURTHER if now_seen else SEARCH_MOST
            self._scan_interval = min(2 * self._scan_interval, most)
        # A face that is alone is the usual case: others are looked for now and then.
        calm = now_seen and all(p.visible for p in self.everybody)
        self._next_scan = self.now + (FURTHER if calm else self._scan_interval)

    def _welcome(self, luma: np.ndarray, face: Found) -> None:
        """A face that nobody visible owns: of the nearest lost person, or of a new one."""
        lost = [person for person in self.everybody if not person.visible]
        template = Template(luma, face.box)
        if lost:
            person = min(lost, key=lambda p: self._distance(p, face))
            person.template, person.visible, person.sure, person.trials = template, True, False, 0
        elif len(self.everybody) < MOST_PEOPLE:
            path = Path(self.detector.columns, max(self.fixed - HALF, 0))
            person = Person(path, template, last=-1, found=-1)
            self.everybody.append(person)
        else:
            return
        self._enter(person, face)

    def _distance(self, person: Person, face: Found) -> float:
        if not person.path.has(person.last):
            return np.inf
        last = person.path.box(person.last)
        return float(np.hypot(*(last[:2] - face.box[:2])) / face.box[2])

    def _enter(self, person: Person, face: Found) -> None:
        """Put a face into a person's path, and into earlier frames where it can be tracked."""
        path, before = person.path, person.last
        path.begin()
        path.put(self.now, face.box, DETECTED, face.score)
        person.since = self.now
        box = face.box
        earliest = max(before + 1, self.now - len(self._lumas) + 1, 0)
        for frame in range(self.now - 1, earliest - 1, -1):
            luma = self._lumas[frame - self.now - 1]
            if luma is None:
                break
            x, y, likeness = person.template.find(luma, box[0], box[1])
            if likeness < DOUBTFUL:
                break
            box = _moved(box, x - box[0], y - box[1])
            path.put(frame, box, TRACKED, likeness)
            person.since = frame
        if before >= 0 and path.has(before):
            path.bridge(before, person.since)
        person.last = person.found = self.now
        person.speed = np.zeros(2)
        person.interval = KEY_FIRST
        person.key = self.now + KEY_FIRST

    def _follow(self, person: Person, luma: np.ndarray) -> None:
        last = person.path.box(person.last)
        expected = last[:2] + person.speed
        x, y, likeness = person.template.find(luma, expected[0], expected[1])
        kept = likeness >= LOST
        shift = np.array([x, y]) - last[:2] if kept else person.speed
        box = _moved(last, shift[0], shift[1])
        if self.now >= person.key or likeness < DOUBTFUL:
            face = self.detector.near(luma, box)
            if face is not None:
                self._found(person, luma, box, face, likeness)
                person.speed = person.path.box(self.now)[:2] - last[:2] if not kept else shift
                return
            person.trials += 1
            person.key = self.now + KEY_LEAST
            if not person.sure and person.trials > 1:
                self._forget(person)
                return
        if not kept or self.now - person.found > PATIENCE:
            self._lose(person)
            return
        person.path.put(self.now, box, TRACKED, likeness)
        person.speed = shift
        person.last = self.now

    def _found(
        self, person: Person, luma: np.ndarray, box: np.ndarray, face: Found, likeness: float
    ) -> None:
        agreement = overlap(box, face.box)
        if likeness >= DOUBTFUL and agreement > ASTRAY:
            person.interval = min(2 * person.interval, KEY_MOST)
        else:
            person.interval = max(person.interval // 2, KEY_LEAST)
        correction = (face.box - box) * (TRUST if likeness >= DOUBTFUL else 1.0)
        person.path.put(self.now, box, DETECTED, face.score)
        person.path.spread(person.found, self.now, correction, max(self.fixed, person.since))
        person.template = Template(luma, person.path.box(self.now))
        person.last = person.found = self.now
        person.key = self.now + person.interval
        person.sure, person.trials = True, 0

    def _part(self, seen: list[Person]) -> None:
        """Two paths that came to lie on one face: the younger one ends."""
        for number, person in enumerate(seen):
            for other in seen[number + 1 :]:
                if not (person.visible and other.visible):
                    continue
                a, b = person.path.box(self.now), other.path.box(self.now)
                if overlap(a, b) > SAME or _inside(a, b) or _inside(b, a):
                    younger = max(person, other, key=lambda p: p.since)
                    younger.path.erase(self.now, self.now + 1)
                    self._lose(younger)

    def _lose(self, person: Person) -> None:
        if person.sure:
            person.visible = False
        else:
            self._forget(person)

    def _forget(self, person: Person) -> None:
        """What was taken for this face since it was last sure was none."""
        person.path.erase(person.since, self.now + 1)
        person.visible = False
        person.last = person.since - 1
        if not person.path.has(person.last) and person in self.everybody:
            # Nothing is left of it in frames that may still change; written ones stay.
            person.last = -1


def _moved(box: np.ndarray, x: float, y: float) -> np.ndarray:
    """A box with its landmarks, moved."""
    moved = box.copy()
    moved[:2] += x, y
    moved[4::2] += x
    moved[5::2] += y
    return moved


def _inside(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether most of a box lies within another: a detector's second box on one face."""
    width = min(box[0] + box[2] / 2, other[0] + other[2] / 2)
    width -= max(box[0] - box[2] / 2, other[0] - other[2] / 2)
    height = min(box[1] + box[3] / 2, other[1] + other[3] / 2)
    height -= max(box[1] - box[3] / 2, other[1] - other[3] / 2)
    return width > 0 and height > 0 and width * height > 0.7 * box[2] * box[3]
