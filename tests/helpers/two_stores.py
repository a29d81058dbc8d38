"""Two stores of features with labels of every kind, and heads trained on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from chain import invoke

from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.training import checkpoint

CLASSES = ("anger", "happiness", "neutral")
COUNT, DIM = 96, 4
QUICK = ("--epochs", 40, "--batch-utterances", 16)
TWO = ("--features", "slow=slow.h5", "--features", "fast=fast.h5")


def store(path: Path, streams: dict, labels: dict[str, LabelSpec], rows: list[dict]) -> None:
    with store_writer(path, {}, streams=streams, labels=labels) as writer:
        for row in rows:
            writer.add(**row)


def features(rate: float, dim: int, made: str) -> dict[str, StreamSpec]:
    return {"features": StreamSpec("features", "float32", rate, (dim,), made={"front_end": made})}


def write(folder: Path) -> None:
    """slow.h5 (10 Hz, 2 wide, with all labels) and fast.h5 (25 Hz, 4 wide): half of what the labels
    follow from is in each. Some utterances lack a label, or are in slow.h5 alone."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(COUNT, DIM))
    weights = random.normal(size=(DIM, len(CLASSES))) * 2
    labels = {
        "emotion": LabelSpec("class", CLASSES), "votes": LabelSpec("distribution", CLASSES),
        "arousal_mean": LabelSpec("scalar"), "arousal": LabelSpec("trace", rate_hz=10.0),
    }  # fmt: skip
    slow, fast = [], []
    for row in range(COUNT):
        shares = np.exp(hidden[row] @ weights)
        known = {
            "emotion": CLASSES[int(shares.argmax())],
            "votes": np.round(20 * shares / shares.sum()),
            "arousal_mean": 3 + 0.5 * float(hidden[row, 0] - hidden[row, 3]),
            "arousal": np.full(20, 0.3 * hidden[row, 0]) + 0.1 * np.sin(np.arange(20)),
        }
        split = ("train", "train", "train", "train", "development", "test")[row * 6 // COUNT]
        meta = {"speaker": f"s{row * 6 // COUNT}", "split": split}
        for name in ("votes", "arousal_mean"):
            if row % 12 == 0:
                del known[name]
        values = hidden[row, :2] + 0.1 * random.normal(size=(20, 2))
        slow.append({"identifier": f"u{row:02}", "streams": {"features": values.astype("float32")},
                     "labels": known, "meta": meta})  # fmt: skip
        values = np.tile(hidden[row, 2:], 2) + 0.1 * random.normal(size=(50, 4))
        if row % 15:
            fast.append({"identifier": f"u{row:02}", "meta": {},
                         "streams": {"features": values.astype("float32")}})  # fmt: skip
    store(folder / "slow.h5", features(10.0, 2, "slow"), labels, slow)
    store(folder / "fast.h5", features(25.0, 4, "fast"), {}, fast)


def report(folder: Path, *command: object) -> dict[str, Any]:
    return json.loads(invoke(folder, *command, "--json").stdout)


def trained(folder: Path, *options: object, given: tuple = TWO) -> dict[str, Any]:
    """Trained on both stores, and predicted into p.jsonl; the header of the classifier."""
    invoke(folder, "finetune", "slow.h5", *given, *QUICK, *options, "-f", "-o", "c.safetensors")
    invoke(folder, "predict", "slow.h5", *given, "--model", "c.safetensors", "-f", "-o", "p.jsonl")
    return checkpoint.load(folder / "c.safetensors")[0]
