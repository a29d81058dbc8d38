"""`extract` with encoders: any layer, any modality, and an utterance's frames are its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from stores import write_store

from avaffect.core.provenance import provenance
from avaffect.data.store.reader import Store
from avaffect.models import avhubert, hubert
from avaffect.models.avhubert import AVHubert
from avaffect.models.hubert import Hubert
from avaffect.recipes.encoding import checkpoints

SAMPLES = (9000, 32000, 3217, 16000, 400, 0, 8000)
FACES = (14, 50, 5, 0, 1, 12, 12)
ENCODERS = {
    "hubert-tiny": lambda: Hubert(hubert.PRESETS["tiny"]),
    "hubert-nano": lambda: Hubert(hubert.PRESETS["nano"]),
    "avhubert-nano": lambda: AVHubert(avhubert.PRESETS["nano"]),
}
CASES = [
    ("hubert-tiny", ()),
    ("hubert-tiny", ("--layer", 1)),
    ("hubert-nano", ()),
    *(("avhubert-nano", ("--modality", modality)) for modality in ("audio", "video", "av")),
    ("avhubert-nano", ("--layer", 3)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoders, and a store of utterances of all lengths: some silent, some unseen."""
    found = tmp_path_factory.mktemp("extract")
    rng = np.random.default_rng(0)
    sound = [rng.normal(0, 3000, samples).astype(np.int16) for samples in SAMPLES]
    faces = [rng.integers(0, 256, (count, 48, 48, 1)).astype(np.uint8) for count in FACES]
    write_store(found / "media.h5", {"waveform": (16000.0, sound), "face": (25.0, faces)})
    for name, make in ENCODERS.items():
        torch.manual_seed(0)
        checkpoints.save_encoder(
            found / f"{name}.safetensors", make(), None, provenance=provenance("test", {}, [])
        )
    return found


def extract(folder: Path, name: str, *options: object) -> Store:
    invoke(folder, "extract", "media.h5", "--model", f"{name}.safetensors", *options, "-f",
           "-o", "features.h5")  # fmt: skip
    return Store(folder / "features.h5")


def frames(store: Store) -> list[np.ndarray]:
    return [store.read("features", row).copy() for row in range(store.count)]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_alone_or_in_a_batch_an_utterance_has_the_same_frames(folder, name, options):
    store = extract(folder, name, *options)
    together, pooled = frames(store), store.pooled_vectors("mean").copy()
    for each in (("--batch-utterances", 1), ("--batch-seconds", 1)):
        store = extract(folder, name, *options, *each)
        for a, b in zip(together, frames(store), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, rtol=0)
        np.testing.assert_allclose(pooled, store.pooled_vectors("mean"), atol=1e-5, rtol=0)
    for values, mean in zip(together, pooled, strict=True):
        expected = values.mean(axis=0) if len(values) else np.zeros_like(mean)
        np.testing.assert_allclose(mean, expected, atol=1e-6)
    assert any(len(values) for values in together)


def test_each_modality_gives_the_frames_that_it_has(folder):
    counts = {
        modality: [len(values) for values in frames(extract(folder, "avhubert-nano",
                                                            "--modality", modality))]
        for modality in ("audio", "video", "av")
    }  # fmt: skip
    assert counts["video"] == list(FACES)
    assert counts["av"] == [14, 50, 5, 25, 1, 12, 12]
    assert [count > 0 for count in counts["audio"]] == [samples > 0 for samples in SAMPLES]


def test_half_precision_is_close_and_recorded(folder):
    full = frames(extract(folder, "hubert-tiny"))
    half = frames(extract(folder, "hubert-tiny", "--precision", "bf16"))
    distances = [
        np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in zip(full, half, strict=True) if len(a)
    ]
    assert 0 < max(distances) < 0.05
    info = Store(folder / "features.h5").provenance
    assert info["settings"]["precision"] == "bf16"
    line = ("extract", "media.h5", "--model", "hubert-tiny.safetensors", "-o", "x.h5")
    words = invoke(folder, *line, "--precision", "16", "--device", "cpu", status=2).stderr
    assert "bf16" in words


def test_a_front_end_is_the_same_in_any_precision(folder):
    for number, options in enumerate(((), ("--precision", "bf16"))):
        invoke(folder, "extract", "media.h5", "--model", "logmel", *options, "-o", f"{number}.h5")
    full, half = (frames(Store(folder / f"{number}.h5")) for number in range(2))
    for a, b in zip(full, half, strict=True):
        np.testing.assert_array_equal(a, b)
