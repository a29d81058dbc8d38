"""Settings as the words of a command line."""

from __future__ import annotations

import dataclasses
import shlex

from avaffect.settings.base import Settings, flags_of


def command_line(command: str, settings: Settings) -> str:
    """The shell line that gives these settings: arguments, then options that are not at their
    default, the output last."""
    places: list[str] = []
    options: list[str] = []
    outputs: list[str] = []
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if item.metadata["positional"]:
            places += map(_word, value if isinstance(value, tuple) else (value,))
        elif value != item.default:
            of_kind = outputs if item.name == "output" else options
            of_kind += _option(item, value)
    return shlex.join(["avaffect", command, *places, *options, *outputs])


def _option(item: dataclasses.Field, value: object) -> list[str]:
    """The flag with its value, the short one where there is one; of `--align/--no-align` the half
    that is meant."""
    flags = flags_of(item)
    flag = next((each for each in flags if len(each) == len("-o")), flags[-1])
    if isinstance(value, bool):
        halves = flag.split("/")
        return halves[:1] if value else halves[1:]
    if not isinstance(value, tuple):
        return [flag, _word(value)]
    # Numbers follow one flag; what may be repeated has one each.
    if value and isinstance(value[0], (int, float)):
        return [flag, *map(_word, value)]
    return [word for one in value for word in (flag, _word(one))]


def _word(value: object) -> str:
    """95.0 is 95, as a person would write it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
