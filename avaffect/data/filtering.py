"""Conditions on the items of a manifest, and manifests after an external filter."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from avaffect.core import plain_json
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers.manifest import ManifestHeader
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.data import manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.data.tables.numerals import as_float
from avaffect.data.tables.texts import nfc

CONDITION = re.compile(r"([^!<>=]+)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """`field=a,b` (one of), `field!=a,b` (none of), `field>=number`; likewise >, <= and <.

    The field is a key of the item or the name of a label, and an empty string if it is missing:
    `session=` keeps items without a session. Of a list, one matching element is enough.
    """

    text: str
    field: str
    sign: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises UsageError if `text` is not a condition."""
        match = CONDITION.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--where {text}: expected a field, one of = != < <= > >=, and values separated "
                "by commas"
            )
        name, sign, values = match.groups()
        if values.startswith("="):
            raise UsageError(f"--where {text}: use a single = for equality")
        condition = cls(text, name.strip(), sign, tuple(v.strip() for v in values.split(",")))
        if sign in ORDER:
            condition.number()
        return condition

    def number(self) -> float:
        """The number to compare with; raises UsageError if it is not a single number."""
        try:
            return float(",".join(self.values))
        except ValueError as error:
            raise UsageError(f"--where {self.text}: {self.sign} needs a number") from error

    def holds(self, item: Item) -> bool:
        candidates = candidates_of(item, self.field)
        if self.sign in ORDER:
            compare, number = ORDER[self.sign], self.number()
            numbers = [own for v in candidates if (own := number_of(v)) is not None]
            return any(compare(v, number) for v in numbers)
        return any(map(self._equal, candidates)) is (self.sign == "=")

    def _equal(self, value: Any) -> bool:
        return any(is_value(value, text) for text in self.values)

    def unmet(self, items: Iterable[Item]) -> tuple[list[str], list[str]]:
        """What is odd about a condition: values that no item has, in = and !=; texts that are no
        number, in the others."""
        there = {as_text(value): value for item in items
                 for value in candidates_of(item, self.field)}  # fmt: skip
        if self.sign in ORDER:
            return [], sorted(t for t, value in there.items() if t and number_of(value) is None)
        values = list(there.values())
        return [t for t in self.values if t and not any(is_value(v, t) for v in values)], []


def value_of(item: Item, name: str) -> Any:
    """A key of the item, or one of its labels; None if it has neither."""
    return item[name] if name in item else (item.get("labels") or {}).get(name)


def candidates_of(item: Item, name: str) -> list[Any]:
    """The elements of a list, or the value itself."""
    found = value_of(item, name)
    return found if isinstance(found, list) else [found]


def number_of(value: Any) -> float | None:
    """A number, or a text that is one, as fields of tables are; None for others."""
    if isinstance(value, str):
        try:
            return as_float(value)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) else None


def is_value(value: Any, text: str) -> bool:
    """Whether `text` is how a user types the value: 3.0 is 3, and ä has one code or two."""
    spelled = as_text(value)
    if spelled == text:
        return True
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number_of(text) == value
    return not (spelled.isascii() and text.isascii()) and nfc(spelled) == nfc(text)


def as_text(value: Any) -> str:
    """A value as a user types it: whole numbers without a point, None as an empty string."""
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
    """Raises DataError if neither the items nor the header have the condition's field."""
    names = {name for item in source.items for name in (*item, *(item.get("labels") or {}))}
    names |= set(source.header.labels or {})
    if source.items and condition.field not in names:
        have = ", ".join(sorted(names - {"kind", "labels"}))
        raise DataError(
            f"{source.name}: no item has {condition.field!r} (they have: {have})"
            f"{meant(condition.field, names)}"
        )


@dataclass(frozen=True)
class Filtered:
    """The output of a filter. `ended`: it contains the end record of the original manifest."""

    header: ManifestHeader | None
    items: list[Item]
    ended: bool


def read_filtered(stream: BinaryIO, name: str, allow_cut: bool) -> Filtered:
    """Read a manifest whose records a filter may have dropped, changed or reordered.

    The count of the end record is outdated and ignored; the presence of the record shows that the
    manifest was complete before the filter.

    Raises DataError for concatenated manifests, for a line that is not a record and, unless
    allow_cut, for a missing end record.
    """
    header: ManifestHeader | None = None
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
                f"{name}, line {number}: a second {kind} record: several manifests; seal each of "
                "them, and join them with `avaffect merge`"
            )
        else:
            raise DataError(f"{name}, line {number}: unknown kind of record {kind!r}")
    if not ended and not allow_cut:
        raise DataError(_no_end(name, header, items))
    return Filtered(header, items, ended)


def _lines(stream: BinaryIO, name: str, allow_cut: bool) -> Iterable[bytes]:
    for line in manifest.lines_of(stream, name):
        if line.strip() in (b"{", b"["):
            raise DataError(f"{name}: {manifest.SEVERAL_LINES}")
        if line.strip() and not (allow_cut and _is_rest(line)):
            yield line


def _is_rest(line: bytes) -> bool:
    """Whether this is an incomplete last line."""
    if line.endswith(b"\n"):
        return False
    try:
        plain_json.parse(line)
    except ValueError:
        return True
    return False


def _no_end(name: str, header: ManifestHeader | None, items: list[Item]) -> str:
    if header is None and not items:
        said = f"{name} is empty: the command before it failed, or the filter dropped all lines"
    else:
        said = (
            f"{name} has no end record after {count_of(len(items), 'item')}: it was cut short, or "
            "the filter dropped that record, as grep and head do"
        )
    return f"{said}; if the filter did, give --allow-cut"
