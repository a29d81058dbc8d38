"""Transcripts in subtitles: WebVTT, also with a time for each word, and SubRip (SRT).

webvtt-py, pysubs2 and others strip the times of words, which the captions of YouTube and of speech
recognisers have; without them the formats are cues between lines with an arrow.
"""

from __future__ import annotations

import html
import itertools
import re
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data.tables.texts import read_text
from avaffect.data.transcripts.words import Cue

SUFFIXES = (".vtt", ".srt")
ARROW = "-->"
WEB = "WEBVTT"
_CLOCK = r"-?(?:\d+:)?\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?"
TIMING = re.compile(rf"\s*({_CLOCK})\s*{ARROW}\s*({_CLOCK})(?:\s.*)?")
_WORD_TIME = re.compile(rf"<({_CLOCK})>")
# <c.yellow>, <v Roger>, </i>; {\an8}, which SRT takes from another format.
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|</>|\{\\[^{}]*\}")
# The word that is being spoken, in a cue that shows its neighbours too.
_MARKED = re.compile(r"<(u|b|i|font|c)\b[^<>]*>(.*?)</\1>", re.DOTALL)
# Blocks of WebVTT that are no cues.
_NO_CUE = ("NOTE", "STYLE", "REGION")


def read(path: Path) -> list[Cue]:
    """The cues of a file, those with times for their words as one cue for each such time.

    Captions that roll, as YouTube's do, repeat the line above: in a file with times of words, a
    line without such a time that the cue before has too is left out. So are, of cues that show one
    text again and again with another word marked, as those of Whisper's --highlight_words, the
    words that are not marked.

    Raises DataError where it is no text, or no subtitles.
    """
    lines = read_text(path).splitlines()
    found_blocks = blocks(lines)
    places = [place for place, _ in found_blocks]
    if not places and not lines[0].startswith(WEB):
        raise DataError(f"{path} has no line with times such as 00:01.500 {ARROW} 00:03.000")
    rolls = any(_WORD_TIME.search(line) for line in lines)
    shown = [texts for _, texts in found_blocks]
    found: list[Cue] = []
    before: set[str] = set()
    for place, texts in zip(places, shown if rolls else _of_marked(shown)):
        timing = TIMING.fullmatch(lines[place])
        if timing is None:
            found.append(Cue("".join(texts), None, None, place + 1))
            continue
        if rolls:
            new = [text for text in texts if _WORD_TIME.search(text) or plain(text) not in before]
            before = {plain(text) for text in texts}
            texts = new
        start, end = (seconds(text) for text in timing.groups())
        found += _timed("\n".join(texts), start, end, place + 1)
    return found


def _of_marked(blocks: list[list[str]]) -> list[list[str]]:
    """The texts of cues; of neighbours with one text in which marks go from word to word, what is
    marked alone."""
    found: list[list[str]] = []
    for whole, group in itertools.groupby(blocks, lambda texts: plain("\n".join(texts))):
        same = list(group)
        parts = [[plain(part[2]) for part in _MARKED.finditer("\n".join(texts))] for texts in same]
        shown = [part for part in parts if part]
        # One mark a cue, less than the whole, and not always the same word.
        goes = len(same) > 1 and all(len(part) == 1 and part != [whole] for part in shown)
        rises = goes and len({"\n".join(texts) for texts in same if texts}) > 1
        found += parts if shown and rises else same
    return found


def blocks(lines: list[str]) -> list[tuple[int, list[str]]]:
    """The place of each line with times, and the texts below it: in WebVTT up to a blank line; in
    SubRip, which programs write with blank lines in a text, up to the number of the next cue."""
    places = [number for number, line in enumerate(lines) if ARROW in line]
    is_web = bool(lines) and lines[0].startswith(WEB)
    return [
        (place, _texts(lines[place + 1 : following], following < len(lines), is_web))
        for place, following in zip(places, [*places[1:], len(lines)])
    ]


def _texts(lines: list[str], cue_follows: bool, is_web: bool) -> list[str]:
    """The text between a line of times and the next. cue_follows: the last line may be the number
    of the next cue, or in WebVTT its name."""
    named = cue_follows and lines
    if named and (lines[-1].strip().isdigit() or (is_web and _blank(lines[-2:-1]))):
        lines = lines[:-1]
    found: list[str] = []
    for line in lines:
        if _blank([line]):
            if found and is_web:
                break
        elif line.startswith(_NO_CUE) and is_web and not found:
            break
        else:
            found.append(line)
    return found


def _blank(lines: list[str]) -> bool:
    return bool(lines) and not lines[0].strip()


def _timed(text: str, start: float, end: float, line: int) -> list[Cue]:
    """The parts of a cue's text between the times of words in it."""
    parts = _WORD_TIME.split(text)
    times = [start, *map(seconds, parts[1::2]), end]
    return [
        Cue(plain(part), low, high, line) for part, low, high in zip(parts[::2], times, times[1:])
    ]


def plain(text: str) -> str:
    """The text without tags and entities."""
    return html.unescape(_TAG.sub("", _WORD_TIME.sub("", text))).strip()


def seconds(clock: str) -> float:
    """A time such as 00:01.500 or 1:00:03,000."""
    total = 0.0
    for part in clock.lstrip("-").replace(",", ".").split(":"):
        total = total * 60 + float(part)
    return -total if clock.startswith("-") else total
