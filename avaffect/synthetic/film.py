"""Longer films of one synthetic person, who speaks with weak emotions of every kind, and with a
strong one in some segments: highlights.

A film is a row of segments of five seconds, each a performance of its own, before one camera. With
neutral speech beside them highlights would be found by loudness alone, and by any features.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avaffect.core.seeds import generator
from avaffect.data.video_files import write_video
from avaffect.synthetic import camera, clip, corpus, words
from avaffect.synthetic.corpus import EMOTIONS, Performance, Utterance

SEGMENT_S = 5.0
# Of segments, at most this share are highlights; one at least.
MOST = 0.25
CALM = "neutral"
# Intensity of the emotions that are no highlights; of highlights it is 1.
WEAK = (0.0, 0.4)
# From this intensity on an emotion is an expression; below it the expression is neutral.
EXPRESSED = 0.2
EXPRESSION_HZ = 5.0


@dataclass(frozen=True)
class Film:
    """plan: of the whole, whose emotion is that of the highlights; highlights: 1 or 0 of each
    segment."""

    plan: Utterance
    highlights: tuple[int, ...]

    @property
    def segments(self) -> list[Utterance]:
        """Each as an utterance of its own: highlights at full intensity, the others weak."""
        random = generator(self.plan.seed, self.plan.id, "segments")
        found = []
        for number, shown in enumerate(self.highlights):
            emotion, intensity = str(random.choice(EMOTIONS)), float(random.uniform(*WEAK))
            found.append(
                replace(
                    self.plan,
                    id=f"{self.plan.id}_{number}",
                    emotion=self.plan.emotion if shown else emotion,
                    intensity=1.0 if shown else intensity,
                    duration_s=SEGMENT_S,
                )
            )
        return found

    @property
    def expressions(self) -> list[int]:
        """The class over time at EXPRESSION_HZ, as a number in EMOTIONS."""
        steps = round(SEGMENT_S * EXPRESSION_HZ)
        return [EMOTIONS.index(expression(each)) for each in self.segments for _ in range(steps)]


def expression(segment: Utterance) -> str:
    """The emotion of a segment that shows it, otherwise neutral."""
    return segment.emotion if segment.intensity >= EXPRESSED else CALM


def of(plan: Utterance, segments: int) -> Film:
    """A film of so many segments; which are highlights is drawn from the seed and the name."""
    random = generator(plan.seed, plan.id, "highlights")
    count = int(random.integers(1, max(1, int(MOST * segments)) + 1))
    shown = np.zeros(segments, dtype=int)
    shown[random.permutation(segments)[:count]] = 1
    return Film(replace(plan, duration_s=segments * SEGMENT_S), tuple(shown.tolist()))


def write(film: Film, folder: Path, pictures: bool, share: float | None = None) -> Path:
    """Render into `folder`/video/ID.mp4, or without pictures `folder`/wav/ID.wav; the path relative
    to `folder`. share: of the words that go with the emotion, in the transcript
    `folder`/words/ID.csv; None: no transcript."""
    played = [(segment, corpus.perform(segment)) for segment in film.segments]
    if share is not None:
        _write_words(film, played, folder, share)
    recorded = [corpus.record(segment, performance) for segment, performance in played]
    sound, sample_rate = np.concatenate([samples for samples, _ in recorded]), recorded[0][1]
    if not pictures:
        return corpus.write_samples(film.plan, sound, sample_rate, folder)
    view = clip.scene_of(replace(film.plan, duration_s=SEGMENT_S))
    random = generator(film.plan.seed, film.plan.id, "film")

    def frames() -> Iterator[Iterator[np.ndarray]]:
        for segment, performance in played:
            acts = clip.acting_of(segment, performance, clip.frame_times(segment, view.rate_hz))
            who = clip.face_of(segment, performance)
            yield camera.render_frames(view, who, acts, random)

    relative = clip.path_of(film.plan)
    with corpus.whole_file(folder / relative) as temporary:
        write_video(
            temporary, itertools.chain.from_iterable(frames()), view.size, view.rate_hz, sound,
            sample_rate, quality=view.quality,
        )  # fmt: skip
    return relative


def _write_words(
    film: Film, played: Sequence[tuple[Utterance, Performance]], folder: Path, share: float
) -> None:
    found: list[words.Word] = []
    for number, (segment, performance) in enumerate(played):
        random = words.drawn(segment.seed, segment.id)
        begin = number * SEGMENT_S
        found += [
            (begin + start, begin + end, word)
            for start, end, word in words.said(
                performance.syllables, expression(segment), share, random
            )
        ]
    words.write(found, film.plan.id, folder)
