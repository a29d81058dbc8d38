"""Encoders of tokens, of another package: what reads one vector an utterance takes them, and what
reads frames in time refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import packages
import pytest
import torch
from chain import invoke
from other_package import Level, LevelConfiguration
from safetensors.torch import load_file
from toy_tokens import ENTRY_POINTS, SAMPLES, PatchConfiguration, PatchEncoder

import avaffect
from avaffect.core import headers
from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.headers import ClassifierHeader, EncoderHeader
from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.dataset import dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.encoder import Encoded, FrameEncoder, Frames, Tokens
from avaffect.objectives.masked_prediction import MaskedPrediction, MaskedPredictionConfiguration
from avaffect.recipes.encoding import checkpoints
from avaffect.training.device import to_device

CLASSES = ("anger", "neutral")
COUNT = 24
# No frame encoder reads pictures so far apart.
FACE_RATE_HZ = 12.5
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    packages.install(tmp_path / "site", ENTRY_POINTS, monkeypatch)
    yield
    packages.forget()


@pytest.fixture
def encoder() -> PatchEncoder:
    torch.manual_seed(0)
    return PatchEncoder(PatchConfiguration()).eval()


@pytest.fixture
def folder(tmp_path: Path, encoder: PatchEncoder) -> Path:
    """media.h5: angry people are loud before a bright wall; some are heard or seen alone, the
    last is neither, its sound shorter than a patch. x.safetensors."""
    random = np.random.default_rng(0)
    streams = {
        "waveform": StreamSpec("waveform", "int16", 16000.0),
        "face": StreamSpec("face", "uint8", FACE_RATE_HZ, (8, 8, 1)),
    }
    labels = {"emotion": LabelSpec("class", CLASSES), "arousal": LabelSpec("trace", rate_hz=10.0)}
    with store_writer(tmp_path / "media.h5", {}, streams=streams, labels=labels) as writer:
        for row in range(COUNT):
            level = 1 + row % 2
            count = int(random.integers(2, 9))
            sound = random.normal(0, 1500 * level, SAMPLES * count + 300).astype(np.int16)
            face = (90 * level + random.integers(0, 30, (count, 8, 8, 1))).astype(np.uint8)
            if row == COUNT - 1:
                sound, face = sound[:300], face[:0]
            writer.add(
                f"u{row:02}",
                streams={
                    "waveform": sound[: 0 if row % 6 == 2 else None],
                    "face": face[: 0 if row % 6 == 3 else None],
                },
                labels={"emotion": CLASSES[2 - level], "arousal": np.full(9, 0.1 * level)},
                meta={
                    "speaker": f"s{row // 4}",
                    "split": "train" if row < 16 else "development" if row < 20 else "test",
                },
            )
    made = provenance("test", {}, [])
    checkpoints.save_encoder(tmp_path / "x.safetensors", encoder, None, provenance=made)
    return tmp_path


def alone(folder: Path, row: int) -> Batch:
    store = Store(folder / "media.h5")
    return to_device(dataset_of([store], store.ids, ("waveform", "face")).batch([row]), CPU)


def means(folder: Path, encoder: PatchEncoder, layer: int | None = None) -> np.ndarray:
    """(N, dim) of each utterance by itself."""
    with torch.no_grad():
        found = [encoder(alone(folder, row), layer).mean()[0] for row in range(COUNT)]
    return torch.stack(found).numpy()


def test_a_mean_leaves_padding_out_wherever_it_stands() -> None:
    values = torch.randn(2, 5, 3, dtype=torch.float64)
    valid = torch.tensor([[True, False, True, True, False], [False] * 5])
    tokens: Encoded = Tokens(values, valid)
    assert tokens.present.tolist() == [True, False]
    torch.testing.assert_close(tokens.mean()[0], values[0, [0, 2, 3]].mean(dim=0))
    assert tokens.mean()[1].tolist() == [0, 0, 0]
    frames: Encoded = Frames(values, torch.tensor([3, 0]))
    assert frames.present.tolist() == [True, False]
    torch.testing.assert_close(frames.mean()[0], values[0, :3].mean(dim=0))


def test_extract_writes_their_means(folder: Path, encoder: PatchEncoder) -> None:
    """Whatever else is in a batch; of any layer; and no frames, which nobody could place."""
    extract = ("extract", "media.h5", "--model", "x.safetensors")
    words = invoke(folder, *extract, "-o", "frames.h5", status=65).stderr
    assert "--pooled-only" in words and not (folder / "frames.h5").exists()
    warned = invoke(folder, *extract, "--pooled-only", "-o", "pooled.h5").stderr
    assert "1 utterance" in warned
    store = Store(folder / "pooled.h5")
    assert not store.streams and list(store.pooled) == ["mean"] and store.pooled["mean"].dim == 6
    expected = means(folder, encoder)
    np.testing.assert_allclose(store.pooled_vectors("mean"), expected, rtol=1e-5, atol=1e-6)
    assert not expected[-1].any() and expected[:-1].any(axis=1).all()
    invoke(folder, *extract, "--pooled-only", "--layer", 1, "-o", "first.h5")
    first = Store(folder / "first.h5").pooled_vectors("mean")
    np.testing.assert_allclose(first, means(folder, encoder, 1), rtol=1e-5, atol=1e-6)
    assert np.abs(first - expected).max() > 1e-3
    invoke(folder, *extract, "--pooled-only", "--layer", 3, "-o", "third.h5", status=2)
    only = ("--pooled-only", "--modality", "video", "-o", "seen.h5")
    invoke(folder, *extract, *only)
    assert not Store(folder / "seen.h5").pooled_vectors("mean")[[3, 9, COUNT - 1]].any()


def test_what_is_read_is_what_the_encoder_samples(folder: Path) -> None:
    """The middle outside training, and so many pictures of it; in training, a random place."""
    torch.manual_seed(1)
    sampled = PatchEncoder(PatchConfiguration(seconds=0.3, pictures=2)).eval()
    made = provenance("test", {}, [])
    checkpoints.save_encoder(folder / "s.safetensors", sampled, None, provenance=made)
    invoke(folder, "extract", "media.h5", "--model", "s.safetensors", "--pooled-only",
           "-o", "s.h5")  # fmt: skip
    found = Store(folder / "s.h5").pooled_vectors("mean")
    store = Store(folder / "media.h5")
    long = [row for row in range(COUNT) if store.lengths("face")[row] > 5]
    assert len(long) > 3
    for row in long:
        wave, face = store.read("waveform", row), store.read("face", row)
        start = int((len(face) / FACE_RATE_HZ - 0.3) / 0.04) // 2 * 0.04
        samples, pictures = round(start * 16000), round(start * FACE_RATE_HZ)
        # The middles of the two halves of four pictures.
        streams = {
            "waveform": torch.tensor(wave[None, samples : samples + 4800]),
            "face": torch.tensor(face[None, [pictures + 1, pictures + 3]]),
        }
        lengths = {name: torch.tensor([values.shape[1]]) for name, values in streams.items()}
        with torch.no_grad():
            expected = sampled(Batch(["x"], streams, lengths)).mean()[0].numpy()
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)
    invoke(folder, "finetune", "media.h5", "--encoder", "s.safetensors", "--label", "emotion",
           "--steps", 3, "-o", "c.safetensors")  # fmt: skip
    invoke(folder, "predict", "media.h5", "--model", "c.safetensors", "-o", "p.jsonl")
    assert len(manifest.read(folder / "p.jsonl").items) == COUNT - 1


def test_its_header_gives_no_rate(folder: Path) -> None:
    header = headers.read(folder / "x.safetensors", EncoderHeader)
    assert header.rate_hz == 0.0 and header.streams == ("waveform", "face")
    found = avaffect.load_encoder(folder / "x.safetensors")
    assert not isinstance(found, FrameEncoder) and found.depth == 2


@pytest.mark.parametrize("mode", ["frozen", "fine-tuned"])
def test_a_linear_head_is_trained_and_predicts(folder: Path, mode: str) -> None:
    """Of the utterances that have a token; one checkpoint serves those that are heard, seen or
    both."""
    invoke(folder, "finetune", "media.h5", "--encoder", "x.safetensors", "--label", "emotion",
           "--mode", mode, "--steps", 150, "--batch-utterances", 16,
           *(("--learning-rate", 0.01) if mode == "fine-tuned" else ()),
           "-o", "c.safetensors")  # fmt: skip
    header = headers.read(folder / "c.safetensors", ClassifierHeader)
    assert header.preprocessing.rate_hz == 0.0 and header.mode == mode
    words = invoke(
        folder, "predict", "media.h5", "--model", "c.safetensors", "-o", "p.jsonl"
    ).stderr
    items = manifest.read(folder / "p.jsonl").items
    assert len(items) == COUNT - 1 and f"u{COUNT - 1}" in words
    assert np.mean([item["prediction"] == item["gold"] for item in items]) > 0.8


def test_tokens_and_frames_stand_side_by_side(folder: Path) -> None:
    invoke(folder, "extract", "media.h5", "--model", "mfcc", "-o", "mfcc.h5")
    named = ("--features", "mfcc=mfcc.h5")
    for mode in ("frozen", "fine-tuned"):
        invoke(
            folder,
            "finetune",
            "media.h5",
            "--encoder",
            "x.safetensors",
            *named,
            "--label",
            "emotion",
            "--mode",
            mode,
            "--steps",
            3,
            "-f",
            "-o",
            "c.safetensors",
        )
        invoke(folder, "predict", "media.h5", *named, "--model", "c.safetensors", "-f",
               "-o", "p.jsonl")  # fmt: skip
        assert len(manifest.read(folder / "p.jsonl").items) == COUNT - 1


@pytest.mark.parametrize(
    "command",
    [
        ("cluster", "media.h5", "--model", "x.safetensors", "-k", 2),
        ("finetune", "media.h5", "--encoder", "x.safetensors", "--label", "arousal"),
        ("finetune", "media.h5", "--encoder", "x.safetensors", "--label", "emotion",
         "--head", "gru"),
        ("pretrain-apc", "media.h5", "--init", "x.safetensors"),
    ],
    ids=lambda command: f"{command[0]} {command[-1]}",
)  # fmt: skip
def test_what_needs_frames_refuses_them(folder: Path, command: tuple) -> None:
    words = invoke(folder, *command, "-o", "out.safetensors", status=65).stderr
    # pretrain-apc knows its own encoders alone.
    assert ("tokens" in words) == (command[0] != "pretrain-apc")
    assert not (folder / "out.safetensors").exists()


def test_masked_prediction_refuses_them(encoder: PatchEncoder) -> None:
    with pytest.raises(DataError):
        MaskedPrediction(encoder, MaskedPredictionConfiguration(2))


def test_they_retrieve_and_are_adapted(folder: Path, encoder: PatchEncoder) -> None:
    """train-projector, similarity, retrieve and adapt read one vector an utterance; adapt also
    continues a pre-training that does."""
    objective = Level(encoder, LevelConfiguration(1.0))
    made = provenance("test", {}, [])
    checkpoints.save_encoder(folder / "x.safetensors", encoder, objective, provenance=made)
    invoke(folder, "train-projector", "media.h5", "--encoder", "x.safetensors", "--epochs", 2,
           "-o", "projector.safetensors")  # fmt: skip
    invoke(folder, "extract", "media.h5", "--model", "projector.safetensors", "-o", "e.h5")
    assert len(Store(folder / "e.h5").ids) == COUNT - 1
    invoke(folder, "similarity", "--query", "e.h5", "--pool", "e.h5", "-o", "s.h5")
    invoke(folder, "retrieve", "--query", "e.h5", "--pool", "e.h5", "--draws", 1, "-o", "r.jsonl")
    for options in (("--without", "pt"), ()):
        invoke(folder, "adapt", "r.jsonl", *options, "--steps", 2, "-f", "-o", "a.safetensors")
        adapted = checkpoints.load_encoder(folder / "a.safetensors", CPU)[0]
        assert isinstance(adapted, PatchEncoder)
        assert not torch.equal(adapted.layers[0].weight, encoder.layers[0].weight)
    assert load_file(folder / "a.safetensors")["objective.offset"].abs().min() > 0
