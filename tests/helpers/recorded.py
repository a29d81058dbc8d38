"""A folder of recordings, and classifiers of voices and faces that know how these are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from chain import Result, invoke
from films import talking, write_video

from avaffect.core.seeds import generator
from avaffect.models.avhubert import PRESETS, AVHubert
from avaffect.recipes.encoding.checkpoints import save_encoder

SOUNDS, FILMS = ("a", "b", "c"), ("d", "e")
NAMES = (*SOUNDS, *FILMS)
COLUMNS = ("id", "path", "speaker", "split", "emotion")


def voice(number: int, seconds: float) -> np.ndarray:
    """(S,) float32: a buzz of a pitch of its own, with noise."""
    random = generator(0, "voice", number)
    time = np.arange(round(seconds * 16000)) / 16000
    buzz = np.sign(np.sin(2 * np.pi * (90 + 40 * number) * time)) * 0.2
    return (buzz + random.normal(0, 0.02, len(time))).astype(np.float32)


def record(folder: Path) -> None:
    """Three wav files, one of them in a folder of its own, two mp4, a broken one, and a text."""
    (folder / "below").mkdir(parents=True)
    for number, name in enumerate(SOUNDS):
        path = folder / ("below" if name == "c" else "") / f"{name}.wav"
        soundfile.write(path, voice(number, 0.6 + 0.1 * number), 16000)
    for number, name in enumerate(FILMS, 3):
        sound = voice(number, 0.8)
        write_video(folder / f"{name}.mp4", talking(20, step=number - 3), sound=sound)
    (folder / "broken.mp4").write_bytes(b"\0" * 999)
    (folder / "notes.txt").write_text("no recording")


def learn(folder: Path) -> None:
    """Stores of the recordings in `folder / "clips"`, and what was trained on them."""
    record(folder / "clips")
    rows = [",".join(COLUMNS)]
    for number, name in enumerate(NAMES):
        path = {"c": "below/c.wav"}.get(name, f"{name}.{'wav' if name in SOUNDS else 'mp4'}")
        split = {"c": "development"}.get(name, "train")
        rows.append(f"{name},clips/{path},s{name},{split},{('anger', 'joy')[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    invoke(
        folder, "manifest", "table", "labels.csv", "--id", "id", "--media", "path", "--speaker",
        "speaker", "--split", "split", "--label", "emotion=emotion", "-o", "corpus.jsonl",
    )  # fmt: skip
    invoke(folder, "preprocess", "corpus.jsonl", "--size", 48, "--margin", 0.2, "-j", 1,
           "-o", "media.h5")  # fmt: skip
    save_encoder(folder / "encoder.safetensors", AVHubert(PRESETS["nano"]), None)
    for mode in ("frozen", "fine-tuned"):
        invoke(folder, "finetune", "media.h5", "--encoder", "encoder.safetensors", "--mode", mode,
               "--epochs", 1, "--runs", 2, "-o", f"{mode}.safetensors")  # fmt: skip


def items(found: Result | str) -> list[dict[str, Any]]:
    """The items of a manifest of predictions."""
    text = found if isinstance(found, str) else found.stdout
    return [one for one in map(json.loads, text.splitlines()) if one["kind"] == "item"]
