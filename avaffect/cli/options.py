"""Options and arguments of a command, built from its settings dataclass."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from avaffect.core.near import meant
from avaffect.settings.base import flags_of

METAVARS = {int: "N", float: "X", Path: "FILE"}


def parameters(settings_class: type) -> list[click.Parameter]:
    """click parameters for every field: positional ones, required options, the others."""
    hints = typing.get_type_hints(settings_class)
    # Inherited fields come first in a dataclass; in help the command's own options come first, and
    # common ones last.
    order: dict[str, int] = {}
    for each in settings_class.__mro__:
        for name in inspect.get_annotations(each):
            order.setdefault(name, len(order))

    def place(item: dataclasses.Field) -> tuple[bool, bool, int]:
        required = item.default is dataclasses.MISSING
        return not item.metadata["positional"], not required, order[item.name]

    return [
        (_argument if item.metadata["positional"] else _option)(item, hints[item.name])
        for item in sorted(dataclasses.fields(settings_class), key=place)
    ]


def build(settings_class: type, values: dict[str, Any]) -> Any:
    """The settings object from click's values, which are not tuples of paths."""
    names = {item.name for item in dataclasses.fields(settings_class)}
    return settings_class(**{name: value for name, value in values.items() if name in names})


def _argument(item: dataclasses.Field, hint: Any) -> click.Argument:
    kind, many = _kind(hint)
    required = item.default is dataclasses.MISSING
    metavar = item.metadata["metavar"] or item.name.upper()
    shown = metavar if required else f"[{metavar}]"
    shared: dict[str, Any] = {
        "help": item.metadata["help"], "type": kind, "required": required,
        "shell_complete": _completing(item),
    }  # fmt: skip
    if many:
        return click.Argument([item.name], nargs=-1, metavar=f"{shown}...", **shared)
    if not required:
        # Else no default at all, as None is a value for click.
        shared["default"] = item.default
    return click.Argument([item.name], metavar=shown, **shared)


def _completing(item: dataclasses.Field) -> Callable[..., list[Any]]:
    """What a shell may complete for an option or argument."""

    def complete(context: click.Context, _: click.Parameter, typed: str) -> list[Any]:
        from avaffect.cli import candidates

        return candidates.of_value(item, context.obj or (), typed)

    return complete


class _Choice(click.Choice):
    """A choice whose error suggests the nearest value."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        said = super().get_invalid_choice_message(value, ctx).removesuffix(".")
        return f"{said}{meant(str(value), map(str, self.choices))}"


class _Option(click.Option):
    """An option whose help shows its range: [default: 1; at least 1]."""

    def __init__(self, *arguments: Any, range: str, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._range = range

    def get_help_extra(self, context: click.Context) -> Any:
        extra = super().get_help_extra(context)
        if isinstance(self.default, float) and "default" in extra:
            extra["default"] = f"{self.default:g}"
        if self._range:
            extra["range"] = self._range
        return extra


def _option(item: dataclasses.Field, hint: Any) -> click.Option:
    kind, many = _kind(hint)
    meta = item.metadata
    flags = flags_of(item)
    shared: dict[str, Any] = {"help": meta["help"], "range": str(meta["range"])}
    if kind is bool:
        return _Option([*flags, item.name], is_flag=True, default=item.default, **shared)
    if meta["choices"]:
        kind = _Choice(meta["choices"])
    else:
        shared["shell_complete"] = _completing(item)
    metavar = meta["metavar"] or (None if meta["choices"] else METAVARS.get(_plain_type(hint)))
    shared |= {"type": kind, "multiple": many, "metavar": metavar}
    if item.default is dataclasses.MISSING:
        return _Option([*flags, item.name], required=True, **shared)
    shown = item.default not in (None, (), "")
    return _Option([*flags, item.name], default=item.default, show_default=shown, **shared)


def _kind(hint: Any) -> tuple[Any, bool]:
    """click's type for a field, and whether it may be repeated: tuple[X, ...]."""
    many = typing.get_origin(hint) is tuple and typing.get_args(hint)[-1] is Ellipsis
    return _scalar(hint), many


def _plain_type(hint: Any) -> Any:
    """X of X | None and of tuple[X, ...]."""
    if typing.get_origin(hint) is tuple and typing.get_args(hint)[-1] is Ellipsis:
        hint = typing.get_args(hint)[0]
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _scalar(hint: Any) -> Any:
    hint = _plain_type(hint)
    if typing.get_origin(hint) is tuple:
        # One option with several values: click takes a tuple of types.
        return typing.get_args(hint)
    if hint is Path:
        # click does not check files: reading them gives the status of bad data.
        return click.Path(path_type=Path, readable=False)
    return hint
