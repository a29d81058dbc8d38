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
from small_encoders import SMALL_TRANSFORMER
from tiny_training import Killed, run, weights

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import ReadLayers
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.hubert import Hubert, HubertConfiguration
from avaffect.models.layers import FrameLayers
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
from avaffect.signal.sound import masks, mixing, rooms, speed
from avaffect.signal.sound.changes import changed
from avaffect.signal.sound.disturbances import VOICES, Disturbance

NANO = HubertConfiguration(SMALL_TRANSFORMER, "logmel", ((16, 3, 2),), input_dropout=0.0)
LENGTHS = (4000, 0, 2600, 3333)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sounds(lengths: tuple[int, ...] = LENGTHS, padding: int = 0, seed: int = 0) -> Batch:
    """Noise of int16; past the end of an utterance it is not silent."""
    shape = (len(lengths), max(lengths) + padding)
    waves = np.random.default_rng(seed).normal(0, 2000, (len(lengths), max(lengths)))
    waves = np.pad(waves, ((0, 0), (0, padding)), constant_values=500).astype(np.int16)
    assert waves.shape == shape
    counts = torch.tensor(lengths)
    return Batch([f"u{n}" for n in range(len(lengths))], {"waveform": torch.from_numpy(waves)},
                 {"waveform": counts}, {"waveform": counts > 0}, {"waveform": 16000.0},
                 {"emotion": torch.tensor([0, 1, 2, -1])[: len(lengths)]})  # fmt: skip


class Tones:
    """Recordings of which each piece is a sum of tones, and that keep what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def piece(
        self, identifier: str, length: int, voices: int, random: np.random.Generator
    ) -> np.ndarray:
        self.asked.append((identifier, length, voices))
        steps, pitches = np.arange(length), random.uniform(0.01, 0.4, voices)
        return np.sin(steps[:, None] * pitches).sum(axis=1).astype(np.float32)


def decibels(signal: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(np.square(signal).sum() / np.square(other).sum())


# -- waveforms ------------------------------------------------------------------------------------


def test_noise_reaches_its_ratio_whatever_the_padding() -> None:
    batch = sounds()
    for voices in ((1, 1), VOICES):
        recordings = Tones()
        found = changed(batch, [Disturbance(recordings, (7.0, 7.0), voices)], generator(3))
        for row, length in enumerate(LENGTHS):
            clean = batch.waveform[row, :length].numpy() / 32768
            noisy = found.waveform[row].double().numpy()
            assert not noisy[length:].any()
            if length:
                assert decibels(clean, noisy[:length] - clean) == pytest.approx(7.0, abs=0.1)
        assert [asked[:2] for asked in recordings.asked] == [
            (f"u{n}", length) for n, length in enumerate(LENGTHS) if length
        ]
        assert all(voices[0] <= asked[2] <= voices[1] for asked in recordings.asked)
        padded = changed(sounds(padding=900), [Disturbance(Tones(), (7.0, 7.0), voices)],
                         generator(3))  # fmt: skip
        assert torch.equal(padded.waveform, found.waveform)


def test_ratios_are_drawn_from_a_range_and_by_the_generator_alone() -> None:
    batch = sounds((3000,) * 40)
    change = [Disturbance(Tones(), (-5.0, 15.0))]
    found, again, other = (changed(batch, change, generator(s)).waveform for s in (1, 1, 2))
    assert torch.equal(found, again) and not torch.equal(found, other)
    clean = batch.waveform.double().numpy() / 32768
    ratios = [decibels(c, n - c) for c, n in zip(clean, found.double().numpy())]
    assert -5 <= min(ratios) < 0 < 10 < max(ratios) <= 15
    silent = replace(batch, streams={"waveform": torch.zeros(40, 3000, dtype=torch.int16)})
    assert not changed(silent, change, generator()).waveform.any()
    assert changed(batch, (), generator()) is batch


def test_rooms_convolve_and_keep_power_and_length() -> None:
    batch = sounds()
    recorded = np.random.default_rng(1).normal(0, 0.05, 700) * np.exp(-np.arange(700) / 90)
    recorded[40] = 1.0
    found = changed(batch, [rooms.Room((recorded,))], generator())
    assert torch.equal(found.lengths["waveform"], batch.lengths["waveform"])
    for row, length in enumerate(LENGTHS):
        clean = batch.waveform[row, :length].double().numpy() / 32768
        if length:
            wet = np.convolve(clean, recorded[40:])[:length]
            wet *= np.sqrt(np.square(clean).sum() / np.square(wet).sum())
            np.testing.assert_allclose(found.waveform[row, :length], wet, atol=1e-5)
    dry = changed(batch, [rooms.Room((np.array([0, 0, 16384], dtype=np.int16),))], generator())
    torch.testing.assert_close(dry.waveform[0], batch.waveform[0] / 32768)
    simulated = [changed(batch, [rooms.Room()], generator(seed)).waveform for seed in (0, 0, 1)]
    assert torch.equal(simulated[0], simulated[1])
    assert not torch.equal(simulated[0], simulated[2])


def test_simulated_responses_decay_as_they_say() -> None:
    response = rooms.simulated(0.5, 6.0, np.random.default_rng(0)).astype(np.float64)
    assert len(response) == 8000 and response[0] == 1.0
    assert decibels(response[:1], response[1:]) == pytest.approx(6.0, abs=0.01)
    # 0.1 s in 0.5 s is a fifth of 60 dB.
    parts = response[1:7996].reshape(5, -1)
    falls = [decibels(parts[n], parts[n + 1]) for n in range(4)]
    assert np.mean(falls) == pytest.approx(12.0, abs=0.7)


def test_speeds_change_lengths_and_pitch() -> None:
    times = np.arange(8000) / 16000
    tone = torch.from_numpy(np.sin(2 * np.pi * 400 * times)).float()
    for tenths, length in ((9, 8889), (10, 8000), (11, 7273)):
        found = speed.at_speed(tone, tenths)
        assert len(found) == length
        expected = np.sin(2 * np.pi * 40 * tenths * np.arange(length) / 16000)
        np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=5e-3)
    batch = sounds((4000,) * 30 + (1500,))
    found = changed(batch, [speed.perturbed], generator())
    assert set(found.lengths["waveform"][:30].tolist()) == {4445, 4000, 3637}
    assert found.lengths["waveform"][30] == 1500
    for row, length in enumerate(found.lengths["waveform"].tolist()):
        assert not found.waveform[row, length:].any() and found.waveform[row, length - 1] != 0


def test_masks_are_spans_within_each_utterance() -> None:
    lengths = torch.tensor([60, 25, 0, 9])
    values = torch.ones(4, 60, 40)
    hidden = masks.masked(values, lengths, generator(1)) == 0
    longer = masks.masked(torch.ones(4, 75, 40), lengths, generator(1)) == 0
    assert torch.equal(hidden, longer[:, :60])
    drawn = torch.rand(4, 4, 2, generator=generator(1), dtype=torch.float64).tolist()
    for row, length in enumerate(lengths.tolist()):
        expected = np.zeros((60, 40), dtype=bool)
        for number, (width, place) in enumerate(drawn[row]):
            size, most = (length, int(0.1 * length)) if number < 2 else (40, int(0.15 * 40))
            wide = int(width * (most + 1))
            start = int(place * (size - wide + 1))
            if number < 2:
                expected[start : start + wide] = True
            else:
                expected[:, start : start + wide] = True
        assert np.array_equal(hidden[row].numpy(), expected)
    many = masks.masked(torch.ones(300, 60, 40), torch.full((300,), 60), generator(2)) == 0
    times, bands = many.all(dim=2).sum(1), many.all(dim=1).sum(1)
    assert times.max() <= 12 and times.float().mean() == pytest.approx(5.8, abs=0.4)
    assert bands.max() <= 12 and bands.float().mean() == pytest.approx(5.6, abs=0.4)


def test_mixup_mixes_sound_and_labels_alike() -> None:
    lengths = (4000, 3000, 2000, 2500, 3500)
    batch = sounds(lengths)
    shares = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [np.nan] * 3, [0, 0.5, 0.5]])
    mixable = torch.tensor([True, True, True, False, True])
    found = mixing.mixed(batch, {"emotion": shares}, mixable, 0.8, generator(4))
    clean = torch.zeros(5, 4000)
    for row, length in enumerate(lengths):
        clean[row, :length] = batch.waveform[row, :length] / 32768
    random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator(4))))
    partners = dict(zip([0, 1, 2, 4], random.permutation([0, 1, 2, 4])))
    drawn = random.beta(0.8, 0.8, 5)
    for row, length in enumerate(lengths):
        own = max(drawn[row], 1 - drawn[row]) if row != 3 else 1.0
        other = partners.get(row, row)
        wave = own * clean[row] + (1 - own) * clean[other]
        wave[length:] = 0
        torch.testing.assert_close(found.waveform[row], wave, atol=1e-6, rtol=1e-5)
        expected = own * shares[row] + (1 - own) * shares[other]
        torch.testing.assert_close(found.labels["emotion"][row], expected.float(), equal_nan=True)
    assert torch.equal(found.waveform[3], clean[3])
    assert torch.equal(found.lengths["waveform"], batch.lengths["waveform"])


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
    with objective.sound.masking(FrameLayers(encoder, ReadLayers(layer=1)), generator(1)):
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
