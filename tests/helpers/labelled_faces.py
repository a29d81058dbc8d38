"""Stores of faces whose lightness tells a trace, and an encoder of them that is small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from clips import tiny_encoder

from avaffect.core.seeds import generator
from avaffect.data.faces.options import ABSENT, COLUMNS, DETECTED, FaceOptions
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.encoding import checkpoints

CLASSES = ("dark", "light")
UTTERANCES, RATE, LABEL_RATE = 10, 25.0, 5.0


def write(
    path: Path, frames: tuple[int, ...] = (30, 41), *, size: int = 32, colour: bool = False,
    gaps: dict[str, slice] | None = None, tracked: bool = True,
) -> None:  # fmt: skip
    """Utterances u0, u1, … of so many frames in turn: noise, lighter or darker in the middle as the
    trace arousal says; and whether it ends lighter than it began, the class emotion.

    gaps: frames of an utterance that show no face. u8 is development, u9 test, the others train.
    """
    streams = FaceOptions(size=size, colour=colour).streams(None)
    if not tracked:
        del streams["face_track"]
    labels = {
        "emotion": LabelSpec("class", CLASSES), "arousal": LabelSpec("trace", rate_hz=LABEL_RATE)
    }  # fmt: skip
    with store_writer(path, {}, streams=streams, labels=labels) as writer:
        for number in range(UTTERANCES):
            random = generator(0, "faces", number)
            steps = frames[number % len(frames)]
            trace = np.sin(np.arange(steps) / RATE * random.uniform(3, 6) + random.uniform(0, 6))
            faces = random.normal(120, 20, (steps, size, size, 3 if colour else 1))
            middle = slice(size // 4, size - size // 4)
            faces[:, middle, middle] += 80 * trace[:, None, None, None]
            faces = faces.clip(1, 255).astype(np.uint8)
            track = np.zeros((steps, len(COLUMNS)), dtype=np.float32)
            track[:, -1] = DETECTED
            gap = (gaps or {}).get(f"u{number}", slice(0, 0))
            faces[gap], track[gap, -1] = 0, ABSENT
            writer.add(
                f"u{number}",
                streams={"face": faces, "face_track": track} if tracked else {"face": faces},
                labels={
                    "emotion": CLASSES[int(trace[-1] > trace[0])],
                    "arousal": trace[:: int(RATE / LABEL_RATE)].astype(np.float32),
                },
                meta={
                    "speaker": f"s{number}",
                    "split": {8: "development", 9: "test"}.get(number, "train"),
                },
            )


def write_encoder(path: Path) -> None:
    """The encoder of `tiny_encoder`, as it was initialised."""
    checkpoints.save_encoder(
        path, tiny_encoder(), None, provenance={"command": "test", "inputs": []}
    )
