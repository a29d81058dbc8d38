"""Reading JSON of strangers: what two readers might take for different things is no JSON here.

Python's own reader takes NaN and Infinity, makes an infinity of 1e999, keeps the last of two equal
keys, and ends with a RecursionError where brackets are nested thousands deep.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any


def parse(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises ValueError where it is no JSON, has a number beyond those of a float or a key twice in an
    object, or is nested too deeply.
    """
    try:
        return json.loads(
            text, parse_constant=_refused, parse_float=_number, object_pairs_hook=_object
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_at(text: str, place: int) -> tuple[Any, int]:
    """The value that begins at a place of a text, and its end. Raises ValueError as `parse`."""
    decoder = json.JSONDecoder(
        parse_constant=_refused, parse_float=_number, object_pairs_hook=_object
    )
    try:
        return decoder.raw_decode(text, place)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def values(text: str) -> Iterator[tuple[int, Any]]:
    """The values of a text that has one after the other, each with the place where it begins.

    Raises Misplaced where `parse` raises ValueError.
    """
    place = 0
    while rest := text[place:].lstrip():
        begin = len(text) - len(rest)
        try:
            found, place = parse_at(text, begin)
        except ValueError as error:
            raise Misplaced(begin, error) from error
        yield begin, found


class Misplaced(ValueError):
    """place: where no JSON value begins, or one that is cut short."""

    def __init__(self, place: int, error: ValueError) -> None:
        super().__init__(str(error))
        self.place = place


def _refused(text: str) -> None:
    raise ValueError(f"{text} is not JSON; leave a missing value out, or write null")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice in one object")
    return found
