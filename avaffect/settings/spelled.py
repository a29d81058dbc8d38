"""Settings as the words of a command line."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints

from avaffect.settings.base import Settings, flags_of


def command_line(command: str, settings: Settings) -> str:
    """The shell line that gives these settings: arguments, then options that are not at their
    default, the output last."""
    places: list[str] = []
    options: list[str] = []
    outputs: list[str] = []
    hints = get_type_hints(type(settings))
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        words = words_of(item, hints[item.name], value)
        if item.metadata["positional"]:
            places += words
        elif value != item.default:
            of_kind = outputs if item.name == "output" else options
            of_kind += words
    return shlex.join(["avaffect", command, *places, *options, *outputs])


def words_of(item: dataclasses.Field, hint: Any, value: Any) -> list[str]:
    """The words of a field with a value: of a positional one the value; otherwise a flag, the short
    one where there is one, and the value; of `--align/--no-align` the half that is meant.

    hint: the type of the field; of a tuple without end each value has a flag of its own, of another
    one all values follow one flag.
    """
    several = list(value) if isinstance(value, (tuple, list)) else [value]
    if item.metadata["positional"]:
        return [_text(one) for one in several]
    flags = flags_of(item)
    flag = next((each for each in flags if len(each) == len("-o")), flags[-1])
    if isinstance(value, bool):
        halves: Sequence[str] = flag.split("/")
        return list(halves[:1] if value else halves[1:])
    if not is_repeated(hint):
        return [flag, *map(_text, several)]
    return [word for one in several for word in (flag, _text(one))]


def is_repeated(hint: Any) -> bool:
    """Whether a type is a tuple without end, or None beside it."""
    if get_origin(hint) is tuple:
        return get_args(hint)[-1] is Ellipsis
    return any(map(is_repeated, get_args(hint)))


def _text(value: Any) -> str:
    """95.0 is 95, as a person would write it."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else str(value)
