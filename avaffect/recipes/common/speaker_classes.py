"""Classes that speakers tell, or that tell speakers. Without NumPy, for commands on manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from avaffect.data.manifest import Item, Manifest

OF_SPEAKER, OF_CLASS = "speaker", "class"


def told_by(counts: Mapping[tuple[str, str], int]) -> str | None:
    """`class` where each class is of one speaker alone, `speaker` where each speaker has one class
    alone; None where neither is so, or there is one speaker or one class, or every utterance has a
    speaker of its own.

    counts: (speaker, class) -> utterances.
    """
    pairs = [pair for pair, count in counts.items() if count]
    speakers, classes = ({pair[side] for pair in pairs} for side in (0, 1))
    if min(len(speakers), len(classes)) < 2 or sum(counts.values()) == len(speakers):
        return None
    if len(pairs) == len(classes):
        return OF_CLASS
    return OF_SPEAKER if len(pairs) == len(speakers) else None


def words(label: str, told: str) -> str:
    """For people, what `told_by` found of a label."""
    if told == OF_CLASS:
        return (
            f"{label}: each class is of one speaker alone: a voice tells its class, and held-out "
            "speakers have classes that nothing was trained on, so that no score means anything"
        )
    return (
        f"{label}: each speaker has one class alone: a voice tells its class, so that a score on "
        "speakers in training means nothing, and one on held-out speakers is as sure as they are "
        "many, however many utterances they have"
    )


def doubts(corpus: Manifest) -> Iterator[str]:
    """In words, of the labels of classes of a corpus."""
    for name, facts in (corpus.header.labels or {}).items():
        if facts.kind == "class":
            told = told_by(Counter(_pairs(corpus.items, name)))
            if told is not None:
                yield words(name, told)


def _pairs(items: Iterable[Item], label: str) -> Iterator[tuple[str, str]]:
    for item in items:
        labels: Mapping[str, Any] = item.get("labels") or {}
        speaker, known = item.get("speaker"), labels.get(label)
        if speaker not in (None, "") and known not in (None, ""):
            yield str(speaker), str(known)
