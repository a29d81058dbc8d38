"""One utterance of a store: its streams, labels and fields by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from avaffect.data.store.reader import Store


@dataclass(frozen=True)
class Utterance:
    """Row `row` of a store; values are read on use.

    utterance["waveform"] is a stream, (T, ...), a read-only view of the mapped file; T is 0 if the
    modality is missing.
    """

    store: Store
    row: int

    @property
    def id(self) -> str:
        return self.store.ids[self.row]

    def __getitem__(self, stream: str) -> np.ndarray:
        """A stream, (T, ...). Raises DataError, with the streams of the store, for another name."""
        return self.store.read(stream, self.row)

    @property
    def meta(self) -> dict[str, Any]:
        """Speaker, split, source, duration_s, ...: strings and numbers."""
        return {name: values[self.row] for name, values in self.store.meta.items()}

    @property
    def labels(self) -> dict[str, Any]:
        """name -> the class as a string, a float, an array (C,) of votes, or a trace (T,) or
        (T, raters); None if it is missing."""
        return {name: self._label(name) for name in self.store.labels}

    def pooled(self, name: str) -> np.ndarray:
        """(D,) float32: a pooled vector of the utterance, such as an embedding."""
        return self.store.pooled_vectors(name)[self.row]

    def _label(self, name: str) -> Any:
        spec = self.store.labels[name]
        if spec.kind == "trace":
            trace = self.store.trace(name, self.row)
            return trace if len(trace) else None
        value = self.store.label(name)[self.row]
        if spec.kind == "class":
            return None if value < 0 else spec.classes[value]
        if np.isnan(value).any():
            return None
        return value if spec.kind == "distribution" else float(value)

    def __repr__(self) -> str:
        return f"Utterance({self.id!r} of {str(self.store.path)!r})"
