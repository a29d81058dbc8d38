"""Classes over time in a store: known before there is work."""

from __future__ import annotations

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec


def label_of(store: Store, name: str) -> LabelSpec:
    """Raises DataError unless the store has such a class over time."""
    spec = store.labels.get(name)
    if spec is None or spec.kind != "trace" or not spec.classes:
        over_time = [n for n, s in store.labels.items() if s.kind == "trace" and s.classes]
        raise DataError(
            f"{store.path} has no class over time {name!r} (it has: "
            f"{', '.join(over_time) or 'none'}){meant(name, over_time)}"
        )
    return spec
