"""Utterances as intervals on tiers, as programs of annotation have them (ELAN, Praat).

A tier holds one field or label, its intervals do not overlap. Utterances that overlap others of
their recording go to tiers NAME#2, NAME#3 and so on.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avaffect.core import faults
from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange.listing import Listing, Utterance
from avaffect.data.exchange.pairing import Paired, Recordings
from avaffect.data.exchange.reading import EMOTION, Found, corpus_of
from avaffect.data.tables.reader import of_part
from avaffect.settings.manifest import ManifestSettings

# Options of `manifest` of formats with tiers, whose names stand for columns.
OPTIONS = ("label", "scalar", "field", "map", "prefix", "root")
ID = "id"
TAKEN = rf"{ID}|.*#\d+"
_LANE = re.compile(r"(.*)#(\d+)")


@dataclass(frozen=True)
class Interval:
    """A text from start to end, in seconds."""

    start: float
    end: float
    text: str


def tiers_of(listing: Listing, own: Sequence[Utterance]) -> dict[str, list[Interval]]:
    """Name -> intervals, of the utterances of one recording by their start."""
    names = [*listing.fields, *listing.plain_labels()]
    found: dict[str, list[Interval]] = {}
    for lane, utterances in enumerate(_lanes(listing, own), start=1):
        suffix = "" if lane == 1 else f"#{lane}"
        for one in utterances:
            start, end = listing.span(one)
            values = {ID: one.id, **one.fields, **one.labels}
            for name in (ID, *names):
                if name in values:
                    text = str(values[name])
                    found.setdefault(name + suffix, []).append(Interval(start, end, text))
    return found


def _lanes(listing: Listing, own: Sequence[Utterance]) -> list[list[Utterance]]:
    """As few lists as hold utterances that do not overlap."""
    lanes: list[list[Utterance]] = []
    ends: list[float] = []
    for one in own:
        start, end = listing.span(one)
        free = next((lane for lane, until in enumerate(ends) if until <= start), len(lanes))
        if free == len(lanes):
            lanes.append([])
            ends.append(0.0)
        lanes[free].append(one)
        ends[free] = end
    return lanes


def files_of(source: Path, suffixes: Iterable[str]) -> list[Path]:
    """The file, or the files with these suffixes in the folder and below it, sorted.

    Raises DataError where there is none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"{source}: no such file or folder")
    found = sorted(
        Path(place) / name
        for place, folders, names in faults.walk(source)
        for name in names
        if name.lower().endswith(tuple(suffixes)) and not name.startswith(".")
    )
    if not found:
        raise DataError(f"{source} has no file {' or '.join('*' + s for s in suffixes)}")
    return found


@dataclass
class Annotations:
    """What files of annotations become: recordings are found by their places below `root`."""

    found: Found
    recordings: Recordings

    @classmethod
    def of(cls, settings: ManifestSettings, name: str, files: list[Path]) -> Annotations:
        source = settings.source
        root = settings.root or (source if source.is_dir() else source.parent)
        found = Found(settings, name, root, files)
        return cls(found, Recordings.of(found))

    def add(self, paired: Paired, tiers: Mapping[str, Sequence[Interval]]) -> None:
        """The utterances of one file. They are the intervals of the tier that --label, --scalar or
        --field names first, or else of id, of emotion, or of the first; the texts of other tiers
        within an utterance, or around it, are its values."""
        lanes: dict[str, dict[str, Sequence[Interval]]] = defaultdict(dict)
        for name, intervals in tiers.items():
            match = _LANE.fullmatch(name)
            base, lane = match.groups() if match else (name, "1")
            lanes[lane][base] = [one for one in intervals if one.text.strip()]
        for lane in lanes.values():
            key = self._key(lane)
            by_middle = {name: _ByMiddle(own) for name, own in lane.items()}
            for one in lane.get(key, ()):
                values = {name: own.within(one) for name, own in by_middle.items()}
                known = {name: " ".join(texts) for name, texts in values.items() if texts}
                identifier = known.pop(ID, of_part(paired.name, (one.start, one.end)))
                self._one_value(identifier, values, known)
                self.found.add(identifier, paired.media, one.start, one.end, known)
            for name, own in by_middle.items():
                if own.outside:
                    where = [of_part(paired.name, (i.start, i.end)) for i in own.outside]
                    self.found.left_out[
                        f"annotations of {name} whose middle is in no utterance (those of {key})"
                    ] += where

    def _one_value(
        self, identifier: str, values: Mapping[str, list[str]], known: dict[str, str]
    ) -> None:
        """Of a label, annotations of an utterance that say the same are one; of those that do not
        none is its."""
        settings = self.found.settings
        given = [text.partition("=")[2] for text in (*settings.label, *settings.scalar)]
        for name in dict.fromkeys((EMOTION, *given)):
            texts = dict.fromkeys(values.get(name, ()))
            if len(texts) == 1:
                known[name] = next(iter(texts))
            elif texts:
                known.pop(name, None)
                self.found.lost[
                    f"several annotations of {name}, which differ (kept without it)"
                ].append(identifier)

    def _key(self, tiers: Mapping[str, Sequence[Interval]]) -> str:
        settings = self.found.settings
        given = [text.rpartition("=")[2] for text in (*settings.label, *settings.scalar)]
        wanted = (ID, *given, EMOTION)
        first = next((name for name, own in tiers.items() if own), "")
        return next((name for name in wanted if tiers.get(name)), first)

    def corpus(self) -> Corpus:
        return corpus_of(self.found)


class _ByMiddle:
    """The intervals of a tier by their middles: a long recording has many."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self._own = sorted(intervals, key=_middle)
        self._middles = [_middle(one) for one in self._own]
        self._used: set[int] = set()

    def within(self, whole: Interval) -> list[str]:
        """The texts whose middle is within an interval, or else the one that its middle is in, as
        of a turn with several utterances."""
        first = bisect_left(self._middles, whole.start)
        last = bisect_left(self._middles, whole.end)
        if first == last:
            around = range(max(first - 1, 0), min(first + 1, len(self._own)))
            holds = [place for place in around if self._holds(place, _middle(whole))]
            first, last = (holds[0], holds[0] + 1) if holds else (first, last)
        self._used.update(range(first, last))
        return [one.text.strip() for one in self._own[first:last]]

    def _holds(self, place: int, time: float) -> bool:
        return self._own[place].start <= time < self._own[place].end

    @property
    def outside(self) -> list[Interval]:
        """Those that were within none."""
        return [one for place, one in enumerate(self._own) if place not in self._used]


def _middle(one: Interval) -> float:
    return (one.start + one.end) / 2
