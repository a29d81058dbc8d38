"""One utterance of a store: its streams, labels and fields by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from avaffect.data.store.reader import Store


@dataclass(frozen=True)
class Utterance:
    """Row `row` of a store; nothing is read before it is asked for.

    utterance["waveform"] is a stream, (T, ...), a read-only view of the mapped file; T is 0 where
    the modality is missing.
    """

    store: Store
    row: int

    @property
    def id(self) -> str:
        return self.store.ids[self.row]

    def __getitem__(self, stream: str) -> np.ndarray:
        """Raises DataError, naming those there are, where the store has no such stream."""
        return self.store.read(stream, self.row)

    @property
    def meta(self) -> dict[str, Any]:
        """Speaker, split, source, duration_s, ...: texts and numbers."""
        return {name: values[self.row] for name, values in self.store.meta.items()}

    @property
    def labels(self) -> dict[str, Any]:
        """name -> the class as a text, a float, an array (C,) of votes, or a trace (T,) or
        (T, raters); None where it is unknown."""
        return {name: self._label(name) for name in self.store.labels}

    def pooled(self, name: str) -> np.ndarray:
        """(D,) float32: a vector of the whole utterance, as an embedding."""
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
