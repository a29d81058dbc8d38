"""Configurations of parts: frozen dataclasses whose fields are JSON values, tuples of these, or
configurations."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

C = TypeVar("C")


def read(kind: type[C], values: Mapping[str, Any]) -> C:
    """The inverse of dataclasses.asdict, also for values from JSON.

    Raises KeyError, TypeError or ValueError for values that do not fit.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    return kind(**{name: _read(hints.get(name, Any), value) for name, value in values.items()})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(hint: Any, value: Any) -> Any:
    """`value` of JSON converted to the type `hint`: a list to a tuple, an object to a
    configuration."""
    inner = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        some = next(one for one in inner if one is not types.NoneType)
        return None if value is None else _read(some, value)
    if get_origin(hint) is tuple:
        if inner[1:] == (Ellipsis,):
            return tuple(_read(inner[0], one) for one in value)
        return tuple(_read(of, one) for of, one in zip(inner, value, strict=True))
    if isinstance(value, Mapping) and is_dataclass(hint):
        return read(hint, value)  # type: ignore[arg-type]
    return value
