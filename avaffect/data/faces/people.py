"""Tracking faces through a video: detection in key frames, tracking between them.

A face is accepted when it is detected a second time some frames later. Within a scene, a face that
is lost and found again is the same person if only one person was missing: two faces are two people
only if they occur in one picture, so that no path jumps between people. A cut ends all paths; after
a cut, a face belongs to a person of an earlier scene only if it looks like that person.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from avaffect.data.faces.appearance import ALIKE, Appearance
from avaffect.data.faces.cuts import Cuts, differ
from avaffect.data.faces.detection import (
    AROUND,
    FAR_AROUND,
    Detection,
    Detector,
    overlap,
    surroundings,
)
from avaffect.data.faces.options import DETECTED, TRACKED
from avaffect.data.faces.path import HALF, Path
from avaffect.data.faces.template import Template

# Frames between detections: near a tracked face (fewer if tracking is inexact), for faces if there
# is none, and for further faces if there are some.
KEY_FIRST, KEY_LEAST, KEY_MOST = 4, 3, 48
SEARCH, SEARCH_MOST = 6, 12
FURTHER = 125
# The smallest face, as a share of the picture's shorter side. Small faces cost more to find, and
# are searched for only if there are no larger ones, the smallest in every second search. And as a
# share of the width of the largest face in the picture.
SMALLEST = (0.33, 0.2, 0.1)
LESSER = 0.6
# Further detections of a new face, to measure its size.
LOOKS = 3
# A face that moves as expected, within this share of its width, is tracked only in every n-th
# frame, n at most STRIDE. If it deviates by SUDDEN, the frames between are tracked after all.
STEADY, SUDDEN = 0.03, 0.08
STRIDE = 6
# Likeness to its last key frame: below DOUBTFUL a face is detected anew, below LOST it is lost.
LOST, DOUBTFUL = 0.5, 0.75
# Frames for which a face with high likeness is tracked without a detection (in profile).
PATIENCE = 25
# Largest number of people at a time, and in a video, whose scenes may show different people.
MOST_PEOPLE, MOST_KNOWN = 4, 16
# Two boxes that overlap by this are one face.
SAME = 0.4
# Least overlap of tracking with detection; below, key frames are more frequent.
ASTRAY = 0.85
# A detector's boxes jitter and tracking drifts: a weighted mean of both is used.
TRUST = 0.5
# Frames that may still change, as a detected face may have been present in some of them.
AHEAD = 24
BACK = AHEAD - 3 * KEY_FIRST


@dataclass
class Person:
    """One face. `sure`: detected twice; until then it may be discarded. scene: the picture in which
    it was lost, None if a cut followed."""

    path: Path
    template: Template
    gallery: Appearance = field(default_factory=Appearance)
    scene: np.ndarray | None = None
    visible: bool = True
    sure: bool = False
    trials: int = 0
    looks: int = 0
    since: int = 0
    last: int = 0
    found: int = 0
    doubted: int = 0
    next: int = 0
    stride: int = 1
    key: int = 0
    interval: int = KEY_FIRST
    speed: tuple[float, float] = (0.0, 0.0)

    def expected(self, frame: int) -> np.ndarray:
        """The box in a later frame at constant speed."""
        frames = frame - self.last
        return _moved(self.path.box(self.last), self.speed[0] * frames, self.speed[1] * frames)


class People:
    """All people in a video. `step` takes the luma of each frame in order (None: no picture)."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.everybody: list[Person] = []
        self.now = -1
        self.cuts = Cuts()
        self._shot = 0
        self._lumas: deque[np.ndarray | None] = deque(maxlen=BACK + 1)
        self._next_scan = self._next_look = 0
        self._scan_interval = SEARCH
        self._scans = 0

    @property
    def fixed(self) -> int:
        """Boxes of frames before this one are final."""
        return self.now - AHEAD

    def step(self, luma: np.ndarray | None) -> None:
        self.now += 1
        self._lumas.append(luma)
        if luma is not None and self.cuts.step(luma):
            self._end_shot()
        if luma is not None and self.now < self._next_look:
            return
        seen_before = self._visible()
        if luma is None:
            for person in seen_before:
                self._lose(person)
        else:
            self._look(luma, seen_before)
        seen = self._visible()
        if len(seen) < len(seen_before):
            self._next_scan, self._scan_interval = self.now, SEARCH // 2
        if luma is not None and self.now >= self._next_scan:
            self._scan(luma, seen)
        due = (min(person.next, person.key) for person in self._visible())
        self._next_look = min([self._next_scan, *due])

    def _look(self, luma: np.ndarray, seen: list[Person]) -> None:
        """Track the people who are due in this frame."""
        due = [person for person in seen if self.now >= min(person.next, person.key)]
        for person in due:
            self._follow(person, luma)
        if due:
            self._part(self._visible())

    def finish(self) -> None:
        """End of the video: accept faces for which no second detection was possible."""
        for person in self._visible():
            if person.trials and not person.sure:
                self._forget(person)
            else:
                self._look_back(person, self.now + 1)

    def _end_shot(self) -> None:
        """End all paths: the current picture is the first after a cut."""
        for person in self._visible():
            person.sure = person.sure or not person.trials
            self._lose(person)
        for person in self.everybody:
            person.scene = None
        self._shot = self.now
        self._next_scan = self._next_look = self.now
        self._scan_interval = SEARCH // 2

    def _visible(self) -> list[Person]:
        return [person for person in self.everybody if person.visible]

    def _scan(self, luma: np.ndarray, seen: list[Person]) -> None:
        self._scans += 1
        boxes = [person.expected(self.now) for person in seen]
        for face in sorted(self._search(luma, boxes), key=lambda face: -face.box[2]):
            if all(overlap(face.box, box) < SAME and not _inside(face.box, box) for box in boxes):
                face = self._closer(luma, face)
                self._welcome(luma, face)
                boxes.append(face.box)
        now_seen = self._visible()
        if len(now_seen) > len(seen):
            # If one new face has appeared, others may have.
            self._next_scan, self._scan_interval = self.now + SEARCH, SEARCH
            return
        complete = now_seen and all(person.visible for person in self.everybody)
        most = FURTHER if now_seen else SEARCH_MOST
        self._scan_interval = FURTHER if complete else min(2 * self._scan_interval, most)
        self._next_scan = self.now + self._scan_interval

    def _search(self, luma: np.ndarray, boxes: list[np.ndarray]) -> list[Detection]:
        """Faces anywhere in a picture; boxes: of known faces."""
        if boxes:
            smallest = LESSER * max(box[2] for box in boxes)
            return self.detector.scan(_without(luma, boxes), smallest)
        for share in SMALLEST if self._scans % 2 == 0 else SMALLEST[:-1]:
            found = self.detector.scan(luma, share * min(luma.shape))
            if found:
                return found
        return []

    def _closer(self, luma: np.ndarray, face: Detection) -> Detection:
        """A refined box, the mean of further detections, as a scan is coarse."""
        looks = [self.detector.near(luma, face.box, AROUND, look) for look in range(LOOKS)]
        boxes = [look.box for look in looks if look is not None]
        return Detection(np.mean(boxes, axis=0), face.score) if boxes else face

    def _welcome(self, luma: np.ndarray, face: Detection) -> None:
        """Assign a face without a visible person to the nearest lost person, or to a new one."""
        template = Template(luma, face.box)
        person = self._known(luma, face)
        if person is not None:
            person.template, person.visible, person.sure, person.trials = template, True, False, 0
        elif len(self._visible()) < MOST_PEOPLE and len(self.everybody) < MOST_KNOWN:
            path = Path(self.detector.columns, max(self.fixed - HALF, 0))
            person = Person(path, template, last=-1, found=-1)
            person.gallery.add(luma, face.box)
            self.everybody.append(person)
        else:
            return
        self._enter(person, face)

    def _known(self, luma: np.ndarray, face: Detection) -> Person | None:
        """The lost person with this face: the nearest one of this scene, or one of earlier scenes
        with the same appearance."""
        lost = [person for person in self.everybody if not person.visible]
        scene = self.cuts.scene
        here = [
            person
            for person in lost
            if person.scene is not None and scene is not None and not differ(person.scene, scene)
        ]
        if here:
            return min(here, key=lambda p: self._distance(p, face))
        alike = [(p.gallery.likeness(luma, face.box), n) for n, p in enumerate(lost)]
        best, number = max(alike, default=(-1.0, 0))
        return lost[number] if best >= ALIKE else None

    def _distance(self, person: Person, face: Detection) -> float:
        if not person.path.has(person.last):
            return np.inf
        last = person.path.box(person.last)
        return float(np.hypot(*(last[:2] - face.box[:2])) / face.box[2])

    def _enter(self, person: Person, face: Detection) -> None:
        """Add a face to a person's path, also in earlier frames to which it can be tracked."""
        path, before = person.path, person.last
        path.begin()
        path.put(self.now, face.box, DETECTED, face.score)
        person.since = self.now
        box = face.box
        earliest = max(before + 1, self.now - len(self._lumas) + 1, self._shot)
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
        if before >= self._shot and path.has(before):
            path.bridge(before, person.since)
        person.last = person.found = self.now
        person.speed = 0.0, 0.0
        person.stride, person.next = 1, self.now + 1
        person.interval = KEY_FIRST
        person.key = self.now + KEY_FIRST

    def _follow(self, person: Person, luma: np.ndarray) -> None:
        expected = person.expected(self.now)
        here_x, here_y, width = expected[:3].tolist()
        x, y, likeness = person.template.find(luma, here_x, here_y)
        kept = likeness >= LOST
        error = math.hypot(x - here_x, y - here_y) / width
        box = _moved(expected, x - here_x, y - here_y) if kept else expected
        if kept and error > SUDDEN:
            self._look_back(person, self.now)
        if self.now >= person.key or likeness < DOUBTFUL:
            face = self.detector.near(luma, box, AROUND if kept else FAR_AROUND, person.looks)
            person.looks += 1
            if face is not None:
                self._found(person, luma, box, face, likeness)
                return
            if not person.trials:
                person.doubted = self.now
            person.trials += 1
            person.key = self.now + KEY_LEAST
            if not person.sure and person.trials > 1:
                self._forget(person)
                return
        if not kept or (person.trials and self.now - person.doubted > PATIENCE):
            self._lose(person)
            return
        person.path.put(self.now, box, TRACKED, likeness)
        person.stride = min(2 * person.stride, STRIDE) if error < STEADY else 1
        self._arrive(person, likeness)

    def _arrive(self, person: Person, likeness: float) -> None:
        """Add the box of this frame, and interpolate those of the frames that were skipped."""
        path, last, frames = person.path, person.last, self.now - person.last
        path.fill(last, self.now, TRACKED, likeness)
        (x0, y0), (x1, y1) = path.box(last)[:2].tolist(), path.box(self.now)[:2].tolist()
        person.speed = (x1 - x0) / frames, (y1 - y0) / frames
        person.last = self.now
        person.next = self.now + person.stride

    def _look_back(self, person: Person, stop: int) -> None:
        """Track a face through the skipped frames up to `stop`, one by one."""
        for frame in range(person.last + 1, stop):
            luma = self._lumas[frame - self.now - 1]
            assert luma is not None
            box = person.expected(frame)
            here_x, here_y = box[:2].tolist()
            x, y, likeness = person.template.find(luma, here_x, here_y)
            if likeness < LOST:
                break
            last_x, last_y = person.path.box(person.last)[:2].tolist()
            person.speed = x - last_x, y - last_y
            person.path.put(frame, _moved(box, x - here_x, y - here_y), TRACKED, likeness)
            person.last = frame

    def _found(
        self, person: Person, luma: np.ndarray, box: np.ndarray, face: Detection, likeness: float
    ) -> None:
        agreement = overlap(box, face.box)
        if likeness >= DOUBTFUL and agreement > ASTRAY:
            person.interval = min(2 * person.interval, KEY_MOST)
        else:
            person.interval = max(person.interval // 2, KEY_LEAST)
        correction = (face.box - box) * (TRUST if likeness >= DOUBTFUL else 1.0)
        person.path.put(self.now, box, DETECTED, face.score)
        person.path.spread(max(person.found, self.fixed - 1), self.now, correction)
        person.template = Template(luma, person.path.box(self.now))
        person.gallery.add(luma, person.path.box(self.now))
        person.stride = 1
        self._arrive(person, likeness)
        person.found = self.now
        person.key = self.now + person.interval
        person.sure, person.trials = True, 0

    def _part(self, seen: list[Person]) -> None:
        """Of two paths that lie on one face, end the younger one."""
        for number, person in enumerate(seen):
            for other in seen[number + 1 :]:
                if not (person.visible and other.visible):
                    continue
                a, b = person.expected(self.now), other.expected(self.now)
                if overlap(a, b) > SAME or _inside(a, b) or _inside(b, a):
                    younger = max(person, other, key=lambda p: p.since)
                    younger.path.erase(self.now, self.now + 1)
                    younger.last = min(younger.last, self.now - 1)
                    self._lose(younger)

    def _lose(self, person: Person) -> None:
        if person.sure:
            self._look_back(person, self.now)
            person.visible, person.scene = False, self.cuts.scene
        else:
            self._forget(person)

    def _forget(self, person: Person) -> None:
        """Remove the boxes of a face since its last detection: they were not of this face."""
        person.path.erase(person.since, self.now + 1)
        person.visible, person.scene = False, self.cuts.scene
        person.last = person.since - 1
        if not person.path.has(person.last):
            person.last = -1


def _moved(box: np.ndarray, x: float, y: float) -> np.ndarray:
    """A box with its landmarks, moved."""
    moved = box.copy()
    moved[0] += x
    moved[1] += y
    if len(moved) > 4:
        moved[4::2] += x
        moved[5::2] += y
    return moved


def _without(luma: np.ndarray, boxes: list[np.ndarray]) -> np.ndarray:
    """A picture with known faces blanked, as a cascade spends most of its time on faces."""
    rest = luma.copy()
    for box in boxes:
        x0, y0, x1, y1 = surroundings(luma, box, 0.0)
        rest[y0:y1, x0:x1] = 128
    return rest


def _inside(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether most of a box lies within another, as a detector's second box on a face does."""
    width = min(box[0] + box[2] / 2, other[0] + other[2] / 2)
    width -= max(box[0] - box[2] / 2, other[0] - other[2] / 2)
    height = min(box[1] + box[3] / 2, other[1] + other[3] / 2)
    height -= max(box[1] - box[3] / 2, other[1] - other[3] / 2)
    return width > 0 and height > 0 and width * height > 0.7 * box[2] * box[3]
