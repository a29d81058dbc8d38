"""WebVTT, a file a recording, which players show as subtitles: a cue an utterance.

https://www.w3.org/TR/webvtt1: a cue's identifier is the utterance's id, its lines are
"NAME: VALUE" of labels and fields, the words come last without a name, and the speaker is its
voice. Times are whole milliseconds.
"""

from __future__ import annotations

import html
import math
import re
from pathlib import Path

from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange import tiers
from avaffect.data.exchange.listing import Listing, Utterance
from avaffect.data.exchange.pairing import Paired
from avaffect.data.exchange.reading import EMOTION, Found, mark_of
from avaffect.data.exchange.tiers import Annotations
from avaffect.data.tables.reader import of_part
from avaffect.data.tables.texts import read_text
from avaffect.data.transcripts import subtitles
from avaffect.settings.manifest import ManifestSettings

NAME = "vtt"
OPTIONS = (*tiers.OPTIONS, "encoding")
FOLDER = True
TAKEN = r"(?![\w.#-]+$).*"
NEEDS = ()
WORDS = "text"
_NAMED = re.compile(r"([\w.#-]+): (.*)")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")


def write(listing: Listing, output: Path) -> None:
    listing.lose_videos()
    labels = listing.plain_labels()
    names = listing.names()
    for path, own in listing.by_recording().items():
        cues = ["WEBVTT\n"]
        for one in own:
            start, end = listing.span(one)
            low = math.floor(start * 1000 + 1e-6)
            high = max(math.floor(end * 1000 + 1e-6), low + 1)
            times = f"{_clock(low)} {subtitles.ARROW} {_clock(high)}"
            cues.append("\n".join([one.id, times, *_lines(one, labels)]) + "\n")
        (output / f"{names[path]}.vtt").write_text("\n".join(cues), encoding="utf-8")


def _lines(one: Utterance, labels: list[str]) -> list[str]:
    known = {n: one.labels[n] for n in labels if n in one.labels}
    known |= {name: value for name, value in one.fields.items() if name not in ("speaker", WORDS)}
    lines = [f"{name}: {_escaped(value)}" for name, value in known.items()]
    if WORDS in one.fields:
        words = _escaped(one.fields[WORDS])
        lines.append(f"{WORDS}: {words}" if _NAMED.fullmatch(words) else words)
    if "speaker" in one.fields:
        first = lines[0] if lines else ""
        lines[:1] = [f"<v {_escaped(one.fields['speaker'])}>{first}"]
    return lines


def _escaped(value: object) -> str:
    """On one line: a blank line would end the cue."""
    return html.escape(" ".join(str(value).split()), quote=False)


def _clock(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def read(settings: ManifestSettings) -> Corpus:
    """WebVTT and SubRip, whose names are those of their recordings; a cue is an utterance.

    Cues without a usable time are lost.
    """
    files = tiers.files_of(settings.source, subtitles.SUFFIXES)
    annotations = Annotations.of(settings, NAME, files)
    known = _values_of(annotations.found)
    for file in files:
        paired = annotations.recordings.pair(file.stem, file)
        if paired is None:
            continue
        lines = read_text(file).split("\n")
        for place, texts in subtitles.blocks(lines):
            before = lines[place - 1].strip() if place else ""
            _cue(annotations, paired, file, known, (place + 1, lines[place], before, texts))
    return annotations.corpus()


def _cue(
    annotations: Annotations, paired: Paired, file: Path, known: frozenset[str],
    cue: tuple[int, str, str, list[str]],
) -> None:  # fmt: skip
    """known: names of values; cue: number of the line of its times, that line, the one before it,
    and its texts."""
    number, times, before, texts = cue
    timing = subtitles.TIMING.fullmatch(times)
    if timing is None:
        annotations.found.lose(f"cues without a usable time in {file}", f"line {number}")
        return
    start, end = map(subtitles.seconds, timing.groups())
    values: dict[str, str] = {}
    words = []
    for line in texts:
        voice = _VOICE.search(line)
        if voice is not None:
            values["speaker"] = html.unescape(voice[1].strip())
        named = _NAMED.fullmatch(subtitles.plain(line))
        if named is not None and named[1] in known:
            values[named[1]] = named[2]
        elif subtitles.plain(line):
            words.append(subtitles.plain(line))
    if words:
        values[WORDS] = " ".join(words)
    # SubRip numbers its cues; in what `export` wrote a number is an id.
    is_number = before.isdigit() and not mark_of(annotations.found)
    named_so = before and not is_number and not before.startswith(subtitles.WEB)
    identifier = before if named_so else of_part(paired.name, (start, end))
    annotations.found.add(identifier, paired.media, start, end, dict(values))


def _values_of(found: Found) -> frozenset[str]:
    """The NAMEs of lines "NAME: VALUE" that are labels and fields: of what `export` wrote, or by
    the options. Others are words: "Ann: so what"."""
    mark, settings = mark_of(found, of_a_file=True), found.settings
    options = (*settings.label, *settings.scalar, *settings.field)
    named = {text.partition("=")[2] for text in options}
    return frozenset({EMOTION, WORDS, *named, *mark.get("labels", ()), *mark.get("fields", ())})
