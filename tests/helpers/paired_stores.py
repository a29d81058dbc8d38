"""Two stores of features, acoustic and visual, of utterances that have either or both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from two_stores import CLASSES, features, store

from avaffect.data.store.schema import LabelSpec

COUNT = 72
TWO = ("--features", "audio=audio.h5", "--features", "video=video.h5")
# Of small conformers.
SMALL = ("--head", "vavl", "--hidden", 8, "--dropout", 0, *(
    part for option in ("projection=4", "units=8", "audio_layers=1", "video_layers=1",
                        "shared_layers=1", "attention_heads=2", "kernel=3")
    for part in ("--head-option", option)
))  # fmt: skip


def made_from(row: int, paired: bool = True) -> str:
    """The modality of an utterance: every third has both, unless nothing is paired."""
    return ("audio", "video", "av" if paired else "audio")[row % 3]


def write(
    folder: Path, paired: bool = True, arousal_of: tuple[str, ...] = ("audio", "video", "av")
) -> None:
    """audio.h5 (20 Hz, 3 wide, with all labels) and video.h5 (10 Hz, 5 wide): the class shows in
    both, as levels of frames whose order is random. What an utterance lacks has no frames in
    audio.h5, and no row in video.h5. arousal_of: modalities of which it is known."""
    random = np.random.default_rng(0)
    levels = random.normal(size=(2, len(CLASSES), 5))
    labels = {"emotion": LabelSpec("class", CLASSES), "votes": LabelSpec("distribution", CLASSES),
              "arousal": LabelSpec("scalar"), "valence": LabelSpec("scalar"),
              "trace": LabelSpec("trace", rate_hz=10.0)}  # fmt: skip
    audio, video = [], []
    for row in range(COUNT):
        kind, has = int(random.integers(3)), made_from(row, paired)
        split = ("train", "train", "train", "train", "development", "test")[row * 6 // COUNT]
        known = {"emotion": CLASSES[kind], "votes": np.eye(3)[kind] * 3 + (0, 1, 0),
                 "arousal": float(kind), "valence": 1.0 - kind + 0.1 * float(random.normal()),
                 "trace": np.linspace(0, kind, 10)}  # fmt: skip
        if has not in arousal_of:
            del known["arousal"]
        heard, seen = int(random.integers(12, 30)), int(random.integers(6, 15))
        voice = levels[0, kind, :3] + 0.3 * random.normal(size=(heard if has != "video" else 0, 3))
        look = levels[1, kind] + 0.3 * random.normal(size=(seen, 5))
        meta = {"speaker": f"s{row * 6 // COUNT}", "split": split}
        audio.append({"identifier": f"u{row:02}", "labels": known, "meta": meta,
                      "streams": {"features": voice.astype("float32")}})  # fmt: skip
        if has != "audio":
            video.append({"identifier": f"u{row:02}", "meta": {},
                          "streams": {"features": look.astype("float32")}})  # fmt: skip
    store(folder / "audio.h5", features(20.0, 3, "audio"), labels, audio)
    store(folder / "video.h5", features(10.0, 5, "video"), {}, video)
