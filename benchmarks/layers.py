"""A weighted sum of an encoder's layers against one layer, in frozen training.

    python -m benchmarks.layers [--quick]

`finetune --mode frozen` on utterances of 3 s of noise with Whisper tiny at random initialisation,
from the recordings to the classifier, everything computed: CPU seconds with --layers weighted over
those with --layer. Linear heads train for 1000 steps, a quarter of their default on small corpora;
the GRU for 8, as one layer of its encoder is computed anew in each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avaffect.core.headers import EncoderHeader, Input
from avaffect.core.seeds import generator
from avaffect.core.streams import SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models import registry
from avaffect.models.whisper import Whisper, WhisperConfiguration
from avaffect.recipes.finetune import finetune
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

MOST = 1.1
CLASSES = ("calm", "anger")
HEADS: dict[str, dict[str, Any]] = {
    "linear head on means": {"steps": 1000},
    "linear head, mean-std": {"steps": 1000, "pooling": "mean-std"},
    "gru": {"steps": 8, "head": "gru", "hidden": 64, "gru_layers": 1},
}


def store(path: Path, count: int) -> None:
    """Noise, labelled at random."""
    random = generator(0, "noise")
    streams = {WAVEFORM: StreamSpec("waveform", "int16", SAMPLE_RATE_HZ)}
    with store_writer(
        path, {}, streams=streams, labels={"emotion": LabelSpec("class", CLASSES)}
    ) as sink:
        for number in range(count):
            wave = random.normal(0, 1000, 3 * SAMPLE_RATE_HZ).astype(np.int16)
            sink.add(
                f"u{number}", streams={WAVEFORM: wave}, labels={"emotion": CLASSES[number % 2]},
                meta={"speaker": f"s{number % 8}", "split": "train"},
            )  # fmt: skip


def encoder(path: Path) -> None:
    torch.manual_seed(0)
    model = Whisper(WhisperConfiguration())
    header = EncoderHeader(
        model=registry.describe(model),
        preprocessing=Input(streams=model.streams, rate_hz=model.rate_hz),
    )
    checkpoint.write(path, header, model.state_dict())


def ways(folder: Path, head: dict[str, Any], quick: bool) -> dict[str, Callable[[], object]]:
    given: dict[str, Any] = {
        "media": (folder / "noise.h5",), "encoder": folder / "encoder.safetensors",
        "mode": "frozen", "select": "none", "force": True, "fresh": True, "folds": 0,
        "output": folder / "c.safetensors", **head,
    }  # fmt: skip
    if quick:
        given |= {"steps": 2}
    read: dict[str, dict[str, Any]] = {"one": {"layer": 3}, "all": {"layers": "weighted"}}
    return {
        name: partial(finetune, FinetuneSettings(**given, **layers))
        for name, layers in read.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few utterances and steps")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    quick = options.quick
    warnings.simplefilter("ignore")
    rows = []
    with tempfile.TemporaryDirectory() as temporary, one_thread():
        folder = Path(temporary)
        store(folder / "noise.h5", 8 if quick else 48)
        encoder(folder / "encoder.safetensors")
        for name, head in HEADS.items():
            spent = interleaved(
                ways(folder, head, quick), repetitions=1 if quick else options.repetitions
            )
            seconds = " and ".join(f"{min(spent[way]):.1f}" for way in ("all", "one"))
            rows.append(
                Row(name, median_ratio(spent, "all", "one"), MOST, at_least=False,
                    note=f"{seconds} s of CPU")
            )  # fmt: skip
    print_rows("five layers of Whisper tiny, weighted, over one layer; frozen training", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
