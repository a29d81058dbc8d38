"""JSON objects as frozen dataclasses that keep unknown keys."""

from __future__ import annotations

import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from avaffect.core.errors import DataError

R = TypeVar("R", bound="Record")


def nullable(**options: Any) -> Any:
    """A field, None by default, that stands in JSON as null where it is None; others of which None
    is the default are left out there."""
    return field(default=None, metadata={"null": True}, **options)


@dataclass(frozen=True, kw_only=True)
class Record:
    """A JSON object: its keys are the names of the fields.

    Fields are texts, numbers, records, tuples of these (JSON lists) and dictionaries.
    rest: keys that are no field, as a later version may write them.
    keeps_nulls: whether a null of a key that may be left out stays there, in the rest; part of the
    content id of manifests.
    """

    keeps_nulls: ClassVar[bool] = False

    rest: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls: type[R], found: Mapping[str, Any]) -> R:
        """The record that JSON holds. Raises DataError, naming the key, where one is missing or of
        another type."""
        hints = _hints(cls)  # type: ignore[arg-type]
        values = {}
        for item in fields(cls):
            name = item.name
            kept = cls.keeps_nulls and found.get(name) is None and item.default is None
            if name in found and name != "rest" and not kept:
                values[name] = _read(hints[name], found[name], name)
            elif item.default is MISSING and item.default_factory is MISSING:
                raise DataError(f"it has no {name}")
        return cls(**values, rest={k: v for k, v in found.items() if k not in values})

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads, JSON-able. Keys of the rest that are fields stand aside."""
        written = {}
        for item in fields(self):
            value = getattr(self, item.name)
            left_out = value is None and item.default is None and "null" not in item.metadata
            if item.name != "rest" and not left_out:
                written[item.name] = _plain(value)
        return {**self.rest, **written}


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _read(hint: Any, value: Any, name: str) -> Any:
    """`value` of JSON as `hint` says; name: of the key, for the error."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in inner:
            return None
        *others, last = (one for one in inner if one is not types.NoneType)
        for one in others:
            with suppress(DataError):
                return _read(one, value, name)
        return _read(last, value, name)
    if origin is tuple:
        return tuple(_read(inner[0], one, name) for one in _checked(list, value, name))
    if origin is dict or is_typeddict(hint):
        of = inner[1] if inner else Any
        return {k: _read(of, one, name) for k, one in _checked(dict, value, name).items()}
    if isinstance(hint, type) and issubclass(hint, Record):
        try:
            return hint.from_dict(_checked(dict, value, name))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    return _checked((int, float) if hint is float else hint, value, name)


def _checked(kind: Any, value: Any, name: str) -> Any:
    is_number = kind is int or isinstance(kind, tuple)
    if not isinstance(value, kind) or (is_number and isinstance(value, bool)):
        raise DataError(f"its {name} is {str(value)[:40]!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value
