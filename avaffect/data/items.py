"""What a corpus manifest says of utterances, in the form that a store keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from avaffect.core.errors import DataError
from avaffect.data import schema
from avaffect.data.manifest import Item, Manifest
from avaffect.data.schema import LabelSpec

# Said elsewhere in a store, or not of the utterance.
RESERVED = ("kind", "id", "media", "labels", "start", "end", "lost")


def label_specs(manifest: Manifest) -> dict[str, LabelSpec]:
    """The labels of a manifest: as its header describes them, else by the values of its items.

    Raises DataError where the header's word is none that a store knows, or values are of two kinds.
    """
    specs: dict[str, LabelSpec] = {}
    for name, facts in manifest.header.get("labels", {}).items():
        kind = facts.get("kind") if isinstance(facts, dict) else None
        if kind not in ("class", "scalar", "distribution"):
            raise DataError(f"{manifest.name}: label {name} is of the kind {kind!r}; it must be "
                            "class, scalar or distribution")  # fmt: skip
        specs[name] = LabelSpec(kind, tuple(facts.get("classes", ())))
    found: dict[str, set[Any]] = {}
    for item in manifest.items:
        for name, value in (item.get("labels") or {}).items():
            if name not in specs and value is not None:
                found.setdefault(name, set()).add(_hashable(value))
    for name, values in found.items():
        if all(isinstance(value, str) for value in values):
            specs[name] = LabelSpec("class", tuple(sorted(values)))
        elif all(isinstance(value, (int, float)) for value in values):
            specs[name] = LabelSpec("scalar")
        else:
            raise DataError(f"{manifest.name}: describe label {name} in the header's labels: its "
                            "values are neither all texts nor all numbers")  # fmt: skip
    return specs


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else repr((value,)).encode()


def labels_of(item: Item, specs: dict[str, LabelSpec]) -> dict[str, Any]:
    """The labels of one item as `StoreWriter.add` takes them; NaN counts as missing.

    Raises DataError naming the item where a value does not fit its kind.
    """
    given = item.get("labels") or {}
    return {name: _label(item, name, spec, given.get(name)) for name, spec in specs.items()}


def _label(item: Item, name: str, spec: LabelSpec, value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if spec.kind == "class" and isinstance(value, str):
        return value
    if spec.kind == "scalar" and isinstance(value, (int, float)):
        return value
    if spec.kind == "distribution":
        if isinstance(value, dict) and value.keys() <= set(spec.classes):
            value = [value.get(label, 0) for label in spec.classes]
        if isinstance(value, list) and len(value) == len(spec.classes):
            return [math.nan if votes is None else votes for votes in value]
    raise DataError(f"{item['id']}: label {name} is {value!r}, which is no {spec.kind}")


def meta_fields(items: Sequence[Item]) -> dict[str, list[Any]]:
    """The plain fields of all items, each a list of texts, of ints or of floats.

    Decided over the whole manifest: a shard's fields have the types of the whole.
    """
    names = {
        name
        for item in items
        for name, value in item.items()
        if name not in RESERVED and isinstance(value, (str, int, float))
    }
    return {name: list(schema.column([_plain(i.get(name)) for i in items])) for name in names}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else None
