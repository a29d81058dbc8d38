"""Labels, fields and splits copied from a store to a store that is derived from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from avaffect.data.store.reader import Store
from avaffect.data.store.writer import StoreWriter


class Carried:
    """Ids, labels and fields of a store, row by row."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.labels = {n: store.label(n) for n, s in store.labels.items() if s.kind != "trace"}

    def add(
        self,
        writer: StoreWriter,
        row: int,
        values: dict[str, Any],
        meta: dict[str, str | float | int] | None = None,
    ) -> None:
        """Add an utterance of the store to `writer`: `values` are its streams and pooled vectors,
        `meta` fields that override those of the store."""
        writer.add(
            self.store.ids[row],
            labels=self.labels_of(row),
            meta={**self.fields_of(row), **(meta or {})},
            **values,
        )

    def labels_of(self, row: int) -> dict[str, Any]:
        """The labels of an utterance, as `StoreWriter.add` takes them."""
        return {name: self._label(name, row) for name in self.store.labels}

    def fields_of(self, row: int) -> dict[str, Any]:
        """The fields of an utterance."""
        return {name: _plain(column[row]) for name, column in self.store.meta.items()}

    def _label(self, name: str, row: int) -> Any:
        spec = self.store.labels[name]
        if spec.kind == "trace":
            return self.store.trace(name, row)
        value = self.labels[name][row]
        if spec.kind == "class":
            return spec.classes[value] if value >= 0 else None
        return value


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
