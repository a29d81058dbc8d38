"""Utterances and speakers that a classifier was trained on: recorded by finetune, copied into
predictions, reported with every score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core.headers import ClassifierHeader, SeenPart, SeenUtterances
from avaffect.settings.scores import DEVELOPMENT, STATUSES, TRAINING, UNKNOWN, training_words

if TYPE_CHECKING:
    # The commands that score import no torch.
    from avaffect.recipes.downstream.labelled_data import Utterances
    from avaffect.recipes.downstream.partitions import Division


def described(
    divisions: Sequence[Division], utterances: Utterances, lineage: Iterable[str]
) -> SeenUtterances:
    """The record in a classifier's header; see avaffect-checkpoint(5).

    lineage: speakers whose labels trained the encoder. Each utterance is listed once, and parts are
    masks over the list (np.packbits, hexadecimal), shared by runs that have the same.
    """
    known = np.any([d.train | d.development for d in divisions], axis=0)
    parts: dict[tuple[str, str], list[int]] = {}
    for number, division in enumerate(divisions):
        masks = (division.train[known], division.development[known])
        training, development = (np.packbits(mask).tobytes().hex() for mask in masks)
        parts.setdefault((training, development), []).append(number)
    chosen = utterances.chosen(known)
    return SeenUtterances(
        utterances=tuple(chosen.ids),
        speakers=tuple(chosen.speakers),
        lineage=tuple(sorted(lineage)),
        parts=tuple(
            SeenPart(runs=tuple(runs), training=training, development=development)
            for (training, development), runs in parts.items()
        ),
    )


@dataclass(frozen=True)
class _Part:
    """Ids and speakers, prefixed apart."""

    ids: frozenset[str]
    speakers: frozenset[str]

    def has(self, identifier: str, speaker: str) -> bool:
        return speaker in self.speakers or identifier in self.ids


@dataclass(frozen=True)
class Seen:
    """For each run, ids and speakers of its training and of its development utterances.

    published: another program's, which is known to nobody here.
    earlier: a classifier of an earlier version, which has speakers alone, and of folds not which.
    """

    training: dict[int, _Part]
    development: dict[int, _Part]
    earlier: bool = False
    of_folds: bool = False
    published: bool = False

    @classmethod
    def of(cls, header: ClassifierHeader) -> Seen:
        """From a classifier's header."""
        numbers = range(len(header.runs))
        found = header.seen
        if found is None:
            published = header.command == "import"
            part = _Part(frozenset(), frozenset(header.labelled_speakers))
            known = dict.fromkeys(numbers, part)
            nothing = dict.fromkeys(numbers, _Part(frozenset(), frozenset()))
            return cls(known, nothing, True, header.of_folds, published)
        training, development = {}, {}
        for masks in found.parts:
            parts = _part(found, masks.training, found.lineage), _part(found, masks.development, [])
            for number in masks.runs:
                training[number], development[number] = parts
        return cls(training, development)

    def status(self, number: int, identifier: str, speaker: str) -> str | None:
        """Status of an utterance for run `number`; speaker: "" where it is unknown."""
        if self.published:
            return UNKNOWN
        if self.training[number].has(identifier, speaker):
            return UNKNOWN if self.earlier and self.of_folds else TRAINING
        if self.development[number].has(identifier, speaker):
            return DEVELOPMENT
        return UNKNOWN if self.earlier and not speaker else None


def _part(found: SeenUtterances, mask: str, others: Sequence[str]) -> _Part:
    ids, speakers = found.utterances, found.speakers
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(mask), dtype=np.uint8), count=len(ids))
    rows = np.flatnonzero(bits).tolist()
    names = {speakers[row] for row in rows} | set(others)
    return _Part(frozenset(ids[row] for row in rows), frozenset(names - {""}))


def worst(statuses: Iterable[str | None]) -> str | None:
    """The most serious of several runs' statuses of one utterance: training first."""
    there = set(statuses)
    return next((status for status in STATUSES if status in there), None)


def counted(statuses: Iterable[str | None]) -> dict[str, int]:
    """Number of utterances of each status, for a report."""
    counts = Counter(statuses)
    return {status: counts[status] for status in STATUSES}


def warning(seen: Mapping[str, int] | None, count: int) -> str | None:
    """A warning about a score on training data; None where there is none."""
    on = training_words(seen, count)
    if not on:
        return None
    if seen and seen.get(TRAINING):
        why = "the classifier was trained on their labels"
    elif seen and seen.get(DEVELOPMENT):
        why = "its epoch was selected by their labels"
    else:
        why = "the predictions do not record whether the classifier was trained on their labels"
    return (
        f"on {on}: {why}; for a result, score held-out speakers (divide the corpus "
        "with `avaffect split` before finetune)"
    )
