"""Another package adds parts of each kind by entry points."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import packages
import pytest
import torch
import two_stores
from chain import invoke
from other_package import EnergyConfiguration, EnergyEncoder, Level, LevelConfiguration
from safetensors.torch import load_file, save_file
from stores import write_store

from avaffect.core import headers
from avaffect.core.headers import EncoderHeader
from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.pretraining.kept_objective import load_objective

ENTRY_POINTS = """
[avaffect.encoders]
energy = other_package:ENERGY
[avaffect.objectives]
level = other_package:LEVEL
[avaffect.front_ends]
peaks = other_package:PEAKS
loudest = other_package:LOUDEST
[avaffect.corpora]
twins = other_package:TWINS
[avaffect.losses]
huber = other_package:HUBER
margin = other_package:MARGIN
[avaffect.published]
energy-net = other_package:ENERGY_NET
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    packages.install(tmp_path / "site", ENTRY_POINTS, monkeypatch)
    yield
    packages.forget()


@pytest.fixture
def media(tmp_path: Path) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    sound = [random.normal(0, 3000, count).astype(np.int16) for count in (1600, 4000, 3200)]
    write_store(tmp_path / "media.h5", {"waveform": (16000.0, sound)})
    return sound


def test_an_encoder(
    tmp_path: Path, media: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint names it; without its package the file is refused in words."""
    path = tmp_path / "energy.safetensors"
    encoder = EnergyEncoder(EnergyConfiguration(2.0))
    checkpoints.save_encoder(path, encoder, None, provenance=provenance("test", {}, []))
    header = headers.read(path, EncoderHeader)
    assert header.model == {"name": "energy", "configuration": {"scale": 2.0}}
    extract = ("extract", "media.h5", "--model", "energy.safetensors", "-o")
    invoke(tmp_path, *extract, "features.h5")
    store = Store(tmp_path / "features.h5")
    for row, wave in enumerate(media):
        expected = 2 * np.square(wave[: len(wave) // 320 * 320].astype(float)).reshape(-1, 320)
        found = store.read("features", row)[:, 0]
        np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-5)
    packages.install(tmp_path / "site", "", monkeypatch)
    words = invoke(tmp_path, *extract, "again.h5", status=65).stderr
    assert "'energy'" in words and "avhubert" in words


def test_an_objective(tmp_path: Path) -> None:
    """A checkpoint keeps it by its name, and `adapt` continues it."""
    folder = Path(shutil.copytree(Path(__file__).parent / "fixtures" / "v0.1", tmp_path / "chain"))
    objective = Level(EnergyEncoder(EnergyConfiguration(1e-6)), LevelConfiguration(3.0))
    objective.offset.data.fill_(0.5)
    made = provenance("test", {}, [])
    checkpoints.save_encoder(
        folder / "level.safetensors", objective.encoder, objective, provenance=made
    )
    back = load_objective(folder / "level.safetensors", "")
    assert isinstance(back, Level) and back.configuration == LevelConfiguration(3.0)
    assert back.offset.tolist() == [0.5]
    words = invoke(folder, "adapt", "retrieved.jsonl", "--encoder", "level.safetensors", "--steps",
                   3, "--learning-rate", 0.1, "-o", "on.safetensors").stderr  # fmt: skip
    assert "L_PT" in words
    header = headers.read(folder / "on.safetensors", EncoderHeader)
    assert header.objective is not None and header.objective.name == "level"
    assert load_file(folder / "on.safetensors")["objective.offset"][0] != 0.5


def test_a_front_end(tmp_path: Path, media: list[np.ndarray]) -> None:
    invoke(tmp_path, "extract", "media.h5", "--model", "peaks", "-o", "peaks.h5")
    store = Store(tmp_path / "peaks.h5")
    assert store.streams["features"].made == {"front_end": "peaks"}
    for row, wave in enumerate(media):
        expected = np.abs(wave[: len(wave) // 160 * 160].astype(float)).reshape(-1, 160).max(axis=1)
        np.testing.assert_allclose(store.read("features", row)[:, 0], expected)
    invoke(tmp_path, "extract", "media.h5", "--model", "peaks", "-o", "peaks.h5")


def test_a_front_end_is_clustered(tmp_path: Path, media: list[np.ndarray]) -> None:
    cluster = ("cluster", "media.h5", "-k", 2, "--initialisations", 1, "--features")
    invoke(tmp_path, *cluster, "peaks", "-o", "k.safetensors")
    invoke(tmp_path, "extract", "media.h5", "--model", "k.safetensors", "-o", "units.h5")
    store = Store(tmp_path / "units.h5")
    assert [store.lengths("units")[row] for row in range(3)] == [10, 25, 20]
    # One vector an utterance is not frames; and what nobody has is named.
    invoke(tmp_path, *cluster, "loudest", "-o", "l.safetensors", status=2)
    words = invoke(tmp_path, *cluster, "whispers", "-o", "l.safetensors", status=2).stderr
    assert "mfcc" in words and "peaks" in words


def test_a_corpus(tmp_path: Path) -> None:
    for name in ("anger-ann-1", "neutral-bea-1"):
        path = tmp_path / "twins" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"RIFF")
    invoke(tmp_path, "manifest", "twins", "twins", "-o", "m.jsonl")
    made = manifest.read(tmp_path / "m.jsonl")
    assert made.header.to_dict()["corpus"] == "twins"
    assert [item["speaker"] for item in made.items] == ["ann", "bea"]
    assert made.items[0]["labels"] == {"emotion": "anger"}
    words = invoke(tmp_path, "manifest", "triplets", "twins", "-o", "t.jsonl", status=2).stderr
    assert "emodb" in words and "twins" in words


def test_losses_of_labels(tmp_path: Path) -> None:
    two_stores.write(tmp_path)
    options = ("--label", "emotion", "--label", "arousal_mean", "--loss", "margin=1",
               "--loss", "arousal_mean:huber=2")  # fmt: skip
    two_stores.trained(tmp_path, *options)
    lines = (tmp_path / "c.safetensors.metrics.jsonl").read_text().splitlines()
    assert {"margin_emotion", "huber_arousal_mean"} <= json.loads(lines[0]).keys()
    assert two_stores.report(tmp_path, "eval-class", "p.jsonl")["ua"] > 0.8
    scores = two_stores.report(tmp_path, "eval-ccc", "p.jsonl")["pooled"]["arousal_mean"]
    assert scores["ccc"] > 0.8
    finetune = ("finetune", "slow.h5", "-f", "-o", "c.safetensors", "--label", "emotion", "--loss")
    for wrong in ("huber=1", "hubert=1"):
        words = invoke(tmp_path, *finetune, wrong, status=2).stderr
        assert "margin" in words
    # It takes neither the weights of utterances nor shares of classes.
    for option in (("--class-weights", "balanced"), ("--label-smoothing", 0.1)):
        words = invoke(tmp_path, *finetune, "margin=1", *option, status=2).stderr
        assert str(option[0]) in words and "margin" in words


def test_a_published_model(tmp_path: Path) -> None:
    save_file({"energy_net.gain": torch.tensor([3.0])}, tmp_path / "net.safetensors")
    load = ("import", "net.safetensors", "-o", "e.safetensors")
    invoke(tmp_path, *load)
    header = headers.read(tmp_path / "e.safetensors", EncoderHeader)
    assert header.model == {"name": "energy", "configuration": {"scale": 3.0}}
    assert header.published is not None and header.published.kind == "energy-net"
    invoke(tmp_path, *load, "--as", "energy-net", "-f")
    invoke(tmp_path, *load, "--as", "hubert", "-f", status=65)
