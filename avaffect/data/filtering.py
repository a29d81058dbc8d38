"""Conditions on the items of a manifest, and manifests after an external filter."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from avaffect.core.errors import DataError, UsageError
from avaffect.data import manifest
from avaffect.data.manifest import Item, Manifest

CONDITION = re.compile(r"([^!<>=]+)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """`field=a,b` (is one of), `field!=a,b` (is none of), `field>=number` and the like.

    The field is a key of the item or the name of a label. An item without it counts as empty text:
    `session=` keeps items that name no session. Of a list, one element that fits is enough.
    """

    text: str
    field: str
    sign: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises UsageError where `text` is no condition."""
        match = CONDITION.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--where {text}: expected a field, one of = != < <= > >=, and values with commas "
                "between"
            )
        name, sign, values = match.groups()
        if values.startswith("="):
            raise UsageError(f"--where {text}: equality is one =")
        condition = cls(text, name.strip(), sign, tuple(v.strip() for v in values.split(",")))
        if sign in ORDER:
            condition.number()
        return condition

    def number(self) -> float:
        """What to compare with by order; raises UsageError where it is no single number."""
        try:
            return float(",".join(self.values))
        except ValueError as error:
            raise UsageError(f"--where {self.text}: {self.sign} compares with a number") from error

    def holds(self, item: Item) -> bool:
        found = value_of(item, self.field)
        candidates = found if isinstance(found, list) else [found]
        if self.sign in ORDER:
            compare, number = ORDER[self.sign], self.number()
            numbers = [v for v in candidates if isinstance(v, (int, float))]
            return any(compare(v, number) for v in numbers)
        equal = any(as_text(v) in self.values for v in candidates)
        return equal is (self.sign == "=")


def value_of(item: Item, name: str) -> Any:
    """A key of the item, or one of its labels; None where it has neither."""
    return item[name] if name in item else (item.get("labels") or {}).get(name)


def as_text(value: Any) -> str:
    """As one would type it: whole numbers without a point, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def identifier_of(item: Item) -> str:
    """The id of a corpus or predictions item, the query of a retrieval item."""
    return str(item.get("id", item.get("query", "")))


def require_field(source: Manifest, condition: Condition) -> None:
    """Raises DataError where neither the items nor the header know the condition's field."""
    names = {name for item in source.items for name in (*item, *(item.get("labels") or {}))}
    names |= set(source.header.get("labels", {}))
    if source.items and condition.field not in names:
        have = ", ".join(sorted(names - {"kind", "labels"}))
        raise DataError(f"{source.name}: no item has {condition.field!r} (they have: {have})")


@dataclass(frozen=True)
class Filtered:
    """What a filter let through. `ended`: the end record of the stream before it came too."""

    header: dict[str, Any] | None
    items: list[Item]
    ended: bool


def read_filtered(stream: BinaryIO, name: str, allow_cut: bool) -> Filtered:
    """Read a manifest whose records a filter may have dropped, changed or reordered.

    The count of the end record is stale and ignored; that the record came shows that the stream
    was whole before the filter.

    Raises DataError where two manifests were joined, a line is no record, or, unless allow_cut,
    the end record did not come.
    """
    header: dict[str, Any] | None = None
    items: list[Item] = []
    ended = False
    for number, line in enumerate(_lines(stream, name, allow_cut), start=1):
        record = manifest.parse_record(line, name, number)
        kind = record.get("kind")
        if kind == "item":
            items.append(record)
        elif kind == "header" and header is None:
            header = manifest.parse_header(line, name)
        elif kind == "end" and not ended:
            ended = True
        elif kind in ("header", "end"):
            raise DataError(
                f"{name}, line {number}: a second {kind} record: these are several manifests; seal "
                "each by itself, join their stores with `avaffect merge`"
            )
        else:
            raise DataError(f"{name}, line {number}: unknown kind of record {kind!r}")
    if not ended and not allow_cut:
        raise DataError(_no_end(name, header, items))
    return Filtered(header, items, ended)


def _lines(stream: BinaryIO, name: str, allow_cut: bool) -> Iterable[bytes]:
    for line in stream:
        if line.strip() in (b"{", b"["):
            raise DataError(f"{name}: {manifest.SEVERAL_LINES}")
        if line.strip() and not (allow_cut and _is_rest(line)):
            yield line


def _is_rest(line: bytes) -> bool:
    """Whether this is a last line that was cut in the middle."""
    if line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def _no_end(name: str, header: dict[str, Any] | None, items: list[Item]) -> str:
    if header is None and not items:
        said = f"{name} is empty: what was to write it failed, or its filter let nothing through"
    else:
        said = (
            f"{name} has no end record after {len(items)} items: it was cut short, or the filter "
            "dropped that record, as grep and head do"
        )
    return f"{said}; if the filter did, say so with --allow-cut"
