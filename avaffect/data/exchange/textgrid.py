"""Praat's TextGrid, a file a recording: a tier of intervals for each label and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange import tiers
from avaffect.data.exchange.listing import Listing
from avaffect.data.exchange.tiers import Annotations, Interval
from avaffect.data.transcripts import textgrid
from avaffect.settings.manifest import ManifestSettings

NAME = "textgrid"
OPTIONS = (*tiers.OPTIONS, "encoding")
FOLDER = True
TAKEN = tiers.TAKEN
NEEDS = ()


def write(listing: Listing, output: Path) -> None:
    listing.lose_videos()
    names = listing.names()
    for path, own in listing.by_recording().items():
        found = tiers.tiers_of(listing, own)
        length = max(listing.recorded(own[0]).seconds, *(i.end for t in found.values() for i in t))
        (output / f"{names[path]}.TextGrid").write_text(_text(found, length), encoding="utf-8")


def _text(found: dict[str, list[Interval]], length: float) -> str:
    """The long form, as Praat saves it."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0",
             f"xmax = {length!r}", "tiers? <exists>", f"size = {len(found)}",
             "item []:"]  # fmt: skip
    for number, (name, intervals) in enumerate(found.items(), start=1):
        whole = _filled(intervals, length)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"',
                  f"        name = {_quoted(name)}", "        xmin = 0",
                  f"        xmax = {length!r}",
                  f"        intervals: size = {len(whole)}"]  # fmt: skip
        for place, one in enumerate(whole, start=1):
            lines += [f"        intervals [{place}]:", f"            xmin = {one.start!r}",
                      f"            xmax = {one.end!r}",
                      f"            text = {_quoted(one.text)}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _filled(intervals: Sequence[Interval], length: float) -> list[Interval]:
    """With empty intervals between, as a tier has no gaps."""
    found: list[Interval] = []
    until = 0.0
    for one in intervals:
        if one.start > until:
            found.append(Interval(until, one.start, ""))
        found.append(one)
        until = one.end
    return [*found, Interval(until, length, "")] if until < length else found


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def read(settings: ManifestSettings) -> Corpus:
    """TextGrids, whose names are those of their recordings. Raises DataError as the reader does."""
    files = tiers.files_of(settings.source, textgrid.SUFFIXES)
    annotations = Annotations.of(settings, NAME, files)
    for file in files:
        paired = annotations.recordings.pair(file.stem, file)
        if paired is not None:
            found = {tier.name: _intervals(tier) for tier in textgrid.tiers(file)}
            annotations.add(paired, found)
    return annotations.corpus()


def _intervals(tier: textgrid.Tier) -> list[Interval]:
    return [Interval(cue.start_s or 0.0, cue.end_s or 0.0, cue.text) for cue in tier.cues]
