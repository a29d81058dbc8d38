"""Traces of a recording in windows that overlap by half, against one pass over its frames.

    python -m benchmarks.windows [--quick]

The visual encoder under the recurrent head of two layers of 256, through the code of `avaffect
predict`. Windows are of 8 s, a segment of SS-VAERR on SEWA. Frames of both ways must be equal
within 1e-4; else the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from avaffect.core.seeds import generator
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.encoder import Encoder
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration
from avaffect.models.heads.base import FrameHead, HeadInput
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.linear import LinearHead, LinearHeadConfiguration
from avaffect.models.heads.recurrent import RecurrentHead, RecurrentHeadConfiguration
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.visual import PRESETS, VisualEncoder
from avaffect.recipes.downstream import heads
from avaffect.recipes.downstream.head_group import HeadGroup
from avaffect.recipes.downstream.windows import Windows, windows_of
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

CPU = torch.device("cpu")
RATE = 25.0
WINDOW_S = 8.0
WHOLE = Windows(whole_s=float("inf"))
TARGET, TOLERANCE = 1.2, 1e-4


def write_recording(path: Path, seconds: float, **shapes: tuple[int, ...]) -> Dataset:
    """One of noise; of faces bytes, of features numbers around 0."""
    rng = generator(0, "noise")
    kinds = {"face": "uint8", "features": "float32"}
    streams = {name: StreamSpec(name, kinds[name], RATE, shape) for name, shape in shapes.items()}
    values = {}
    for name, shape in shapes.items():
        steps = (round(seconds * RATE), *shape)
        if name == "face":
            values[name] = rng.integers(0, 256, steps, dtype=np.uint8)
        else:
            values[name] = rng.standard_normal(steps, dtype=np.float32)
    with store_writer(path, {}, streams=streams) as writer:
        writer.add("noise", streams=values)
    return dataset_of([Store(path)], ["noise"], list(shapes))


TRACES = tuple(Readout(name, "trace", value=True) for name in ("arousal", "valence"))


def reads(encoder: Encoder) -> tuple[HeadInput, ...]:
    return Inputs({ENCODER: encoder}).described


def predict(
    encoder: Encoder, beneath: FrameHead, recording: Dataset, windows: Windows
) -> np.ndarray:
    head = LabelHead.of(beneath, TRACES)
    group = HeadGroup(Inputs({ENCODER: encoder}), [head], CPU, 80.0)
    return heads.traces(group, recording, windows)[0]


def difference(encoder: Encoder, recording: Dataset) -> float:
    """The largest one between both ways, under a head that sees one frame."""
    head = LinearHead(LinearHeadConfiguration(reads(encoder), 2)).eval()
    whole, cut = (predict(encoder, head, recording, w) for w in (WHOLE, windows_of(WINDOW_S)))
    return float(np.abs(whole - cut).max())


def row(
    name: str, encoder: Encoder, recording: Dataset, repetitions: int, target: float | None
) -> Row:
    head = RecurrentHead(RecurrentHeadConfiguration(reads(encoder), 2)).eval()
    ways = {
        "whole": partial(predict, encoder, head, recording, WHOLE),
        "windows": partial(predict, encoder, head, recording, windows_of(WINDOW_S)),
    }
    seconds = interleaved(ways, repetitions=repetitions)
    pace = recording.durations()[0] / min(seconds["windows"])
    return Row(name, median_ratio(seconds, "windows", "whole"), target, at_least=False,
               note=f"{recording.durations()[0]:g} s, {pace:.3g} times real time")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short recordings, one repetition")
    quick = parser.parse_args().quick
    torch.manual_seed(0)
    rows = []
    with one_thread(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for preset, seconds, repetitions in (("nano", 180.0, 5), ("base", 20.0, 3)):
            encoder = VisualEncoder(PRESETS[preset]).eval()
            size = encoder.configuration.face_size
            seconds, repetitions = (20.0, 1) if quick else (seconds, repetitions)
            shown = write_recording(folder / f"{preset}.h5", seconds, face=(size, size, 1))
            found = difference(encoder, shown)
            if found > TOLERANCE:
                print(f"{preset}: windows differ from the whole by {found:g}", file=sys.stderr)
                return 1
            rows.append(row(f"visual encoder, {preset}", encoder, shown, repetitions, TARGET))
        given = GivenFeatures(GivenFeaturesConfiguration(512, RATE)).eval()
        recording = write_recording(folder / "f.h5", 20.0 if quick else 600.0, features=(512,))
        rows.append(row("features, the head alone", given, recording, 1 if quick else 5, None))
    print_rows("windows that overlap by half over one pass (CPU time, one core)", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
