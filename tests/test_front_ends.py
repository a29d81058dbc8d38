"""Named front-ends of `extract`: openSMILE's descriptors beside MFCC and log-mel."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from stores import write_store

from avaffect.cli.main import run
from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.data.store.reader import Store
from avaffect.models import front_ends
from avaffect.models.front_ends import FrontEnd
from avaffect.recipes.encoding.front_ends import FRONT_ENDS
from avaffect.signal import descriptors

OVER_TIME = {"compare-lld": 130, "egemaps": 25}
FUNCTIONALS = {"compare-functionals": 6373, "egemaps-functionals": 88}
SAMPLES = (9000, 959, 16000, 960, 0, 1119, 1120)
FRAMES = (52, 0, 96, 2, 0, 2, 3)


@pytest.fixture(scope="module")
def opensmile():
    return pytest.importorskip("opensmile", reason="openSMILE (an optional extra) is not there")


def voice(hertz: float, samples: int) -> np.ndarray:
    """int16 pulses: a voice of this pitch, less the mouth."""
    times = np.arange(samples) / 16000
    wave = sum(np.sin(2 * np.pi * hertz * n * times) / n for n in range(1, 12))
    return np.round(6000 * wave).astype(np.int16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound of all lengths, 16 bits in one store, the same as floating point in another."""
    found = tmp_path_factory.mktemp("front-ends")
    rng = np.random.default_rng(0)
    sound = [rng.normal(0, 3000, samples).astype(np.int16) for samples in SAMPLES]
    sound += [voice(200.0, 16000), np.zeros(8000, np.int16)]
    write_store(found / "media.h5", {"waveform": (16000.0, sound)})
    floats = [(values / 32768).astype(np.float32) for values in sound]
    write_store(found / "floats.h5", {"waveform": (16000.0, floats)})
    return found


def extract(folder: Path, name: str, *options: object, media: str = "media.h5") -> Store:
    output = folder / f"{media[:-3]}-{name}.h5"
    invoke(folder, "extract", media, "--model", name, *options, "-f", "-o", output)
    return Store(output)


def frames(store: Store) -> list[np.ndarray]:
    return [store.read("features", row).copy() for row in range(store.count)]


@pytest.mark.parametrize("name", OVER_TIME)
def test_frames_are_those_of_opensmile(opensmile, folder: Path, name: str):
    store = extract(folder, name)
    found = frames(store)
    assert [len(values) for values in found] == [*FRAMES, 96, 46]
    spec = store.streams["features"]
    assert (spec.shape, spec.rate_hz, spec.kind) == ((OVER_TIME[name],), 100.0, "features")
    media = Store(folder / "media.h5")
    sets, levels = opensmile.FeatureSet, opensmile.FeatureLevel
    parts = {
        "egemaps": [(sets.eGeMAPSv02, levels.LowLevelDescriptors)],
        "compare-lld": [
            (sets.ComParE_2016, levels.LowLevelDescriptors),
            (sets.ComParE_2016, levels.LowLevelDescriptors_Deltas),
        ],
    }[name]
    columns: list[str] = []
    for chosen, level in parts:
        smile = opensmile.Smile(chosen, level)
        here = slice(len(columns), len(columns) + len(smile.column_names))
        for row in (0, 2, 7):
            sound = media.read("waveform", row).astype(np.float32) / 32768
            expected = smile.process_signal(sound, 16000).to_numpy()
            # The level of deltas alone has two rows more, which belong to no frame.
            np.testing.assert_array_equal(found[row][:, here], expected[: len(found[row])])
        columns += list(smile.column_names)
    assert spec.made["columns"] == columns and len(columns) == OVER_TIME[name]
    assert spec.made["opensmile"] == opensmile.__version__
    means = store.pooled_vectors("mean")
    np.testing.assert_array_equal(means[0], found[0].mean(axis=0))


@pytest.mark.parametrize("name", [*OVER_TIME, *FUNCTIONALS])
def test_batch_mates_and_the_type_of_samples_change_nothing(opensmile, folder, name):
    def content(*options: object, media: str = "media.h5") -> dict[str, np.ndarray]:
        store = extract(folder, name, *options, media=media)
        found = {key: store.pooled_vectors(key).copy() for key in store.pooled}
        return found | {key: store.values(key).copy() for key in store.streams}

    expected = content()
    assert all(np.isfinite(values).all() for values in expected.values())
    for options in ({"media": "floats.h5"}, {}):
        each = () if options else ("--batch-utterances", 1, "--precision", "bf16")
        found = content(*each, **options)
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key], values)


def test_a_voice_of_200_hz_has_that_pitch(opensmile, folder):
    store = extract(folder, "compare-lld")
    pitch = store.read("features", 7)[:, store.streams["features"].made["columns"].index(
        "F0final_sma")]  # fmt: skip
    assert np.median(pitch) == pytest.approx(200.0, rel=0.01)
    # eGeMAPS counts semitones from 27.5 Hz.
    store = extract(folder, "egemaps-functionals")
    column = (
        store.pooled["functionals"]
        .made["columns"]
        .index("F0semitoneFrom27.5Hz_sma3nz_percentile50.0")
    )
    found = store.pooled_vectors("functionals")[7, column]
    assert found == pytest.approx(12 * np.log2(200 / 27.5), abs=0.2)


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_functionals_are_one_vector_of_an_utterance(opensmile, folder, name):
    invoke(folder, "extract", "media.h5", "--model", name, "-o", "functionals.h5", "-f")
    store = Store(folder / "functionals.h5")
    assert store.streams == {} and list(store.pooled) == ["functionals"]
    vectors = store.pooled_vectors("functionals")
    assert vectors.shape == (len(SAMPLES) + 2, FUNCTIONALS[name])
    # Without a window of sound there is nothing to describe.
    assert vectors.any(axis=1).tolist() == [count > 0 for count in FRAMES] + [True, True]
    sets = {"c": opensmile.FeatureSet.ComParE_2016, "e": opensmile.FeatureSet.eGeMAPSv02}
    smile = opensmile.Smile(sets[name[0]], opensmile.FeatureLevel.Functionals)
    sound = Store(folder / "media.h5").read("waveform", 0).astype(np.float32) / 32768
    np.testing.assert_array_equal(vectors[0], smile.process_signal(sound, 16000).to_numpy()[0])


def test_what_is_too_short_is_counted_and_named(opensmile, folder):
    line = ("extract", "media.h5", "-f", "-o", "short.h5", "--model")
    words = invoke(folder, *line, "egemaps").stderr
    assert "2 utterances have no frame of waveform, and nothing but zeros as their mean" in words
    assert "u1, u4" in words
    words = invoke(folder, *line, "egemaps-functionals").stderr
    assert "nothing but zeros as their functionals: u1, u4" in words


def test_shards_make_the_whole(opensmile, folder):
    whole = extract(folder, "egemaps")
    for part in range(2):
        invoke(folder, "extract", "media.h5", "--model", "egemaps", "--shard", f"{part}/2",
               "-f", "-o", f"{part}.h5")  # fmt: skip
    invoke(folder, "merge", "0.h5", "1.h5", "-f", "-o", "merged.h5")
    assert Store(folder / "merged.h5").content_id == whole.content_id


def test_women_speak_higher_than_men(opensmile, recordings, tmp_path):
    """Speakers 08 (a woman) and 03 (a man) of EmoDB, neutral."""
    invoke(tmp_path, "manifest", "emodb", recordings / "emodb", "-o", "all.jsonl")
    invoke(tmp_path, "select", "all.jsonl", "--where", "emotion=neutral", "--where",
           "speaker=emodb_03,emodb_08", "-o", "m.jsonl")  # fmt: skip
    invoke(tmp_path, "preprocess", "m.jsonl", "-o", "m.h5", "-j", 1)
    invoke(tmp_path, "extract", "m.h5", "--model", "egemaps-functionals", "-o", "f.h5")
    store = Store(tmp_path / "f.h5")
    semitones = store.pooled_vectors("functionals")[:, 0]
    women = np.array([speaker.endswith("08") for speaker in store.meta["speaker"]])
    assert women.any() and not women.all()
    assert semitones[women].min() > semitones[~women].max()
    assert set(store.labels) >= {"emotion"}


def test_without_its_package_it_is_asked_for(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    descriptors._smile.cache_clear()
    for name in descriptors.SETS:
        found = invoke(folder, "extract", "media.h5", "--model", name, "-o", tmp_path / "x.h5",
                       status=2)  # fmt: skip
        assert "pip install -c constraints.txt -e '.[opensmile]'" in found.stderr
    assert list(tmp_path.iterdir()) == []
    # Nobody else needs it.
    invoke(folder, "extract", "media.h5", "--model", "mfcc", "-o", tmp_path / "mfcc.h5")


def test_what_is_no_number_becomes_zero_and_is_said(folder, tmp_path, monkeypatch):
    def broken(wave: torch.Tensor) -> torch.Tensor:
        values = torch.ones(len(wave) // 160, 2)
        if len(values) > 90:
            values[0] = torch.tensor([torch.nan, -torch.inf])
        return values

    monkeypatch.setattr(front_ends, "LOG_MEL", FrontEnd(2, broken))
    words = invoke(folder, "extract", "media.h5", "--model", "logmel", "-o", tmp_path / "x.h5")
    assert "no numbers (NaN or infinite) for 2 utterances" in words.stderr
    assert "u2, u7" in words.stderr
    found = frames(Store(tmp_path / "x.h5"))
    assert found[2][0].tolist() == [0, 0] and (found[2][1:] == 1).all() and (found[0] == 1).all()


def test_every_front_end_keeps_its_promise(opensmile):
    """Of noise and of nothing, alone and padded: (T, dim), and one row where it has no frames."""
    lengths = torch.tensor([4000, 0, 16000])
    waveform = torch.zeros(3, 16000, dtype=torch.int16)
    noise = torch.Generator().manual_seed(0)
    for row, length in enumerate(lengths):
        waveform[row, :length] = torch.randint(-99, 99, (int(length),), generator=noise)
    batch = Batch(["a", "b", "c"], {"waveform": waveform}, {"waveform": lengths})
    for name in FRONT_ENDS:
        front_end = FRONT_ENDS[name].load()
        found = front_end.frames(batch)
        assert found.values.shape[2] == front_end.dim, name
        assert found.values.dtype == torch.float32
        assert found.lengths[1] == 0 and (found.lengths[[0, 2]] > 0).all()
        assert front_end.over_time or found.lengths.max() == 1
        assert not found.values[0, found.lengths[0] :].any()


def test_unknown_names_are_refused(folder):
    words = invoke(folder, "extract", "media.h5", "--model", "egemap", "-o", "x.h5", status=65)
    assert "egemaps" in words.stderr and "no such file" in words.stderr
    words = invoke(folder, "extract", "media.h5", "--model", "egemaps", "--modality", "video",
                   "-o", "x.h5", status=2)  # fmt: skip
    assert "reads audio" in words.stderr
    with pytest.raises(UsageError, match="known: mfcc, logmel"):
        FRONT_ENDS["egemap"]


def test_help_names_them_all(capsys):
    assert run(["extract", "--help"]) == 0
    # Lines are broken at hyphens too.
    shown = "".join(capsys.readouterr().out.split())
    assert all(name in shown for name in FRONT_ENDS)
