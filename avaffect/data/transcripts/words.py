"""Words with their times, as every reader of transcripts gives them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError

# Cues of speech last some seconds: where half of them last longer, their times are milliseconds.
LONGEST_CUE_S = 60.0


@dataclass(frozen=True)
class Cue:
    """A text and its time as a file gives them: seconds, NaN where a time is missing, None where it
    is no number. line: in the file, from 1."""

    text: str
    start_s: float | None
    end_s: float | None
    line: int


@dataclass(frozen=True)
class Transcript:
    """The words of one recording, in the order of their beginnings.

    words: W texts without blanks; starts, ends: (W,) float64 seconds from the beginning of the
    recording, starts <= ends; unusable: reason -> lines of cues that are left out; unordered: how
    many cues begin before the one above them.
    """

    words: list[str]
    starts: np.ndarray
    ends: np.ndarray
    unusable: dict[str, list[int]] = field(default_factory=dict)
    unordered: int = 0
    # (W,) the latest end up to each word: words before a window are skipped by it.
    _latest: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_latest", np.maximum.accumulate(self.ends))

    def spoken(self, low_s: float, high_s: float) -> np.ndarray:
        """(K,) int64: the places of the words that are spoken between two times, or at one where
        they are equal; a word counts if any part of it is."""
        # A time is as long as the least float after it: [t, t] holds what begins at t.
        first = int(np.searchsorted(self._latest, low_s, side="left"))
        last = int(np.searchsorted(self.starts, high_s, side="left" if high_s > low_s else "right"))
        ends, starts = self.ends[first:last], self.starts[first:last]
        there = (ends > low_s) | (starts == ends) & (ends >= low_s)
        return first + np.flatnonzero(there)


def transcript_of(path: Path, cues: Iterable[Cue]) -> Transcript:
    """The words of cues: those of a cue share its time evenly by their characters. Cues whose times
    are missing, no numbers, negative, or end before they begin are left out.

    Raises DataError where the times cannot be seconds, or no cue is usable.
    """
    usable: list[Cue] = []
    unusable: dict[str, list[int]] = {}
    for cue in cues:
        if not cue.text.split():
            continue
        reason = _reason(cue)
        if reason is None:
            usable.append(cue)
        else:
            unusable.setdefault(reason, []).append(cue.line)
    if unusable and not usable:
        reason, lines = next(iter(unusable.items()))
        raise DataError(f"{path}: no cue has a usable time (line {lines[0]}: {reason})")
    spans = [_seconds(cue) for cue in usable]
    if spans and float(np.median([end - start for start, end in spans])) > LONGEST_CUE_S:
        raise DataError(
            f"{path}: half of its cues last more than {LONGEST_CUE_S:g} s; its times are probably "
            "milliseconds: convert them to seconds, or call the columns start_ms and end_ms"
        )
    unordered = sum(after[0] < before[0] for before, after in itertools.pairwise(spans))
    words, times = [], []
    for cue, (start, end) in zip(usable, spans):
        own = cue.text.split()
        words += own
        times += _shared(own, start, end)
    order = sorted(range(len(words)), key=lambda place: times[place])
    starts, ends = np.array([times[place] for place in order], dtype=np.float64).reshape(-1, 2).T
    return Transcript([words[place] for place in order], starts, ends, unusable, unordered)


def _reason(cue: Cue) -> str | None:
    """Why the time of a cue cannot be; None where it can."""
    if cue.start_s is None or cue.end_s is None:
        return "its time is no number"
    if not (math.isfinite(cue.start_s) and math.isfinite(cue.end_s)):
        return "its time is missing"
    if cue.start_s < 0:
        return "it begins before 0 s"
    return "it ends before it begins" if cue.end_s < cue.start_s else None


def _seconds(cue: Cue) -> tuple[float, float]:
    assert cue.start_s is not None and cue.end_s is not None
    return cue.start_s, cue.end_s


def _shared(words: Sequence[str], start: float, end: float) -> list[tuple[float, float]]:
    """The beginning and end of each word of a cue."""
    bounds = np.cumsum([0, *map(len, words)]) / sum(map(len, words))
    times = (start + (end - start) * bounds).tolist()
    times[-1] = end
    return list(itertools.pairwise(times))
