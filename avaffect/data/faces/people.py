"""Tracking faces through a video: detection in key frames, tracking between them.

A face is believed when it is found a second time some frames later. Within a scene one that is lost
and found again is the same person as long as it was the only one missing: two faces are two people
only when they are seen together, so that no path ever jumps between them. A cut ends all paths;
after it, a face is a person seen before only if it looks like that person.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from avaffect.data.faces.appearance import ALIKE, Appearance
from avaffect.data.faces.cuts import Cuts, differ
from avaffect.data.faces.detection import AROUND, FAR_AROUND, Detector, Found, overlap, surroundings
from avaffect.data.faces.options import DETECTED, TRACKED
from avaffect.data.faces.path import HALF, Path
from avaffect.data.faces.template import Template

# Frames between searches: near a face that is followed (more often where tracking strays), for
# faces while there is none, and for further ones while there is.
KEY_FIRST, KEY_LEAST, KEY_MOST = 4, 3, 48
SEARCH, SEARCH_MOST = 6, 12
FURTHER = 125
# The smallest face, as a share of the picture's shorter side: small ones cost more to find, and
# are looked for where there are no larger ones, the smallest in every second search. Of the largest
# face that is there, as a share of its width.
SMALLEST = (0.33, 0.2, 0.1)
LESSER = 0.6
# Looks at a face that is new, to know its size.
LOOKS = 3
# A face that moves as expected, within this share of its width, is looked at in every n-th frame
# alone, n at most STRIDE. Where it strays by SUDDEN, the frames between are looked at after all.
STEADY, SUDDEN = 0.03, 0.08
STRIDE = 6
# Likeness to its last key frame: below DOUBTFUL a face is searched for, below LOST it is gone.
LOST, DOUBTFUL = 0.5, 0.75
# How long a face that looks the same is followed while the detector does not see it (profile).
PATIENCE = 25
# People at once, and in a whole film: scenes may each show others.
MOST_PEOPLE, MOST_KNOWN = 4, 16
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
    """One face. `sure` once it was found twice; until then it may have to be forgotten. scene: the
    picture in which it was lost, None where a cut came after it."""

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
        """The box in a later frame, if it goes on like this."""
        frames = frame - self.last
        return _moved(self.path.box(self.last), self.speed[0] * frames, self.speed[1] * frames)


class People:
    """Everybody in a film. `step` takes the luma of each frame in order (None: no picture)."""

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
        """Boxes of frames before this one change no more."""
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
        """Follow those whose turn it is."""
        due = [person for person in seen if self.now >= min(person.next, person.key)]
        for person in due:
            self._follow(person, luma)
        if due:
            self._part(self._visible())

    def finish(self) -> None:
        """The film is over: faces that had no second chance are believed."""
        for person in self._visible():
            if person.trials and not person.sure:
                self._forget(person)
            else:
                self._look_back(person, self.now + 1)

    def _end_shot(self) -> None:
        """This picture is the first one after a cut."""
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
            # Where one face came, another may have come unseen.
            self._next_scan, self._scan_interval = self.now + SEARCH, SEARCH
            return
        complete = now_seen and all(person.visible for person in self.everybody)
        most = FURTHER if now_seen else SEARCH_MOST
        self._scan_interval = FURTHER if complete else min(2 * self._scan_interval, most)
        self._next_scan = self.now + self._scan_interval

    def _search(self, luma: np.ndarray, boxes: list[np.ndarray]) -> list[Found]:
        """Faces anywhere in a picture; boxes: of those that are known."""
        if boxes:
            smallest = LESSER * max(box[2] for box in boxes)
            return self.detector.scan(_without(luma, boxes), smallest)
        for share in SMALLEST if self._scans % 2 == 0 else SMALLEST[:-1]:
            found = self.detector.scan(luma, share * min(luma.shape))
            if found:
                return found
        return []

    def _closer(self, luma: np.ndarray, face: Found) -> Found:
        """A scan is coarse: the mean of what further looks say."""
        looks = [self.detector.near(luma, face.box, AROUND, look) for look in range(LOOKS)]
        boxes = [look.box for look in looks if look is not None]
        return Found(np.mean(boxes, axis=0), face.score) if boxes else face

    def _welcome(self, luma: np.ndarray, face: Found) -> None:
        """A face that nobody visible owns: of the nearest lost person, or of a new one."""
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

    def _known(self, luma: np.ndarray, face: Found) -> Person | None:
        """The lost person whose face this is: the nearest one of this scene, or the one of other
        scenes that looks like it."""
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
        """A box is there for this frame: those that were left out lie between it and the last."""
        path, last, frames = person.path, person.last, self.now - person.last
        path.fill(last, self.now, TRACKED, likeness)
        (x0, y0), (x1, y1) = path.box(last)[:2].tolist(), path.box(self.now)[:2].tolist()
        person.speed = (x1 - x0) / frames, (y1 - y0) / frames
        person.last = self.now
        person.next = self.now + person.stride

    def _look_back(self, person: Person, stop: int) -> None:
        """Follow a face through the frames up to `stop` that were left out, one by one."""
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
        self, person: Person, luma: np.ndarray, box: np.ndarray, face: Found, likeness: float
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
        """Two paths that came to lie on one face: the younger one ends."""
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
        """What was taken for this face since it was last sure was none."""
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
    """A picture without faces that are known: a cascade spends most of its time on faces."""
    rest = luma.copy()
    for box in boxes:
        x0, y0, x1, y1 = surroundings(luma, box, 0.0)
        rest[y0:y1, x0:x1] = 128
    return rest


def _inside(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether most of a box lies within another: a detector's second box on one face."""
    width = min(box[0] + box[2] / 2, other[0] + other[2] / 2)
    width -= max(box[0] - box[2] / 2, other[0] - other[2] / 2)
    height = min(box[1] + box[3] / 2, other[1] + other[3] / 2)
    height -= max(box[1] - box[3] / 2, other[1] - other[3] / 2)
    return width > 0 and height > 0 and width * height > 0.7 * box[2] * box[3]
