"""A small corpus with all that formats of other programs find hard: parts that overlap, further
labels than classes, signs in texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from chain import closed

LABELS = {
    "emotion": {"kind": "class", "classes": ["anger", "happiness"]},
    "valence": {"kind": "scalar"},
    "votes": {"kind": "distribution", "classes": ["anger", "happiness"]},
    "arousal": {"kind": "trace", "rate_hz": 2},
}
ITEMS: list[dict[str, Any]] = [
    {"id": "t_a", "media": "talks/one.wav", "start": 0.5, "end": 1.25, "speaker": "t_ann",
     "split": "train", "text": 'Say "no": it\'s <b> & done.', "turn": 1,
     "labels": {"emotion": "anger", "valence": -0.25, "votes": [2, 1]}},
    {"id": "t_b", "media": "talks/one.wav", "start": 1.0, "end": 2.0, "speaker": "t_bob",
     "split": "test", "text": "Über größere Öfen", "turn": 2,
     "labels": {"emotion": "happiness", "valence": 0.5, "votes": [0, 3]}},
    {"id": "t_c", "media": "talks/one.wav", "start": 2.0, "speaker": "t_ann", "split": "train",
     "turn": 3, "labels": {"emotion": "happiness", "arousal": [0.5, None]}},
    {"id": "t_d", "media": "talks/two.flac", "speaker": "t_bob", "split": "test", "turn": 4,
     "labels": {"valence": 1.0}},
]  # fmt: skip


def write(folder: Path) -> Path:
    """talks.jsonl, and its recordings of 3 s and, with two channels, of 1.5 s."""
    (folder / "talks").mkdir()
    noise = np.random.default_rng(0)
    soundfile.write(folder / "talks/one.wav", noise.normal(0, 0.1, 48000), 16000)
    soundfile.write(folder / "talks/two.flac", noise.normal(0, 0.1, (12000, 2)), 8000)
    header = {"kind": "header", "format": "avaffect-manifest", "version": "1.1",
              "content": "corpus", "corpus": "talks", "labels": LABELS}  # fmt: skip
    lines = [json.dumps(header), *(json.dumps({"kind": "item", **item}) for item in ITEMS)]
    path = folder / "talks.jsonl"
    path.write_text(closed("".join(f"{line}\n" for line in lines)), encoding="utf-8")
    return path
