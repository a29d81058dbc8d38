"""Traces of long recordings in windows: nothing is lost, computed twice, or kept in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import labelled_faces
import labelled_features
import numpy as np
import pytest
import torch
from chain import invoke
from clips import tiny_encoder
from label_heads import NAME, inputs_of, named, of_traces, reads
from label_heads import recurrent as gru
from stores import write_store

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.traces import resample
from avaffect.evaluation.concordance import ccc
from avaffect.evaluation.overlap import OverlapMean, window_starts
from avaffect.models import recurrent
from avaffect.models.avhubert import PRESETS, AVHubert
from avaffect.models.contrastive import ContrastiveConfiguration, ContrastiveEncoder
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration
from avaffect.models.heads.base import FrameHead, Outputs
from avaffect.models.heads.linear import LinearHead, LinearHeadConfiguration
from avaffect.models.heads.recurrent import mean_steps
from avaffect.models.hubert import PRESETS as HUBERT
from avaffect.models.hubert import Hubert
from avaffect.models.pase import PRESETS as PASE
from avaffect.models.pase import PaseEncoder
from avaffect.recipes.downstream import heads, windows
from avaffect.recipes.downstream.head_group import HeadGroup
from avaffect.recipes.downstream.windows import Windows, windows_of
from avaffect.training import checkpoint

CPU = torch.device("cpu")
RATE = 10.0
LENGTHS = (1, 7, 15, 16, 17, 31, 40, 101)
TRACES = ("--label", "arousal", "--label", "valence")


def means(dim: int, frames_per_step: int) -> FrameHead:
    """A head of several frames a step that says the mean of each."""
    head = gru(dim, dim, 4, 1, frames_per_step=frames_per_step)

    def forward(frames: dict[str, Frames], present: object = None) -> Outputs:
        return Outputs(lambda: None, lambda: mean_steps(frames[NAME], frames_per_step))

    head.forward = forward
    return head


def on(encoder: Encoder, outputs: int) -> LinearHead:
    return LinearHead(LinearHeadConfiguration(reads(encoder.dim, encoder.rate_hz), outputs))


def identity(encoder: Encoder) -> LinearHead:
    """Says what it reads."""
    head = on(encoder, encoder.dim)
    dim = encoder.dim
    with torch.no_grad():
        head.layers[1].weight.copy_(torch.eye(dim))
        head.layers[1].bias.zero_()
    return head.eval()


def features(path: Path, lengths=LENGTHS, dim: int = 3) -> tuple[Encoder, Dataset]:
    """Recordings of random features, in the place of an encoder's frames."""
    random = np.random.default_rng(0)
    values = [random.normal(size=(n, dim)).astype(np.float32) for n in lengths]
    store = write_store(path, {"features": (RATE, values)})
    encoder = GivenFeatures(GivenFeaturesConfiguration(dim, RATE)).eval()
    return encoder, dataset_of([store], store.ids, ["features"])


def traces(encoder: Encoder, head, dataset: Dataset, how: Windows, batch_seconds=80.0):
    """(T, outputs) of each recording"""
    group = HeadGroup(inputs_of(encoder), [of_traces(head)], CPU, batch_seconds)
    found = heads.traces(group, dataset, how)
    return [row[:, 0] for row in found]


WHOLE = Windows(whole_s=1e9)


# -- windows --------------------------------------------------------------------------------------


def test_windows_cover_each_step_and_the_last_ends_with_the_recording() -> None:
    assert window_starts(10, 4, 2).tolist() == [0, 2, 4, 6]
    assert window_starts(11, 4, 2).tolist() == [0, 2, 4, 6, 7]
    assert window_starts(4, 4, 2).tolist() == window_starts(3, 4, 4).tolist() == [0]
    assert window_starts(0, 4, 2).tolist() == [0]
    for steps in range(1, 40):
        for window in range(1, 12):
            for step in range(1, window + 1):
                starts = window_starts(steps, window, step)
                covered = {k for start in starts for k in range(start, start + window)}
                assert set(range(steps)) <= covered
                assert starts[-1] == max(steps - window, 0) and (np.diff(starts) > 0).all()
                assert (np.diff(starts) <= step).all()
    for window, step in ((4, 5), (4, 0)):
        with pytest.raises(ValueError, match="some steps are in none"):
            window_starts(10, window, step)


def test_the_mean_of_what_overlaps() -> None:
    said = OverlapMean(4, 2)
    said.add(0, np.array([[1.0, 2.0], [3.0, 4.0]]))
    said.add(1, np.array([[5.0, 0.0], [7.0, 8.0]]))
    np.testing.assert_allclose(said.mean(), [[1, 2], [4, 2], [7, 8], [np.nan, np.nan]])
    # Equal numbers give that number, to the last bit.
    values = np.random.default_rng(0).normal(size=9).astype(np.float32)
    said = OverlapMean(9)
    for _ in range(7):
        said.add(0, values)
    assert said.mean().dtype == np.float32 and np.array_equal(said.mean(), values)


def test_windows_as_asked_for() -> None:
    assert windows_of(None) == Windows(60.0, 30.0, 120.0)
    assert windows_of(8.0) == Windows(8.0, 4.0, 8.0)
    assert windows_of(8.0, 1.0) == Windows(8.0, 1.0, 8.0)
    assert windows_of(None, 10.0) == Windows(60.0, 10.0, 120.0)
    with pytest.raises(UsageError, match=r"--step 61: .*at most 60"):
        windows_of(None, 61.0)


# -- an identity reproduces its input -------------------------------------------------------------


@pytest.mark.parametrize("window", [0.1, 0.7, 1.6, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 1.0])
def test_an_identity_reproduces_its_input(tmp_path: Path, window: float, share: float) -> None:
    encoder, dataset = features(tmp_path / "f.h5")
    found = traces(encoder, identity(encoder), dataset, windows_of(window, share * window))
    for index, values in enumerate(found):
        np.testing.assert_array_equal(values, dataset.read("features", index))


@pytest.mark.parametrize("batch_seconds", [0.05, 0.5, 3.0])
def test_whatever_is_computed_at_once(tmp_path: Path, monkeypatch, batch_seconds: float) -> None:
    monkeypatch.setattr(windows, "_FRAMES", 40)
    encoder, dataset = features(tmp_path / "f.h5")
    found = traces(encoder, identity(encoder), dataset, windows_of(1.3, 0.4), batch_seconds)
    for index, values in enumerate(found):
        np.testing.assert_array_equal(values, dataset.read("features", index))


@pytest.mark.parametrize("frames_per_step", [2, 3, 7])
def test_steps_of_several_frames_lie_where_those_of_the_whole_do(
    tmp_path: Path, frames_per_step: int
) -> None:
    encoder, dataset = features(tmp_path / "f.h5")
    head = means(3, frames_per_step)
    found = traces(encoder, head, dataset, windows_of(1.5, 0.7))
    for values, whole in zip(found, traces(encoder, head, dataset, WHOLE), strict=True):
        assert values.shape == whole.shape
        np.testing.assert_allclose(values, whole, atol=1e-6)


def test_recurrent_heads_say_the_mean_of_their_windows(tmp_path: Path) -> None:
    """Against a loop over windows, one at a time."""
    torch.manual_seed(0)
    encoder, dataset = features(tmp_path / "f.h5", (50, 23))
    head = gru(3, 2, 4, 2, frames_per_step=2).eval()
    found = traces(encoder, head, dataset, windows_of(2.0, 0.6))
    for index, steps in enumerate((25, 12)):
        values = torch.from_numpy(np.array(dataset.read("features", index)))
        said = [[] for _ in range(steps)]
        for start in [*range(0, steps - 10, 3), steps - 10]:
            piece = values[2 * start : 2 * start + 20]
            with torch.no_grad():
                seen = Frames(piece[None], torch.tensor([len(piece)]))
                row = head(named(seen)).over_time.values[0]
            for offset, value in enumerate(row):
                said[start + offset].append(value.numpy())
        expected = np.array([np.mean(values, axis=0) for values in said])
        np.testing.assert_allclose(found[index], expected, atol=1e-6)


def test_long_recordings_alone_are_cut(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, dataset = features(tmp_path / "f.h5", (19, 50, 20, 21))
    head = gru(3, 2, 4).eval()
    whole = traces(encoder, head, dataset, WHOLE)
    found = traces(encoder, head, dataset, windows_of(2.0))
    same = [np.allclose(a, b, atol=1e-6) for a, b in zip(found, whole, strict=True)]
    assert same == [True, False, True, False]
    group = HeadGroup(inputs_of(encoder), [of_traces(head)] * 2, CPU, 80.0)
    two = heads.traces(group, dataset, windows_of(2.0))
    assert [row.shape for row in two] == [(n, 2, 2) for n in (19, 50, 20, 21)]
    np.testing.assert_allclose(two[1][:, 1], found[1], atol=1e-6)


# -- encoders -------------------------------------------------------------------------------------


def test_each_picture_is_seen_once_and_frames_are_those_of_the_whole(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(windows, "_FRAMES", 60)
    labelled_faces.write(tmp_path / "f.h5", (157, 90))
    store = Store(tmp_path / "f.h5")
    dataset = dataset_of([store], store.ids[:2], ["face"])
    encoder = tiny_encoder().eval()
    assert encoder.reach == 2
    head = identity(encoder)
    whole = traces(encoder, head, dataset, WHOLE)
    seen = []
    encoder.resnet.register_forward_hook(lambda module, given, made: seen.append(len(made)))
    found = traces(encoder, head, dataset, windows_of(0.8), 1.2)
    for values, expected in zip(found, whole, strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-5)
    # Pieces of 30 pictures, and two more at either end of those between.
    assert max(seen) == 34 and sum(seen) <= (157 + 90) + 4 * len(seen)


ENCODERS = {
    "hubert": lambda: Hubert(HUBERT["nano"]),
    "recurrent": lambda: recurrent.RecurrentEncoder(recurrent.PRESETS["nano"]),
    "contrastive": lambda: ContrastiveEncoder(ContrastiveConfiguration(dim=16)),
    "pase": lambda: PaseEncoder(PASE["nano"]),
    "avhubert": lambda: AVHubert(PRESETS["nano"]),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_sound_give_all_steps(tmp_path: Path, name: str) -> None:
    """Against a loop over windows, whose sound goes on until their last frame is whole."""
    torch.manual_seed(0)
    encoder = ENCODERS[name]().eval()
    assert encoder.reach is None
    random = np.random.default_rng(0)
    sound = [random.integers(-9000, 9000, n).astype(np.int16) for n in (41_234, 20_000)]
    store = write_store(tmp_path / "m.h5", {"waveform": (16000.0, sound)})
    dataset = dataset_of([store], store.ids, ["waveform"])
    found = traces(encoder, identity(encoder), dataset, windows_of(0.8, 0.4), 1.7)
    hop, length, step = (round(x) for x in (16000 / encoder.rate_hz, 0.8 * encoder.rate_hz,
                                            0.4 * encoder.rate_hz))  # fmt: skip
    margin = windows._Anew(encoder, dataset.subset(np.array([0])), length, 9.0, CPU).piece * hop
    for index, samples in enumerate(sound):
        heard = torch.from_numpy(samples)[None]
        total = int(encoder.frame_count({"waveform": torch.tensor([len(samples)])})[0])
        said = OverlapMean(total, encoder.dim)
        for start in window_starts(total, length, step):
            piece = heard[:, start * hop : start * hop + margin]
            batch = Batch(["x"], {"waveform": piece}, {"waveform": torch.tensor([piece.shape[1]])})
            with torch.no_grad():
                said.add(start, encoder(batch).values[0, : min(length, total - start)].numpy())
        assert not np.isnan(said.mean()).any()
        np.testing.assert_allclose(found[index], said.mean(), atol=1e-4)


def test_sound_and_faces_are_cut_together(tmp_path: Path) -> None:
    """One recording lacks faces, one sound, and of one the sound ends first."""
    torch.manual_seed(0)
    encoder = AVHubert(PRESETS["nano"]).eval()
    random = np.random.default_rng(0)
    sound = [random.integers(-9000, 9000, n).astype(np.int16) for n in (40_000, 0, 9_000)]
    faces = [random.integers(0, 255, (n, 48, 48, 1), dtype=np.uint8) for n in (0, 60, 60)]
    store = write_store(tmp_path / "m.h5", {"waveform": (16000.0, sound), "face": (25.0, faces)})
    dataset = dataset_of([store], store.ids, ["waveform", "face"])
    found = traces(encoder, identity(encoder), dataset, windows_of(1.0, 0.4))
    whole = traces(encoder, identity(encoder), dataset, WHOLE)
    assert [len(row) for row in found] == [len(row) for row in whole] == [63, 60, 60]
    assert not any(np.isnan(row).any() for row in found)


# -- memory ---------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process that lie in no file."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this kernel does not say RssAnon")


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Two hours of features are 230 MB; their prediction is 2 MB."""
    dim, hours = 160, 2
    values = np.zeros((int(hours * 3600 * 50), dim), dtype=np.float32)
    values[:, 0] = np.arange(len(values))
    store = write_store(tmp_path / "f.h5", {"features": (50.0, [values])})
    del values
    dataset = dataset_of([store], store.ids, ["features"])
    encoder = GivenFeatures(GivenFeaturesConfiguration(dim, 50.0)).eval()
    head = on(encoder, 1)
    with torch.no_grad():
        head.layers[1].weight.copy_(torch.eye(1, dim))
        head.layers[1].bias.zero_()
    bytes_now, bytes_read = [], []

    def look(module: LinearHead, given: tuple[torch.Tensor], said: torch.Tensor) -> None:
        bytes_now.append(resident())
        bytes_read.append(given[0].numel() * 4)

    head.layers.register_forward_hook(look)
    tracemalloc.start()
    (found,) = traces(encoder, head, dataset, windows_of(None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found[:, 0], np.arange(len(found)))
    assert len(bytes_read) > 20 and max(bytes_read) <= windows._FRAMES * dim * 4
    # NumPy: the prediction, its sums and counts, and what is read for some windows.
    assert peak < 40e6
    assert max(bytes_now[3:]) - bytes_now[2] < 30e6


# -- on the command line --------------------------------------------------------------------------

LEARNED = ("--head", "bgru", "--hidden", 8, "--layers", 1, "--head-learning-rate", 0.02,
           "--batch-utterances", 8, "--epochs", 2, "--frames-per-step", 1)  # fmt: skip


def predicted(folder: Path, *options: object) -> Store:
    invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", *options, "-f", "-o",
           "p.h5")  # fmt: skip
    return Store(folder / "p.h5")


def values_of(store: Store) -> np.ndarray:
    return np.concatenate([store.trace("arousal", row) for row in range(store.count)])[:, 0]


def test_finetune_scores_what_predict_says(tmp_path: Path) -> None:
    """With the windows that the classifier remembers, unless others are asked for."""
    labelled_features.write(tmp_path / "f.h5")
    invoke(tmp_path, "finetune", "f.h5", *TRACES, *LEARNED, "--window", 0.3)
    header = checkpoint.load(tmp_path / "classifier.safetensors")[0]
    assert header["traces"]["window_s"] == 0.3
    remembered = values_of(predicted(tmp_path))
    assert np.array_equal(remembered, values_of(predicted(tmp_path, "--window", 0.3)))
    assert np.array_equal(remembered, values_of(predicted(tmp_path, "--step", 0.15)))
    others = (("--step", 0.1), ("--window", 0.5), ("--window", 99))
    found = [values_of(predicted(tmp_path, *options)) for options in others]
    for values in found:
        assert values.shape == remembered.shape and not np.allclose(values, remembered, atol=1e-4)
    made, given = predicted(tmp_path, "--split", "development"), Store(tmp_path / "f.h5")
    joined, gold = [], []
    for row, identifier in enumerate(made.ids):
        joined.append(made.trace("arousal", row)[:, 0])
        truth = given.trace("arousal", given.rows[identifier])
        gold.append(resample(truth, 10.0, 50.0, len(joined[-1])))
    best = header["runs"][0]["metrics"]["development"]["ccc_arousal"]
    assert best == pytest.approx(ccc(np.concatenate(joined), np.concatenate(gold)), abs=1e-5)


def test_mistakes_with_windows(tmp_path: Path) -> None:
    labelled_features.write(tmp_path / "f.h5")

    def refused(command: str, *options: object) -> str:
        return invoke(tmp_path, command, "f.h5", *options, "-o", "x", status=2).stderr

    assert "--window 0: above 0" in refused("finetune", *TRACES, "--window", 0)
    assert "--window goes with traces" in refused("finetune", "--window", 8)
    model = ("--model", "classifier.safetensors")
    invoke(tmp_path, "finetune", "f.h5", *TRACES, *LEARNED)
    assert "--step -1: above 0" in refused("predict", *model, "--step", -1)
    found = refused("predict", *model, "--window", 4, "--step", 5)
    assert "--step 5: windows of 4 s would leave gaps; at most 4" in found
    assert "--step 70: windows of 60 s" in refused("predict", *model, "--step", 70)
