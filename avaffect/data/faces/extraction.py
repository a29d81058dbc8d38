"""Extraction of one face from a video: its crops and boxes, in memory of constant size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.streams import FACE, FACE_TRACK
from avaffect.data.decoding.unusable import Unusable
from avaffect.data.decoding.video import Picture, VideoCounts, read_pictures
from avaffect.data.faces.cropping import cut, transform
from avaffect.data.faces.cuts import Cuts
from avaffect.data.faces.detection import load_detector
from avaffect.data.faces.options import ABSENT, DETECTED, INTERPOLATED, TRACKED, FaceOptions
from avaffect.data.faces.path import HALF
from avaffect.data.faces.people import People
from avaffect.data.faces.samples import Samples
from avaffect.data.faces.spool import FaceSpool, Sums

# Pictures are decoded, searched and cropped in runs: this divides the cost of a run's overhead, and
# decoding is faster if no other work displaces the processor's cache.
RUN = 16
# A face in a smaller share of the pictures is a passer-by, or an error of the detector.
LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Faces:
    """One face of a recording. streams: name -> raw file of steps; counts: of pictures, by name;
    sums: of the crops' pixels; samples: for a preview, if requested; notes: remarks on the decoding
    for the user."""

    streams: dict[str, Path]
    seconds: float
    counts: dict[str, int]
    sums: Sums
    samples: Samples | None
    notes: tuple[str, ...] = ()


def decode_faces(
    path: Path, stem: Path, options: FaceOptions, start_s: float | None = None,
    end_s: float | None = None, samples: int = 0, beside: Path | None = None,
) -> Faces:  # fmt: skip
    """Detect and track the face in a recording, and write its crops and boxes to the raw files
    STEM.face and STEM.face_track.

    start_s, end_s: the utterance, in seconds of the recording. samples: approximate number of
    pictures for a preview. beside: an audio file with the same second 0.

    Raises Unusable, as `read_pictures` does, and with the reason "no face"; DataError for the
    detector's model.
    """
    counts = VideoCounts()
    pictures = read_pictures(path, options.fps, counts, start_s, end_s, beside)
    crew = _Whole(stem, options) if options.detector == "none" else _Crew(stem, options)
    kept = Samples(samples) if samples else None
    try:
        _cut_all(pictures, crew, kept)
        chosen = crew.chosen()
        chosen.close(counts.shown)
    except BaseException:
        for spool in crew.spools:
            spool.discard()
        raise
    for spool in crew.spools:
        if spool is not chosen:
            spool.discard()
    if kept is not None:
        kept.add_faces(chosen.face, chosen.face_track, options)
    return Faces(
        {FACE: chosen.face, FACE_TRACK: chosen.face_track},
        counts.shown / options.fps,
        _counts(counts, chosen) | {"cuts": crew.cuts},
        chosen.sums,
        kept,
        tuple(counts.notes),
    )


def _counts(counts: VideoCounts, spool: FaceSpool) -> dict[str, int]:
    return {
        "face_frames": counts.shown,
        "faces_detected": spool.counts[DETECTED],
        "faces_tracked": spool.counts[TRACKED],
        "faces_interpolated": spool.counts[INTERPOLATED],
        "faces_absent": spool.counts[ABSENT],
        "frames_dropped": counts.dropped,
        "frames_duplicated": counts.duplicated,
        "damaged_pictures": counts.damaged,
    }


def _cut_all(
    pictures: Iterator[Picture | None], crew: _Crew | _Whole, kept: Samples | None
) -> None:
    """Pass pictures to the crew; crop and release those whose boxes are settled."""
    waiting: deque[Picture | None] = deque()
    done = 0

    def cut_run() -> None:
        nonlocal done
        run = [waiting.popleft() for _ in range(min(RUN, len(waiting)))]
        crew.cut(done, run)
        if kept is not None:
            for frame, picture in enumerate(run, done):
                if picture is not None:
                    kept.offer(frame, picture)
        done += len(run)

    while run := list(islice(pictures, RUN)):
        waiting.extend(run)
        for picture in run:
            crew.take(picture)
        while done + RUN <= crew.settled:
            cut_run()
    crew.finish()
    while waiting:
        cut_run()


class _Whole:
    """Videos of cropped faces, or pictures as they are: of each, all but the edges that another
    shape leaves over, or all of it and black beside it."""

    def __init__(self, stem: Path, options: FaceOptions) -> None:
        self.options = options
        self.spools = [FaceSpool(stem, options)]
        self.settled = 0
        self._cuts = Cuts()

    @property
    def cuts(self) -> int:
        return self._cuts.count

    def take(self, picture: Picture | None) -> None:
        self.settled += 1
        if picture is not None:
            self._cuts.step(picture.luma)

    def finish(self) -> None:
        pass

    def cut(self, first: int, pictures: list[Picture | None]) -> None:
        for frame, picture in enumerate(pictures, first):
            if picture is not None:
                self._cut(frame, picture)

    def _cut(self, frame: int, picture: Picture) -> None:
        height, width = picture.luma.shape
        rows, columns, _ = self.options.shape
        # What is shown, in pixels of the picture: as high as that, or as wide.
        if (height * columns <= width * rows) != self.options.pad:
            scale, high, wide = rows / height, float(height), height * (columns / rows)
        else:
            scale, high, wide = columns / width, width * (rows / columns), float(width)
        box = np.array([[width / 2, height / 2, min(wide, width), min(high, height)]])
        similarity = (scale, 0.0, (wide - width) / 2 * scale, (high - height) / 2 * scale)
        crops = cut([picture], [similarity], self.options)
        self.spools[0].write(frame, crops, box, np.array([DETECTED]), np.ones(1))

    def chosen(self) -> FaceSpool:
        if not self.spools[0].seen:
            raise Unusable("no picture", "it has no pictures in this part of the recording")
        return self.spools[0]


class _Crew:
    """A detector, the people it found, and a spool for each of them."""

    def __init__(self, stem: Path, options: FaceOptions) -> None:
        self.stem, self.options = stem, options
        self.people = People(load_detector(options))
        self.spools: list[FaceSpool] = []
        self.pictures = 0

    @property
    def settled(self) -> int:
        return self.people.fixed - HALF

    @property
    def cuts(self) -> int:
        return self.people.cuts.count

    def take(self, picture: Picture | None) -> None:
        self.people.step(None if picture is None else picture.luma)
        self.pictures += picture is not None
        while len(self.spools) < len(self.people.everybody):
            stem = self.stem.with_name(f"{self.stem.name}-{len(self.spools)}")
            self.spools.append(FaceSpool(stem, self.options))

    def finish(self) -> None:
        self.people.finish()

    def cut(self, first: int, pictures: list[Picture | None]) -> None:
        present = np.array([picture is not None for picture in pictures])
        stretches = [person.path.stretches(first, present) for person in self.people.everybody]
        together = sum(map(bool, stretches)) > 1
        for person, spool, parts in zip(self.people.everybody, self.spools, stretches):
            for start, stop in parts:
                boxes, sources, scores = person.path.smooth(start, stop)
                similarities = [transform(box, self.options) for box in boxes.tolist()]
                shown = [p for p in pictures[start - first : stop - first] if p is not None]
                crops = cut(shown, similarities, self.options)
                spool.write(start, crops, boxes, sources, scores)
                if together:
                    spool.watch_mouth(start, crops)
            person.path.forget(first - HALF)

    def chosen(self) -> FaceSpool:
        """The face of the whole recording."""
        largest = self.options.which == "largest"
        people = [spool for spool in self.spools if spool.seen]
        if not people:
            raise Unusable("no face", f"no face was found in {count_of(self.pictures, 'picture')}")
        best = max(people, key=lambda spool: spool.area if largest else (spool.speech, spool.area))
        if best.seen < LEAST_SHARE * self.pictures:
            raise Unusable(
                "no face",
                f"a face was found in only {best.seen} of {count_of(self.pictures, 'picture')}",
            )
        return best
