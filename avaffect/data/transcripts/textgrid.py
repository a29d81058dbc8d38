"""Transcripts in Praat's TextGrid: intervals of a tier of words.

Praat reads of a text file the numbers, the texts in quotation marks and the flags in angle brackets
that stand by themselves, and nothing else, so that the long and the short form are one
(https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html). That is a dozen lines here;
praatio and its like write and edit TextGrids too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data.tables.texts import read_text
from avaffect.data.transcripts.words import Cue

SUFFIXES = (".textgrid",)
WORDS = ("words", "word")
# Texts by which aligners mark pauses and noises.
SILENCES = ("sil", "sp", "spn", "<sil>", "<eps>", "<p:>")
_BINARY = b"ooBinaryFile"
_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"'
    r"|(?<!\S)(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)"
    r"|(?<!\S)(?P<flag><\w+>)(?!\S)|(?<!\S)![^\n]*"
)


@dataclass(frozen=True)
class Tier:
    """A tier of intervals, each a cue."""

    name: str
    cues: list[Cue]


class _Tokens:
    """The free-standing texts and numbers of a file, one after the other."""

    def __init__(self, path: Path, content: str) -> None:
        self.path, self.content = path, content
        self._found: Iterator[re.Match[str]] = (
            found for found in _TOKEN.finditer(content) if found.lastgroup is not None
        )
        self.line = 1
        self._place = 0

    def text(self) -> str:
        return self._next("text").replace('""', '"')

    def number(self) -> float:
        return float(self._next("number"))

    def count(self) -> int:
        value = self.number()
        if value < 0 or value != int(value):
            raise DataError(f"{self.path}, line {self.line}: {value:g} is no number of items")
        return int(value)

    def flag(self) -> str:
        return self._next("flag")

    def _next(self, kind: str) -> str:
        found = next(self._found, None)
        if found is None:
            raise DataError(f"{self.path} is a truncated TextGrid: it ends where a {kind} is due")
        # Counted from the token before: a long file has many.
        self.line += self.content.count("\n", self._place, found.start())
        self._place = found.start()
        if found.lastgroup != kind:
            raise DataError(
                f"{self.path}, line {self.line}: {found[0][:40]} where a {kind} is due in a "
                "TextGrid"
            )
        return found[kind]


def read(path: Path, tier: str | None = None) -> list[Cue]:
    """The intervals of a tier of words. tier: its name; by default the tiers called words or word,
    with a speaker before it or not ("Ann - words"), or the only tier.

    Raises DataError where it is no TextGrid in text, is truncated, or has no such tier.
    """
    return [
        cue
        for chosen in _chosen(path, tiers(path), tier)
        for cue in chosen.cues
        if cue.text.strip().lower() not in SILENCES
    ]


def tiers(path: Path) -> list[Tier]:
    """The tiers of intervals, those without a text included.

    Raises DataError where it is no TextGrid in text, or is truncated.
    """
    with path.open("rb") as stream:
        if stream.read(len(_BINARY)) == _BINARY:
            raise DataError(f"{path} is a binary TextGrid: save it as a text file in Praat")
    tokens = _Tokens(path, read_text(path))
    try:
        kinds = [tokens.text(), tokens.text()]
    except DataError:
        kinds = []
    if kinds != ["ooTextFile", "TextGrid"]:
        raise DataError(f"{path} is no TextGrid in text: save it as a text file in Praat")
    tokens.number(), tokens.number()
    if tokens.flag() != "<exists>":
        return []
    return [found for _ in range(tokens.count()) if (found := _tier(tokens)) is not None]


def _tier(tokens: _Tokens) -> Tier | None:
    """The next tier; None where it is of points."""
    kind, name = tokens.text(), tokens.text()
    tokens.number(), tokens.number()
    cues = []
    for _ in range(tokens.count()):
        start = tokens.number()
        end = tokens.number() if kind == "IntervalTier" else start
        cues.append(Cue(tokens.text(), start, end, tokens.line))
    return Tier(name, cues) if kind == "IntervalTier" else None


def _chosen(path: Path, there: list[Tier], wanted: str | None) -> list[Tier]:
    if wanted is not None:
        found = [tier for tier in there if tier.name == wanted]
    else:
        found = [tier for tier in there if _last_part(tier.name) in WORDS]
        found = found or (there if len(there) == 1 else [])
    if not found:
        names = ", ".join(tier.name for tier in there) or "none"
        what = f"tier {wanted!r}" if wanted is not None else "tier called words"
        raise DataError(f"{path} has no {what} (of intervals there are: {names}): name one "
                        "with --tier")  # fmt: skip
    return found


def _last_part(name: str) -> str:
    return name.rpartition(" - ")[2].strip().lower()
