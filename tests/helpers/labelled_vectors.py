"""Stores of one vector an utterance with labels, and heads trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec
from avaffect.data.store.writer import store_writer

CLASSES = ("anger", "happiness", "neutral")
SPEAKERS, EACH, DIM = 6, 12, 5
COUNT = SPEAKERS * EACH
LABELS = {"emotion": LabelSpec("class", CLASSES), "arousal": LabelSpec("scalar")}


def vectors(noise: float = 0.7, seed: int = 0) -> np.ndarray:
    """(COUNT, DIM) float32; the class of row n is n modulo 3."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(len(CLASSES), DIM)) * 2
    values = centres[np.arange(COUNT) % len(CLASSES)]
    return (values + noise * random.normal(size=values.shape)).astype(np.float32)


def write(
    path: Path,
    values: np.ndarray | None = None,
    name: str = "functionals",
    made: Mapping[str, Any] | None = None,
    rows: Sequence[int] = range(COUNT),
    prefix: str = "u",
    frames: bool = False,
) -> np.ndarray:
    """Vectors (COUNT, D) as /pooled/NAME, and with `frames` a stream of which they are the means.

    Speakers 0-3 train, 4 development, 5 test; folds are speakers modulo 3.
    """
    values = vectors() if values is None else values
    dim = values.shape[1]
    made = {"front_end": name} if made is None else made
    spec = StreamSpec("features", "float32", 10.0, (dim,), made={"front_end": "frames"})
    with store_writer(
        path, {}, streams={"features": spec} if frames else {}, labels=LABELS,
        pooled={name: PooledSpec(dim, dict(made))},
    ) as writer:  # fmt: skip
        for row in rows:
            speaker = row // EACH
            around = np.array([[-1.0], [0.0], [1.0]], dtype=np.float32)
            writer.add(
                f"{prefix}{row:02}",
                streams={"features": values[row] + around} if frames else {},
                labels={"emotion": CLASSES[row % 3], "arousal": float(row % 3)},
                meta={
                    "speaker": f"s{speaker}",
                    "split": {4: "development", 5: "test"}.get(speaker, "train"),
                    "fold": speaker % 3,
                },
                pooled={name: values[row]},
            )
    return values
