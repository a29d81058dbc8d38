"""finetune --augment of sound: noise, babble, room, speed, specaugment, mixup."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from label_heads import inputs_of, linear, of_class
from noisy import Tones, sounds
from small_encoders import SMALL_TRANSFORMER
from tiny_training import Killed, run, weights
from waves import generator

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.hubert import Hubert, HubertConfiguration
from avaffect.objectives.base import Context
from avaffect.objectives.criteria import ClassCriterion
from avaffect.objectives.emphasis import Emphasis
from avaffect.objectives.sound_augmentation import SoundAugmentation
from avaffect.objectives.supervised import Supervised
from avaffect.recipes.downstream.labelled_data import Utterances
from avaffect.recipes.downstream.sound_treatment import NoiseStore
from avaffect.recipes.encoding import checkpoints
from avaffect.settings.augmentation import SOUNDS
from avaffect.settings.finetune import FinetuneSettings
from avaffect.signal.sound import masks, speed
from avaffect.signal.sound.disturbances import Disturbance

NANO = HubertConfiguration(SMALL_TRANSFORMER, "logmel", ((16, 3, 2),), input_dropout=0.0)


# -- in training ----------------------------------------------------------------------------------


def supervised(sound: SoundAugmentation | None, frozen: bool = False, seed: int = 0) -> Supervised:
    torch.manual_seed(seed)
    criterion = ClassCriterion("emotion", 0, {"ce": 1.0}, Emphasis((1.0, 2.0, 3.0)))
    encoder = Hubert(NANO)
    objective = Supervised(of_class(linear(16, 3)), [criterion], inputs_of(encoder), frozen)
    objective.sound = sound
    return objective


EVERY = SoundAugmentation((Disturbance(Tones(), (5.0, 5.0)), speed.perturbed), 0.5, True)


@pytest.mark.parametrize("frozen", [False, True])
def test_only_training_is_augmented_and_counts_stay(frozen: bool) -> None:
    batch = sounds()
    objective = supervised(EVERY, frozen)
    plain = supervised(None, frozen).eval()(batch, Context()).losses["classification"]
    objective.train()
    steps = [
        objective(batch, Context(generator=generator(seed))).losses["classification"]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(steps[0][0], steps[1][0]) and not torch.equal(steps[0][0], steps[2][0])
    assert {int(count) for _, count in steps} == {2}
    assert objective.counts(batch, Context())["classification"] == 2
    assert objective.seen(batch, Context(generator=generator())).labels["emotion"].shape == (4, 3)
    objective.eval()
    assert torch.equal(objective(batch, Context()).losses["classification"][0], plain[0])
    assert objective.seen(batch, Context()) is batch


def test_masks_are_on_local_features_in_training_alone() -> None:
    objective, batch = supervised(SoundAugmentation(masks=True)), sounds((30000, 20000, 9000))
    encoder = objective.encoder
    plain = encoder.features(batch).values
    with objective.sound.masking(encoder, generator(1)):
        hidden = encoder.features(batch).values
        forward = encoder(batch).values
    lengths = encoder.features(batch).lengths
    assert torch.equal(hidden, masks.masked(plain, lengths, generator(1)))
    assert not torch.equal(forward, encoder(batch).values)
    assert torch.equal(encoder.features(batch).values, plain) and "features" not in vars(encoder)
    # Every pass of a step hides the same.
    with objective.sound.masking(encoder, generator(1)):
        assert all(torch.equal(encoder.features(batch).values, hidden) for _ in range(2))
    with pytest.raises(RuntimeError), objective.sound.masking(encoder, generator(1)):
        raise RuntimeError
    assert "features" not in vars(encoder)


class _Sounds:
    def __init__(self, left: int = 99) -> None:
        self.left, self.whole = left, sounds((3000, 2600, 2000, 2400))

    def plan(self, epoch: int) -> list[np.ndarray]:
        order = np.random.default_rng(epoch).permutation(4)
        return [order[:2], order[2:]]

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        self.left -= 1
        if self.left < 0:
            raise Killed
        whole = self.whole.map(lambda values: values[indices].numpy())
        return replace(whole, ids=[whole.ids[i] for i in indices])


def test_a_resumed_run_draws_the_same(tmp_path: Path) -> None:
    whole, cut, resumed = supervised(EVERY), supervised(EVERY), supervised(EVERY, seed=7)
    run(whole, _Sounds(), tmp_path / "whole", epochs=3, save_every=1)
    with pytest.raises(Killed):
        run(cut, _Sounds(3), tmp_path / "cut", epochs=3, save_every=1)
    run(resumed, _Sounds(), tmp_path / "cut", epochs=3, save_every=1)
    assert weights(whole) == weights(resumed)


# -- noise from stores ----------------------------------------------------------------------------

CLASSES = ("high", "low")
SPLITS = ("train", "train", "train", "development", "test")


def write(path: Path, count: int = 20, silent: tuple[int, ...] = ()) -> None:
    """Noise of two colours from speakers s0 to s4, the last two development and test."""
    labels = {"emotion": LabelSpec("class", CLASSES), "arousal": LabelSpec("scalar"),
              "valence": LabelSpec("trace", rate_hz=10.0)}  # fmt: skip
    spec = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    with store_writer(path, {}, streams=spec, labels=labels) as writer:
        for number in range(count):
            wave = np.random.default_rng(number).normal(0, 3000, 6000 + 100 * number)
            if number % 2:
                wave = np.convolve(wave, np.ones(8) / 4, mode="same")
            if number in silent:
                wave[:] = 0
            writer.add(
                f"u{number:02}",
                streams={"waveform": wave.astype(np.int16)},
                labels={"emotion": CLASSES[number % 2], "arousal": float(number % 2),
                        "valence": np.linspace(-1, 1, 4).astype(np.float32)},
                meta={"speaker": f"s{number % 5}", "split": SPLITS[number % 5]},
            )  # fmt: skip


def test_noise_is_of_others_of_the_training_part(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", silent=(0,))
    ids = [f"u{n:02}" for n in range(20)]
    given = Utterances(ids, [f"s{n % 5}" for n in range(20)], [""] * 20, [""] * 20)
    recordings = NoiseStore.of((tmp_path / "a.h5",), given)
    assert {int(i[1:]) % 5 for i in recordings.dataset.ids} == {0, 1, 2}
    recordings = recordings.without(frozenset(["u05", "u10"]))
    read: list[int] = []
    original = recordings.dataset.read
    recordings.dataset.read = lambda stream, row: read.append(row) or original(stream, row)
    for seed in range(30):
        found = recordings.piece("u01", 500, 2, np.random.default_rng(seed))
        assert found.shape == (500,) and found.dtype == np.float32 and found.any()
    # Neither its own speaker, s1, nor what is left out; u00 is silent, and passed over.
    heard = {recordings.dataset.ids[row] for row in read}
    assert heard == {"u00", "u15", "u02", "u07", "u12", "u17"}
    recordings.check(6)
    for voices, ask in ((7, recordings.check), (6, None)):
        with pytest.raises(DataError, match="--noise-store"):
            ask(voices) if ask else recordings.piece("u01", 9, 6, np.random.default_rng(0))


# -- on the command line --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    write(folder / "a.h5")
    torch.manual_seed(0)
    checkpoints.save_encoder(folder / "x.safetensors", Hubert(NANO), None,
                             provenance={"command": "test", "inputs": []})  # fmt: skip
    return folder


FINETUNE = ("finetune", "a.h5", "--encoder", "x.safetensors", "--epochs", 2, "-f", "-o",
            "er.safetensors")  # fmt: skip


def weight_of(folder: Path, *options: object) -> torch.Tensor:
    from avaffect.training import checkpoint

    invoke(folder, *FINETUNE, *options)
    header, tensors = checkpoint.load(folder / "er.safetensors")
    given = header["provenance"]
    assert ("--augment" in options) == (given["settings"]["augment"] is not None)
    roles = {entry["role"] for entry in given["inputs"]}
    assert ("--noise-store" in options) == ("noise" in roles)
    return tensors["runs.0.head.head.layers.1.weight"]


def test_training_with_every_augmentation(folder: Path) -> None:
    every = ("--augment", "+".join(SOUNDS), "--noise-store", "a.h5", "--snr-range", 5, 10)
    plain, first = weight_of(folder), weight_of(folder, *every)
    assert first.isfinite().all() and not torch.equal(plain, first)
    assert torch.equal(first, weight_of(folder, *every))
    invoke(folder, "predict", "a.h5", "--model", "er.safetensors", "-f", "-o", "p.jsonl")
    assert json.loads((folder / "p.jsonl").read_text().splitlines()[-1])["count"] == 20


@pytest.mark.parametrize("name", ["mixup", "specaugment", "room"])
@pytest.mark.parametrize("pooling", ["mean", "attentive"])
def test_a_frozen_encoder_hears_augmented_sound_in_each_epoch(
    folder: Path, name: str, pooling: str
) -> None:
    frozen = ("--mode", "frozen", "--class-weights", "balanced", "--pooling", pooling)
    plain, found = weight_of(folder, *frozen), weight_of(folder, *frozen, "--augment", name)
    assert found.isfinite().all() and not torch.equal(plain, found)


def test_mistakes_of_options(folder: Path) -> None:
    media, encoder = (folder / "a.h5",), folder / "x.safetensors"
    store = (folder / "a.h5",)
    for options, words in (
        ({"augment": "noise"}, "--noise-store"),
        ({"augment": "room+room"}, "twice"),
        ({"augment": "hum"}, "unknown augmentation"),
        ({"augment": "room", "noise_store": store}, "--noise-store goes with"),
        ({"augment": "room", "snr_range": (0.0, 9.0)}, "--snr-range goes with"),
        ({"augment": "speed", "room_store": store}, "--room-store goes with"),
        ({"augment": "speed", "mixup_alpha": 0.5}, "--mixup-alpha goes with"),
        ({"augment": "noise", "noise_store": store, "snr_range": (9.0, 0.0)}, "lower number"),
        ({"augment": "mixup", "features": ("x=y.h5",)}, "--features stay"),
        ({"augment": "room", "encoder": None}, "features alone"),
    ):
        with pytest.raises(UsageError, match=words):
            FinetuneSettings(media=media, **{"encoder": encoder, **options})


def test_mistakes_of_labels_and_stores(folder: Path) -> None:
    out = ("-o", "no.safetensors")
    for name, label, kind in (("mixup", "arousal", "scalar"), ("speed", "valence", "trace")):
        found = invoke(folder, *FINETUNE, *out, "--augment", name, "--label", label, status=2)
        assert f"{label} is a {kind}" in found.stderr
    # Babble needs seven voices of others; four speakers of one utterance each are too few.
    write(folder / "few.h5", 4)
    found = invoke(folder, *FINETUNE, *out, "--augment", "babble", "--noise-store", "few.h5",
                   status=65)  # fmt: skip
    assert "7 recordings" in found.stderr and not (folder / "no.safetensors").exists()
    # Seen before there is work.
    spec = {"features": StreamSpec("features", "float32", 10.0, (3,), made={"front_end": "x"})}
    with store_writer(folder / "mute.h5", {}, streams=spec) as writer:
        writer.add("u00", streams={"features": np.zeros((4, 3), np.float32)})
    for options in (("noise", "--noise-store"), ("room", "--room-store")):
        found = invoke(folder, *FINETUNE, *out, "-n", "--augment", *options, "mute.h5", status=65)
        assert "mute.h5" in found.stderr
