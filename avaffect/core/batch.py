"""The batch: made by `data`, read by `models` and `objectives`. Imports no torch.

Arrays are NumPy arrays in `data`, and torch tensors after the training loop or `extract` has moved
them to the device; the shapes are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from avaffect.core.streams import FACE, WAVEFORM

Array = Any


@dataclass
class Batch:
    """B utterances, padded at the end to the longest of each stream.

    ids       B strings
    streams   name -> (B, T, ...), absent or T = 0 if no utterance has it: waveform (B, S) int16 at
              16 kHz, face (B, T, H, W, C) uint8, units (B, T) int32, features (B, T, D), ...
    lengths   name -> (B,) int64, valid steps of that stream; 0 if the modality is missing (values
              past the length are arbitrary)
    present   name -> (B,) bool, False if the modality is missing
    rates     name -> steps per second of that stream; 0 if an encoder's sampling picked some
    labels    name -> (B,) int64 classes (-1 missing), float32 scalars, (B, C) distributions,
              or (B, T) float32 traces, NaN where unknown
    domain    (B,) int64, 0 = labelled source (A), 1 = pool (B); None outside adaptation
    """

    ids: list[str]
    streams: dict[str, Array] = field(default_factory=dict)
    lengths: dict[str, Array] = field(default_factory=dict)
    present: dict[str, Array] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    labels: dict[str, Array] = field(default_factory=dict)
    domain: Array | None = None

    @property
    def waveform(self) -> Array | None:
        return self.streams.get(WAVEFORM)

    @property
    def face(self) -> Array | None:
        return self.streams.get(FACE)

    def without(self, stream: str, rows: Array) -> Batch:
        """The batch without `stream` of the utterances in rows (B,) bool."""
        lengths, present = self.lengths[stream] * ~rows, self.present[stream] & ~rows
        return replace(
            self,
            lengths={**self.lengths, stream: lengths},
            present={**self.present, stream: present},
        )

    def chosen(self, rows: Array) -> Batch:
        """The utterances in rows (B,) bool, a tensor or an array, with the padding of all."""
        kept = self.map(lambda values: values[rows])
        return replace(kept, ids=[i for i, there in zip(self.ids, rows.tolist()) if there])

    def seconds(self) -> float:
        """Total duration of its utterances, each by its longest stream with a rate."""
        timed = [self.lengths[name] / rate for name, rate in self.rates.items() if rate]
        return float(sum(max(durations) for durations in zip(*timed)))

    def __len__(self) -> int:
        return len(self.ids)

    def map(self, function: Callable[[Array], Array]) -> Batch:
        """The batch with `function` applied to every array, such as a move to a device."""
        return replace(
            self,
            streams={name: function(value) for name, value in self.streams.items()},
            lengths={name: function(value) for name, value in self.lengths.items()},
            present={name: function(value) for name, value in self.present.items()},
            labels={name: function(value) for name, value in self.labels.items()},
            domain=None if self.domain is None else function(self.domain),
        )
