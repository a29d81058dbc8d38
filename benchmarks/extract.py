"""Extraction in batches of like lengths, against one by one and against batches without padding.

    python -m benchmarks.extract [--quick]

The store holds noise for utterances of 1 to 10 s, log-normally, and all goes through the code of
`avaffect extract`: reading, batching, the encoder, the way back to single utterances. Without
padding means: lengths as before, but that those which share a batch are equal. Features in batches
must equal those of utterances alone within 1e-5; else the exit status is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from avaffect.core.progress import SILENT
from avaffect.core.seeds import generator
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models import avhubert, hubert
from avaffect.models.avhubert import AVHubert
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import Hubert
from avaffect.models.whisper import Whisper, WhisperConfiguration
from avaffect.recipes.encoding import extraction
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

FACE_RATE, FACE_SIZE = 25, 48
CPU = torch.device("cpu")
TOLERANCE = 1e-5
ONE_BY_ONE, UNPADDED, PADDED = 2.0, 1.1, 5.0


def write_noise(path: Path, seconds: np.ndarray, faces: bool) -> Store:
    rng = generator(0, "noise")
    streams = {"waveform": StreamSpec("waveform", "int16", SAMPLE_RATE_HZ)}
    if faces:
        streams["face"] = StreamSpec("face", "uint8", FACE_RATE, (FACE_SIZE, FACE_SIZE, 1))
    with store_writer(path, {}, streams=streams) as writer:
        for index, length in enumerate(seconds):
            values = {
                "waveform": rng.integers(-9000, 9000, int(length * SAMPLE_RATE_HZ)).astype(np.int16)
            }
            if faces:
                shape = (int(length * FACE_RATE), FACE_SIZE, FACE_SIZE, 1)
                values["face"] = rng.integers(0, 256, shape).astype(np.uint8)
            writer.add(f"u{index}", streams=values)
    return Store(path)


def without_padding(seconds: np.ndarray) -> np.ndarray:
    """Lengths of which batches of 80 s are all equal: means of neighbours in order of length."""
    order = np.sort(seconds)[::-1]
    groups = np.floor(np.cumsum(order) / 80.0).astype(int)
    means = [np.full(np.sum(groups == n), order[groups == n].mean()) for n in np.unique(groups)]
    return np.concatenate(means)


def features(encoder: Encoder, dataset: Dataset, utterances: int) -> list[np.ndarray]:
    extractor = extraction.wrap_encoder(encoder, None, {}, tuple(dataset.columns))
    found = extraction.compute(extractor, dataset, CPU, SILENT, batch_utterances=utterances)
    return [values for _, values in found]


def rows_of(name: str, encoder: Encoder, count: int, repetitions: int) -> tuple[list[Row], float]:
    """Ratios of one encoder, and how far its features in batches are from those alone."""
    encoder = encoder.eval()
    faces = "face" in encoder.streams
    seconds = np.clip(generator(0, "seconds").lognormal(1.1, 0.5, count), 1.0, 10.0)
    with tempfile.TemporaryDirectory() as folder:
        stores = {
            "varied": write_noise(Path(folder) / "varied.h5", seconds, faces),
            "even": write_noise(Path(folder) / "even.h5", without_padding(seconds), faces),
        }
        data = {
            key: dataset_of([store], store.ids, encoder.streams) for key, store in stores.items()
        }
        together, alone = (features(encoder, data["varied"], n) for n in (64, 1))
        error = max(float(np.abs(a - b).max()) for a, b in zip(together, alone, strict=True))
        even = sum(len(values) for values in features(encoder, data["even"], 64))
        frames = float(sum(map(len, together)))
        spent = interleaved(
            {
                "one by one": partial(features, encoder, data["varied"], 1),
                "batches": partial(features, encoder, data["varied"], 64),
                "unpadded": partial(features, encoder, data["even"], 64),
            },
            {"one by one": frames, "batches": frames, "unpadded": float(even)},
            repetitions,
        )
    return [
        Row(f"{name}: one by one over batches", median_ratio(spent, "one by one", "batches"),
            ONE_BY_ONE, note=f"{count} utterances of {seconds.mean():.1f} s"),
        Row(f"{name}: batches over batches without padding",
            median_ratio(spent, "batches", "unpadded"), UNPADDED, at_least=False),
    ], error  # fmt: skip


def whisper_row(count: int, repetitions: int) -> Row:
    """Whisper tiny on utterances of 3 s: padded with silence to 30 s, as published, over their own
    length."""
    configuration = WhisperConfiguration()
    encoders = {
        "own": Whisper(configuration).eval(),
        "padded": Whisper(replace(configuration, padded=True)).eval(),
    }
    with tempfile.TemporaryDirectory() as folder:
        store = write_noise(Path(folder) / "short.h5", np.full(count, 3.0), False)
        data = dataset_of([store], store.ids, encoders["own"].streams)
        spent = interleaved(
            {name: partial(features, encoder, data, 64) for name, encoder in encoders.items()},
            dict.fromkeys(encoders, float(count)),
            repetitions,
        )
    return Row(
        "Whisper tiny: padded to 30 s over own length", median_ratio(spent, "padded", "own"),
        PADDED, note=f"{count} utterances of 3 s",
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer utterances, nano alone")
    quick = parser.parse_args().quick
    torch.manual_seed(0)
    encoders: list[tuple[str, Encoder, int]] = [
        ("HuBERT nano", Hubert(hubert.PRESETS["nano"]), 8 if quick else 512),
        ("AV-HuBERT nano", AVHubert(avhubert.PRESETS["nano"]), 4 if quick else 128),
    ]
    if not quick:
        encoders.append(("HuBERT base", Hubert(hubert.PRESETS["base"]), 16))
    threads, errors = torch.get_num_threads(), []
    for title, context in (
        ("one thread", one_thread()),
        (f"{threads} threads, as by default here", contextlib.nullcontext()),
    ):
        rows = []
        with context:
            for name, encoder, count in encoders:
                found, error = rows_of(name, encoder, count, 1 if quick else 3)
                rows += found
                errors.append(error)
            rows.append(whisper_row(4 if quick else 32, 1 if quick else 3))
        rows.append(
            Row("features in batches against alone", max(errors), TOLERANCE, unit="",
                at_least=False)
        )  # fmt: skip
        print_rows(f"extraction (CPU time per frame, {title})", rows)
    return 0 if max(errors) <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
