"""examples/attributes.mk on a folder like MSP-Podcast's and a small encoder with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from makefiles import make

from avaffect.core import headers
from avaffect.core.headers import ClassifierHeader, EncoderHeader
from avaffect.data.store.reader import Store

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401, isort: skip

SIZES = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": (8,) * 7, "num_conv_pos_embedding_groups": 2, "num_conv_pos_embeddings": 8,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True,
}  # fmt: skip
ATTRIBUTES = ("arousal", "dominance", "valence")


def podcast(folder: Path) -> Path:
    """Noise whose loudness is its arousal: five turns each of train and development, three of each
    of two test partitions."""
    (folder / "Audios").mkdir(parents=True)
    (folder / "Labels").mkdir()
    random = np.random.default_rng(0)
    rows = ["FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"]
    parts = ["Train"] * 5 + ["Development"] * 5 + ["Test1"] * 3 + ["Test2"] * 3
    for number, part in enumerate(parts):
        arousal, valence = 1 + number % 5, 1 + number % 3
        wave = random.standard_normal(6400) * 0.03 * arousal
        name = f"MSP-PODCAST_0001_{number:04d}.wav"
        soundfile.write(folder / "Audios" / name, wave, 16000)
        rows.append(f"{name},N,{arousal},{valence},{arousal},{number},Female,{part}")
    (folder / "Labels" / "labels_consensus.csv").write_text("\n".join([*rows, ""]))
    return folder


def test_features_before_and_after_fine_tuning_on_attributes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SIZES))
    model.save_pretrained(tmp_path / "weights")
    out = tmp_path / "out"
    corpus = podcast(tmp_path / "podcast")
    make(
        "examples/attributes.mk", f"WEIGHTS={tmp_path / 'weights'}", f"PODCAST={corpus}",
        f"MEDIA={out / 'podcast.h5'}", f"OUT={out}", "HIDDEN=8", "TRAIN=--steps 2", "PRECISION=32",
    )  # fmt: skip
    assert "Test2" not in (out / "chosen.jsonl").read_text()
    header = headers.read(out / "attributes.safetensors", ClassifierHeader)
    assert header.scalars == ATTRIBUTES
    assert header.model["configuration"]["head"]["configuration"]["layer_norm"] is True
    tuned = headers.read(out / "tuned.safetensors", EncoderHeader)
    assert len(tuned.labelled_speakers) == 10
    before, after = (Store(out / f"{name}.h5") for name in ("before", "after"))
    assert before.count == after.count == 13
    assert before.lengths("features").tolist() == after.lengths("features").tolist()
    assert np.abs(before.read("features", 0) - after.read("features", 0)).max() > 0
    assert all(name in (out / "attributes.json").read_text() for name in ATTRIBUTES)
