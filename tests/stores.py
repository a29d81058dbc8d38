"""Stores of given values, without recordings behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avaffect.data.schema import StreamSpec
from avaffect.data.store import Store
from avaffect.data.writer import store_writer

Streams = Mapping[str, tuple[float, Sequence[np.ndarray]]]


def write_store(path: Path, streams: Streams) -> Store:
    """{name: (rate, values of each utterance)}; utterances are u0, u1, … and no steps: missing."""
    specs = {
        name: StreamSpec(name, values[0].dtype.name, rate, values[0].shape[1:])
        for name, (rate, values) in streams.items()
    }
    with store_writer(path, {}, streams=specs) as writer:
        for row in range(len(next(iter(streams.values()))[1])):
            writer.add(f"u{row}", streams={n: values[row] for n, (_, values) in streams.items()})
    return Store(path)
