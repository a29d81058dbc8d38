"""Stores of films whose segments are features, some of them highlights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avaffect.core.seeds import generator
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer

DIM, SEGMENTS, SEGMENT_S = 8, 12, 5.0


def write(path: Path, films: int = 20, flat: int = 2, strength: float = 2.0) -> Path:
    """`films` films of 12 segments of 5 s, of which one to three are highlights (the trace
    highlight, 1 of 0 and 1), and differ in direction; the first `flat` train, and have none. Two of
    five films train no head: one selects, one tests."""
    spec = StreamSpec("features", "float32", 1 / SEGMENT_S, (DIM,), made={"front_end": "noise"})
    labels = {"highlight": LabelSpec("trace", rate_hz=1 / SEGMENT_S)}
    with store_writer(path, {}, streams={"features": spec}, labels=labels) as writer:
        for number in range(films):
            random = generator(0, "films", number)
            values = random.normal(size=(SEGMENTS, DIM))
            gold = np.zeros(SEGMENTS, dtype=np.float32)
            gold[random.permutation(SEGMENTS)[: random.integers(1, 4)]] = 1
            values[gold > 0, 0] += strength
            split = "train" if number < flat else ("train", "train", "train", "development",
                                                   "test")[number % 5]  # fmt: skip
            writer.add(
                f"film{number:02}",
                streams={"features": values.astype(np.float32)},
                labels={"highlight": gold * 0 if number < flat else gold},
                meta={"speaker": f"s{number}", "split": split},
            )
    return path
