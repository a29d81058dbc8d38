"""Peak memory of the commands of frame-wise expression recognition against the length of a film.

    python -m benchmarks.films [--quick] [--minutes 3 10 30]

A film of a drawn face with sound (160 x 120, 25 pictures a second), labelled at 30 Hz, goes through
preprocess, extract --frames-of with AV-HuBERT nano, finetune, predict and eval-class, each command
a process of its own. Beside the film that trains, one of 20 s selects; the one that trains is
predicted. Measured is the largest resident memory that belongs to the process alone (RssAnon,
sampled), the least of some runs: pages of files that are mapped are the system's to take back, and
are shown with it (the peak of all that was resident).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from avaffect.core.provenance import provenance
from avaffect.core.seeds import generator
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.models import avhubert
from avaffect.models.avhubert import AVHubert
from avaffect.recipes.encoding import checkpoints
from benchmarks.processes import MIB, Cost, avaffect, measured

CLASSES = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
LABELS_HZ, PICTURES_HZ = 30, 25
SHORT_S = 20
# Threads meet otherwise in each run: the peak of one differs by a hundred MiB from the next.
RUNS = 5
# How much the peak of a command may grow by a minute of film. The recording, its pictures and the
# vectors of its 1,800 frames are never all in memory: what is left is the id, the times, the label
# and the prediction of each, a kilobyte or two.
MIB_A_MINUTE = 3.0


def face(mouth: float, side: int = 96) -> np.ndarray:
    """(120, 160) grey: a face before a wall, as OpenCV's cascade finds it; mouth: from 0 to 1."""
    drawn = np.full((256, 256), 110, np.uint8)
    cv2.ellipse(drawn, (128, 128), (92, 122), 0, 0, 360, 205, -1)
    cv2.ellipse(drawn, (128, 20), (92, 46), 0, 0, 360, 45, -1)
    for x in (88, 168):
        cv2.ellipse(drawn, (x, 104), (30, 17), 0, 0, 360, 130, -1)
        cv2.ellipse(drawn, (x, 106), (20, 9), 0, 0, 360, 235, -1)
        cv2.circle(drawn, (x, 106), 9, 30, -1)
        cv2.ellipse(drawn, (x, 82), (30, 8), 0, 180, 360, 50, 9)
    cv2.ellipse(drawn, (128, 140), (12, 32), 0, 0, 360, 225, -1)
    cv2.ellipse(drawn, (128, 202), (38, 7 + round(18 * mouth)), 0, 0, 360, 70, -1)
    picture = np.full((120, 160), 110, np.uint8)
    picture[12 : 12 + side, 32 : 32 + side] = cv2.resize(drawn, (side, side), interpolation=3)
    return picture


def write_film(path: Path, seconds: int) -> Path:
    """A film, encoded as it is drawn."""
    mouths = [face(0.5 + 0.5 * float(np.sin(n))) for n in range(PICTURES_HZ)]
    sound = generator(0, "sound").normal(0, 0.1, (1, SAMPLE_RATE_HZ)).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=PICTURES_HZ, options={"preset": "ultrafast"})
        video.height, video.width = mouths[0].shape
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for second in range(seconds):
            for number, mouth in enumerate(mouths):
                frame = av.VideoFrame.from_ndarray(mouth, "gray")
                frame.pts = second * PICTURES_HZ + number
                frame.time_base = Fraction(1, PICTURES_HZ)
                container.mux(video.encode(frame))
            heard = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
            heard.sample_rate, heard.pts = SAMPLE_RATE_HZ, second * SAMPLE_RATE_HZ
            container.mux(audio.encode(heard))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def write_corpus(folder: Path, seconds: int) -> None:
    """m.jsonl: a film of so many seconds that trains, one of 20 s that selects."""
    label = {"kind": "trace", "rate_hz": LABELS_HZ, "classes": list(CLASSES)}
    header = manifest.new_header("corpus", labels={"expression": label})
    random = generator(0, "classes")
    items = []
    for name, split, length in (("long", "train", seconds), ("short", "development", SHORT_S)):
        write_film(folder / f"{name}.mp4", length)
        classes = random.integers(0, len(CLASSES), length).repeat(LABELS_HZ)
        items.append({"id": name, "media": f"{name}.mp4", "speaker": name, "split": split,
                      "labels": {"expression": classes.tolist()}})  # fmt: skip
    manifest.write(folder / "m.jsonl", header, items)
    torch.manual_seed(0)
    checkpoints.save_encoder(folder / "x.safetensors", AVHubert(avhubert.PRESETS["nano"]), None,
                             provenance=provenance("benchmark", {}, []))  # fmt: skip


COMMANDS = {
    "preprocess": ("preprocess", "m.jsonl", "--size", 32, "-j", 1, "-o", "m.h5"),
    "extract": ("extract", "m.h5", "--model", "x.safetensors", "--frames-of", "expression",
                "-o", "f.h5"),
    "finetune": ("finetune", "f.h5", "--label", "expression", "--sampler", "balanced",
                 "--epochs", 2, "-o", "c.safetensors"),
    "predict": ("predict", "f.h5", "--model", "c.safetensors", "-o", "p.jsonl"),
    "eval-class": ("eval-class", "p.jsonl", "--split", "train", "-o", "r.json"),
}  # fmt: skip


def cost(folder: Path, command: Sequence[object]) -> Cost:
    """Of a command whose output, the last argument, is not there yet."""
    (folder / str(command[-1])).unlink(missing_ok=True)
    return measured(avaffect(*command), folder)


def measure(minutes: Sequence[float], show: Callable[[str], None]) -> dict[str, list[float]]:
    """Command -> MiB of its own at each length."""
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for length in minutes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_corpus(folder, round(60 * length))
            for command, arguments in COMMANDS.items():
                least = min(cost(folder, arguments) for _ in range(RUNS))
                found[command].append(least.own / MIB)
                show(
                    f"  {command:12}{length:6g} min{least.own / MIB:10.0f} MiB"
                    f"{least.peak / MIB:10.0f} MiB{least.wall_s:8.0f} s"
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="films of half a minute and of one")
    parser.add_argument("--minutes", type=float, nargs="+", default=[3, 10, 30])
    options = parser.parse_args()
    minutes = [0.5, 1] if options.quick else sorted(options.minutes)
    print("films: command, length, peak of its own, peak with mapped files, time")
    found = measure(minutes, lambda line: print(line, flush=True))
    for command, values in found.items():
        a_minute = (values[-1] - values[0]) / max(minutes[-1] - minutes[0], 1e-9)
        met = ""
        if not options.quick:
            met = f", <= {MIB_A_MINUTE:g} {'met' if a_minute <= MIB_A_MINUTE else 'MISSED'}"
        print(f"  {command:12}{a_minute:10.2f} MiB more a minute{met}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
