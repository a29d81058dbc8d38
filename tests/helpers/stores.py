"""Stores of given values, and small ones of all kinds, without recordings behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from avaffect.data.store import schema, structure
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec
from avaffect.data.store.writer import store_writer

STREAMS = {
    "waveform": StreamSpec("waveform", "int16", 16000.0),
    "features": StreamSpec("features", "float32", 25.0, (3,), made={"front_end": "logmel"}),
    "face": StreamSpec("face", "uint8", 25.0, (2, 4, 1)),
}
LABELS = {
    "emotion": LabelSpec("class", ("anger", "freude ü")),
    "arousal": LabelSpec("scalar"),
    "votes": LabelSpec("distribution", ("a", "b")),
    "valence": LabelSpec("trace", rate_hz=25.0),
    "raters": LabelSpec("trace", rate_hz=10.0, raters=2),
}
POOLED = {"mean": PooledSpec(4, {"encoder": "x"})}
PROVENANCE = {"command": "test", "settings": {}, "inputs": []}

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


def make(path: Path, count: int = 5) -> Path:
    """A small store with every kind of thing in it."""
    random = np.random.default_rng(count)
    with store_writer(path, PROVENANCE, streams=STREAMS, labels=LABELS, pooled=POOLED) as writer:
        for n in range(count):
            writer.add(
                f"id_{n}",
                streams={
                    "waveform": random.integers(-99, 99, 50 * n).astype("int16"),
                    "features": random.standard_normal((n, 3)).astype("float32"),
                },
                labels={"emotion": "anger", "arousal": 0.5, "valence": random.random(n)},
                meta={"speaker": f"s{n}", "start_s": 0.1 * n},
                pooled={"mean": random.random(4)},
            )
    return path


def redigested(file: h5py.File) -> None:
    """After what a store says of itself was changed: a digest that fits it again."""
    specs = structure.read_specs(file)
    file.attrs["header_digest"] = schema.header_digest(
        file.attrs["format_version"], file.attrs["content_id"], int(file.attrs["count"]),
        file["provenance"][()].decode(), specs,
    )  # fmt: skip
