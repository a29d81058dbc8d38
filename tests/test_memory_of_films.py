"""Memory that does not grow with a film, and little of it for each of its frames."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
from stores import write_store

from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.downstream.frozen_inputs import BLOCK_ROWS, _over_utterances
from benchmarks.films import cost
from benchmarks.processes import MIB

# Some 800 bytes of each of 30,000 frames (its id in lists and dictionaries, its label, its scores),
# and what threads of torch make of it.
MOST_MIB = {"finetune": 60, "predict": 40, "eval-class": 24}


def test_frames_of_a_film_in_memory_that_does_not_grow_with_it(tmp_path: Path) -> None:
    found = []
    for minutes in (2, 20):
        noise = np.random.default_rng(0).integers(-999, 999, minutes * 60 * 16000).astype(np.int16)
        write_store(tmp_path / f"{minutes}.h5", {"waveform": (16000.0, [noise])})
        command = ("extract", f"{minutes}.h5", "--model", "logmel", "--frames-at", 1,
                   "--batch-seconds", 20, "-o", f"f{minutes}.h5")  # fmt: skip
        found.append(cost(tmp_path, command).own / MIB)
        assert Store(tmp_path / f"f{minutes}.h5").count == minutes * 60
    # 18 minutes are 33 MiB of samples, and as many of frames; a whole film needs 400 MiB more.
    assert found[1] - found[0] < 16, f"{found} MiB"


FRAMES, DIM = 30_000, 256


def test_learning_and_scoring_hold_no_vectors_of_frames(tmp_path: Path) -> None:
    """Peak beyond that of 500 frames of what `finetune`, `predict` and `eval-class` hold of 30,000:
    their vectors alone are 29 MiB, as float64 twice as many."""
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for count in (500, FRAMES):
        store = f"{count}.h5"
        rows = random.normal(size=(count, DIM)).astype(np.float32)
        with store_writer(tmp_path / store, provenance("test", {}, []),
                          labels={"emotion": LabelSpec("class", ("no", "yes"))},
                          pooled={"mean": PooledSpec(DIM, {})}) as writer:  # fmt: skip
            for number, row in enumerate(rows):
                part = "development" if number < 100 else "train"
                writer.add(f"film_{number}", pooled={"mean": row}, meta={"split": part},
                           labels={"emotion": ("no", "yes")[int(row[0] > 0)]})  # fmt: skip
        model, predicted = f"c{count}.safetensors", f"p{count}.jsonl"
        for command in (
            ("finetune", store, "--epochs", 1, "-o", model),
            ("predict", store, "--model", model, "-o", predicted),
            ("eval-class", predicted, "--split", "train", "-o", f"r{count}.json"),
        ):
            found.setdefault(command[0], []).append(cost(tmp_path, command).own / MIB)
    for command, (few, many) in found.items():
        assert many - few < MOST_MIB[command], (command, few, many)


def test_statistics_of_many_frames_are_taken_in_blocks() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(3, 2, (10 * BLOCK_ROWS + 7, 32)).astype(np.float32)
    rows[3, 2], rows[5000:, 4], rows[:, 5] = np.nan, np.nan, np.inf
    chosen = np.flatnonzero(random.random(len(rows)) < 0.9)
    tracemalloc.start()
    mean, std = _over_utterances(rows, chosen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Some copies of a block, where all rows in float64 are 10 MiB.
    assert peak < 6 * BLOCK_ROWS * 32 * 8
    for column in range(32):
        values = rows[chosen, column].astype(np.float64)
        values = values[np.isfinite(values)]
        expected = (values.mean(), values.std()) if len(values) else (0.0, 0.0)
        np.testing.assert_allclose((mean[column], std[column]), expected, rtol=1e-12)


def test_equal_texts_of_many_frames_are_one(tmp_path: Path) -> None:
    with store_writer(tmp_path / "f.h5", provenance("test", {}, []),
                      pooled={"mean": PooledSpec(1, {})}) as writer:  # fmt: skip
        for number in range(3):
            writer.add(f"film_{number}", pooled={"mean": np.ones(1)}, meta={"recording": "a film"})
    names = Store(tmp_path / "f.h5").meta["recording"]
    assert names == ["a film"] * 3 and names[0] is names[1] is names[2]
    items = [
        {"id": f"f{n}", "speaker": "the same", "scores": {"anger": 0.25 * n}} for n in range(2)
    ]
    manifest.write(tmp_path / "p.jsonl", manifest.new_header("predictions"), items)
    first, second = manifest.read(tmp_path / "p.jsonl").items
    assert first["speaker"] is second["speaker"] and first["scores"] == {"anger": 0.0}
    for one, other in ((first, second), (first["scores"], second["scores"])):
        assert all(a is b for a, b in zip(one, other, strict=True))
