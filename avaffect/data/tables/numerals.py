"""Parsing numbers and times: decimal commas, thousands, pandas' timedeltas."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

MISSING = ("", "na", "n/a", "nan", "null", "<na>")
"""Spellings of a missing value, in any case."""
_NO_NUMBER = (*MISSING, "?", "none", "nat")
# Kaldi's spellings of an end that is the end of the recording.
TO_THE_END = -1.0
# Largest float32, the type in which numbers are stored.
LARGEST = (2 - 2**-23) * 2.0**127

# Thousands: 1,234,567 or 12.345. A single group may also be a decimal fraction.
_GROUPS = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:\{mark}\d{{3}})+") for mark in ",."}
_DECIMAL = {mark: re.compile(rf"[+-]?\d*\{mark}\d+(?:[eE][+-]?\d+)?") for mark in ",."}
_GROUPS_AND_DECIMAL = {
    mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:\{other}\d{{3}})+\{mark}\d+")
    for mark, other in (",.", ".,")
}
# Spreadsheets write the minus sign U+2212, and no-break spaces between thousands.
_SIGNS = {0x2212: "-", 0x00A0: None, 0x202F: None}
# -1 days +23:59:59, 0 days, 0 days 00:00:01.9, 1:02:03,5 and 2:03, with or without a fraction.
_CLOCK = re.compile(
    r"(?:(?P<days>[+-]?\d+) days?,?)?\s*"
    r"(?:(?P<sign>[+-])?(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+(?:[.,]\d+)?))?"
)
_UNITS_S = {
    "ns": 1e-9, "nanoseconds": 1e-9, "us": 1e-6, "µs": 1e-6, "microseconds": 1e-6, "ms": 1e-3,
    "milliseconds": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0,
    "h": 3600.0, "hours": 3600.0,
}  # fmt: skip
_WITH_UNIT = re.compile(r"([+-]?[\d.,]+)\s*([a-zµ]+)")
_ISO = re.compile(r"(-)?P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?")


def is_missing(text: str) -> bool:
    """Whether a text stands for a missing value."""
    return text.lower() in MISSING


def as_float(text: str) -> float:
    """A decimal number. Raises ValueError for another text, also for 1_0, which Python reads as
    10."""
    if "_" in text:
        raise ValueError(f"{text!r} is no number")
    return float(text)


def is_number(text: str) -> bool:
    """Whether a text is a decimal number, with a point or a comma."""
    try:
        return math.isfinite(as_float(text.replace(",", ".", 1)))
    except ValueError:
        return False


class Numbers:
    """The number format of a table.

    columns: the texts of its numeric columns; delimiter: the separator of fields. 1,234 and 1.234
    may be fractions or thousands: the other numbers of the column decide, then those of the table.
    If these do not, a comma is a decimal comma unless commas separate fields.
    """

    def __init__(self, columns: Iterable[Sequence[str]], delimiter: str) -> None:
        self._delimiter = delimiter
        self._of_table = _marks(text for texts in columns for text in texts)

    def of(self, texts: Sequence[str]) -> list[float | None]:
        """The numbers of a column: NaN for a missing value, None for a text that is no number, that
        exceeds float32, or that is ambiguous."""
        marks = _marks(texts)
        comma = self._comma(marks) if any("," in text for text in texts) else None
        return [_number(text, comma, "," in marks) for text in texts]

    def times(self, texts: Sequence[str]) -> list[float | None]:
        """A column of times in seconds, NaN and None as in `of`; also 0 days 00:00:01.9, 0:01.9,
        1.9 s, 1900 ms, PT1.9S."""
        found = self.of(texts)
        return [
            _time(text) if value is None else value
            for text, value in zip(texts, found, strict=True)
        ]

    def ends(self, texts: Sequence[str]) -> list[float | None]:
        """A column of end times: NaN also for -1 or inf, the end of the recording."""
        return [
            math.nan if value == TO_THE_END or text.lower() in ("inf", "infinity") else value
            for text, value in zip(texts, self.times(texts), strict=True)
        ]

    def _comma(self, marks: set[str]) -> str | None:
        """The meaning of a comma before three digits: decimal, thousands, or None if unknown."""
        for known in (marks, self._of_table):
            if len(known) == 2:
                return None
            if known:
                return "decimal" if "," in known else "thousands"
        return None if self._delimiter == "," else "decimal"


def _marks(texts: Iterable[str]) -> set[str]:
    """The decimal marks of unambiguous numbers."""
    found: set[str] = set()
    for text in texts:
        for mark in ",.":
            if mark in text and mark not in found:
                fraction = _DECIMAL[mark].fullmatch(text) and not _GROUPS[mark].fullmatch(text)
                if fraction or _GROUPS_AND_DECIMAL[mark].fullmatch(text):
                    found.add(mark)
    return found


def _number(text: str, comma: str | None, decimal_comma: bool) -> float | None:
    """comma: the meaning of 1,234. decimal_comma: whether the column has decimal commas, so that
    1.234 may be thousands."""
    if text.lower() in _NO_NUMBER:
        return math.nan
    text = text.translate(_SIGNS)
    if "," in text:
        plain = _without_commas(text, comma)
    else:
        plain = None if decimal_comma and _GROUPS["."].fullmatch(text) else text
    try:
        value = as_float(plain or "")
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def _without_commas(text: str, comma: str | None) -> str | None:
    """The number in Python's notation; None for a text that is no number, or ambiguous."""
    if _GROUPS_AND_DECIMAL[","].fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    if _GROUPS_AND_DECIMAL["."].fullmatch(text):
        return text.replace(",", "")
    if _GROUPS[","].fullmatch(text):
        if text.count(",") > 1 or comma == "thousands":
            return text.replace(",", "")
        return text.replace(",", ".") if comma == "decimal" else None
    return text.replace(",", ".") if _DECIMAL[","].fullmatch(text) else None


def _time(text: str) -> float | None:
    text = text.strip()
    found = _CLOCK.fullmatch(text)
    if text and found:
        days, hours, minutes, seconds = (
            float((found[name] or "0").replace(",", ".")) for name in ("days", "h", "m", "s")
        )
        clock = 3600 * hours + 60 * minutes + seconds
        return 86400 * days + (-clock if found["sign"] == "-" else clock)
    found = _WITH_UNIT.fullmatch(text.lower())
    if found and found[2] in _UNITS_S:
        value = Numbers((), ";").of([found[1]])[0]
        return None if value is None else value * _UNITS_S[found[2]]
    found = _ISO.fullmatch(text)
    if found and any(found.groups()[1:]):
        days, hours, minutes, seconds = (
            float((part or "0").replace(",", ".")) for part in found.groups()[1:]
        )
        value = 86400 * days + 3600 * hours + 60 * minutes + seconds
        return -value if found[1] else value
    return None
