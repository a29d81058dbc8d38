"""Noise beneath speech: its ratio, its piece, and that all else stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chain import invoke

from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.signal import noise

RATIOS = (-5.0, 0.0, 5.0, 20.0)


def ratio_db(speech: np.ndarray, disturbance: np.ndarray) -> float:
    """As the paper's readers would measure it."""
    energies = [float((np.asarray(x, dtype=np.float64) ** 2).sum()) for x in (speech, disturbance)]
    return 10 * np.log10(energies[0] / energies[1])


# -- the arithmetic -------------------------------------------------------------------------------


@pytest.mark.parametrize("snr", RATIOS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ratio_is_that_of_the_result(snr: float, dtype: type):
    rng = np.random.default_rng(0)
    speech = (0.1 * rng.normal(size=5000) * np.linspace(0, 1, 5000)).astype(dtype)
    disturbance = (3.0 * rng.uniform(-1, 1, 5000)).astype(dtype)
    mixed = noise.mix(speech, disturbance, snr)
    assert mixed.dtype == dtype
    assert ratio_db(speech, mixed - speech) == pytest.approx(snr, abs=1e-3)
    louder, factor = noise.fitted(mixed * 100)
    assert np.abs(louder).max() == pytest.approx(noise.LARGEST) and factor < 1
    assert ratio_db(speech, louder / 100 / factor - speech) == pytest.approx(snr, abs=1e-3)
    assert noise.fitted(speech)[1] == 1.0


def test_by_hand():
    """Speech of power 1, noise of power 4: 6.0206 dB below is a gain of a quarter."""
    mixed = noise.mix(np.array([1.0, -1.0]), np.array([2.0, 2.0]), 20 * np.log10(2))
    np.testing.assert_allclose(mixed, [1.5, -0.5])
    for empty in (np.zeros(2), np.ones(3)):
        with pytest.raises(ValueError, match="power"):
            noise.mix(np.ones(2), empty, 0)
    assert noise.power(np.zeros(0)) == 0


def test_voices_of_babble_are_equally_loud():
    voices = [np.array([1.0, 1.0, 1.0, 1.0]), np.array([5.0, -5.0, 5.0, -5.0]), np.zeros(4)]
    np.testing.assert_allclose(noise.babble(voices), [2, 0, 2, 0])


def test_a_loop_has_no_seam():
    """[1 2 3 4 5 6] with a fade of 2: sin and cos of 22.5 and 67.5 degrees weigh the ends."""
    found = noise.looped(np.arange(1.0, 7.0), fade=2)
    rising, falling = np.sin(np.pi / 8), np.cos(np.pi / 8)
    np.testing.assert_allclose(found, [rising + 5 * falling, 2 * falling + 6 * rising, 3, 4])
    # A slow wave, cut anywhere, jumps where it is merely repeated.
    wave = np.sin(np.arange(3000) * 2 * np.pi / 770)
    loop = noise.looped(wave)
    assert len(loop) == 3000 - noise.FADE
    assert abs(wave[0] - wave[-1]) > 0.5
    assert np.abs(np.diff(np.concatenate([loop, loop]))).max() < 0.02
    assert len(noise.looped(np.ones(1))) == 1 and len(noise.looped(np.ones(5), fade=99)) == 3
    # As loud at the seam as elsewhere.
    hiss = np.random.default_rng(0).normal(size=(400, 800))
    seam = np.stack([noise.looped(row)[: noise.FADE] for row in hiss])
    assert noise.power(seam) == pytest.approx(1.0, abs=0.02)


def test_pieces_lie_everywhere():
    recording = np.arange(1, 1001, dtype=np.int16)
    starts = [noise.piece(recording, 400, place)[0] * 32768 for place in (0, 0.5, 0.9999)]
    assert starts == [1, 301, 601]
    assert len(noise.piece(recording, 1000, 0.7)) == 1000
    long = noise.piece(recording, 5000, 0.3)
    assert len(long) == 5000 and long.dtype == np.float32
    period = 1000 - noise.FADE
    np.testing.assert_array_equal(long[:period], long[period : 2 * period])


def test_pieces_begin_where_there_is_sound():
    recording = np.zeros(200_000, dtype=np.int16)
    recording[90_000:95_000] = -32768
    quiet = 3 / 32768
    for place, first in ((0.0, 90_000), (0.3, 90_000), (0.8, 90_000), (0.42, None)):
        found = noise.piece(recording, 10_000, place, quiet)
        assert np.abs(found).max() == 1.0
        if first is not None:
            np.testing.assert_array_equal(found, recording[first : first + 10_000] / 32768)
    # What sounds last is not lost behind the last place.
    last = np.zeros(200_000, dtype=np.int16)
    last[-5] = 999
    assert noise.piece(last, 10_000, 0.1, quiet)[-5] * 32768 == 999
    assert noise.piece(recording[:90_000], 10_000, 0.1, quiet) is None
    assert noise.piece(recording[:9_000], 10_000, 0.1, quiet) is None
    assert noise.piece(recording[:9_000] + np.int16(3), 9_000, 0.1, quiet) is None


# -- the command ----------------------------------------------------------------------------------

LABELS = {
    "emotion": LabelSpec("class", ("anger", "neutral")),
    "age": LabelSpec("scalar"),
    "votes": LabelSpec("distribution", ("anger", "neutral")),
    "arousal": LabelSpec("trace", rate_hz=10.0),
}
SPEAKERS = ("anna", "anna", "bert", "bert", "cora", "dora")
SILENT, SOUNDLESS = 3, 5


def write_media(path: Path, rows: Sequence[int], dtype: type = np.int16) -> Store:
    """Six utterances of noise-like speech, one silent and one without sound; and faces."""
    streams = {
        "waveform": StreamSpec("waveform", np.dtype(dtype).name, 16000.0),
        "face": StreamSpec("face", "uint8", 25.0, (4, 4, 1), statistics={"frames": 3}),
    }
    with store_writer(path, {}, streams=streams, labels=LABELS) as writer:
        for row in rows:
            rng = np.random.default_rng(row)
            sound = rng.normal(0, 400, 20_000 + 1000 * row).astype(np.int16)
            if row == SILENT:
                sound[:] = rng.integers(-2, 3, len(sound))
            given = {"face": rng.integers(0, 256, (row, 4, 4, 1)).astype(np.uint8)}
            if row != SOUNDLESS:
                given["waveform"] = sound if dtype == np.int16 else (sound / 32768).astype(dtype)
            writer.add(
                f"u{row}",
                streams=given,
                labels={
                    "emotion": (None, "anger", "neutral")[row % 3],
                    "age": None if row == 1 else 20.0 + row,
                    "votes": None if row == 2 else np.array([row, 1.0]),
                    "arousal": None if row == 4 else rng.normal(size=row + 2),
                },
                meta={"speaker": SPEAKERS[row], "split": "test", "duration_s": 1.25 + row / 16},
            )
    return Store(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_media(tmp_path / "media.h5", range(6))
    rng = np.random.default_rng(99)
    soundfile.write(tmp_path / "hiss.wav", 0.2 * rng.uniform(-1, 1, 12_000), 16000)
    return tmp_path


LINE = ("-f", "-o", "noisy.h5")


def augmented(folder: Path, *options: object, media: str = "media.h5") -> tuple[Store, str]:
    """The store, and what was said."""
    words = invoke(folder, "augment-noise", media, *options, *LINE).stderr
    return Store(folder / "noisy.h5"), words


def refused(folder: Path, *options: object, media: str = "media.h5", status: int = 65) -> str:
    return invoke(folder, "augment-noise", media, *options, *LINE, status=status).stderr


def sounds(store: Store) -> dict[str, np.ndarray]:
    return {name: store.read("waveform", row).copy() for row, name in enumerate(store.ids)}


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_each_utterance_has_its_noise_at_the_ratio(folder, dtype):
    write_media(folder / "media.h5", range(6), dtype)
    clean = sounds(Store(folder / "media.h5"))
    pieces = {}
    for snr in RATIOS:
        store, words = augmented(folder, "--noise", "hiss.wav", "--snr", snr)
        for row, (name, sound) in enumerate(sounds(store).items()):
            assert sound.dtype == dtype and store.meta["noise"][row] in ("hiss.wav", "")
            if row in (SILENT, SOUNDLESS):
                np.testing.assert_array_equal(sound, clean[name])
                assert np.isnan(store.meta["snr_db"][row]) and store.meta["noise"][row] == ""
                continue
            assert store.meta["snr_db"][row] == snr
            disturbance = sound.astype(np.float64) - clean[name]
            assert ratio_db(clean[name], disturbance) == pytest.approx(snr, abs=0.02)
            # The same piece at every ratio.
            unit = disturbance / np.linalg.norm(disturbance)
            assert unit @ pieces.setdefault(name, unit) > 0.999
    assert "1 utterance is silent" in words and "u3" in words
    assert "1 utterance has no audio" in words
    assert "in 4 of 6 utterances, from 1 recording" in words
    assert "clip" not in words


def test_all_else_goes_along(folder):
    before = Store(folder / "media.h5")
    store, _ = augmented(folder, "--noise", "hiss.wav", "--snr", 3)
    assert store.ids == before.ids and store.streams == before.streams
    np.testing.assert_array_equal(store.digests("face"), before.digests("face"))
    assert store.streams["face"].statistics == {"frames": 3}
    assert store.labels == before.labels
    for name in ("emotion", "age", "votes"):
        np.testing.assert_array_equal(store.label(name), before.label(name))
    np.testing.assert_array_equal(store.trace_digests("arousal"), before.trace_digests("arousal"))
    assert store.meta.keys() - before.meta.keys() == {"noise", "snr_db"}
    for name, column in before.meta.items():
        assert list(store.meta[name]) == list(column)
    invoke(folder, "check", "noisy.h5")
    digests = store.digests("waveform")
    only, _ = augmented(folder, "--noise", "hiss.wav", "--snr", 3, "--audio-only")
    assert list(only.streams) == ["waveform"]
    np.testing.assert_array_equal(only.digests("waveform"), digests)


def test_neither_order_nor_company_changes_a_piece(folder):
    whole = sounds(augmented(folder, "--noise", "hiss.wav", "--snr", 3)[0])
    write_media(folder / "part.h5", (4, 1))
    part = sounds(augmented(folder, "--noise", "hiss.wav", "--snr", 3, media="part.h5")[0])
    for name, sound in part.items():
        np.testing.assert_array_equal(sound, whole[name])
    again = sounds(augmented(folder, "--noise", "hiss.wav", "--snr", 3)[0])
    other = sounds(augmented(folder, "--noise", "hiss.wav", "--snr", 3, "--seed", 1)[0])
    assert all((again[name] == whole[name]).all() for name in whole)
    assert sum(bool((other[name] != whole[name]).any()) for name in whole) == 4


def test_the_same_again_is_up_to_date_and_of_the_same_bytes(folder):
    line = ("augment-noise", "media.h5", "--noise", "hiss.wav", "--snr", 3)
    invoke(folder, *line, "-o", "a.h5")
    invoke(folder, *line, "-o", "b.h5")
    assert (folder / "a.h5").read_bytes() == (folder / "b.h5").read_bytes()
    assert "up to date" in invoke(folder, *line, "-o", "a.h5").stderr
    invoke(folder, *line[:-1], 4, "-o", "a.h5", status=73)
    # Another noise under the same name is noticed.
    soundfile.write(folder / "hiss.wav", np.linspace(-1, 1, 9000), 16000)
    invoke(folder, *line, "-o", "a.h5", status=73)
    assert "would add" in invoke(folder, *line, "-n", "-o", "c.h5").stderr
    assert not (folder / "c.h5").exists()


def test_a_range_is_drawn_for_each(folder):
    store, _ = augmented(folder, "--noise", "hiss.wav", "--snr-range", -5, 20)
    clean, drawn = sounds(Store(folder / "media.h5")), store.meta["snr_db"]
    known = drawn[~np.isnan(drawn)]
    assert len(set(known)) == 4 and -5 <= known.min() < known.max() <= 20
    for row, (name, sound) in enumerate(sounds(store).items()):
        if not np.isnan(drawn[row]):
            disturbance = sound.astype(np.float64) - clean[name]
            assert ratio_db(clean[name], disturbance) == pytest.approx(drawn[row], abs=0.05)


def test_what_would_clip_is_made_quieter_as_a_whole(folder):
    streams = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    loud = np.random.default_rng(0).uniform(-32000, 32000, 8000).astype(np.int16)
    with store_writer(folder / "loud.h5", {}, streams=streams) as writer:
        writer.add("loud", streams={"waveform": loud})
    store, words = augmented(folder, "--noise", "hiss.wav", "--snr", 0, media="loud.h5")
    found = store.read("waveform", 0)
    assert np.abs(found.astype(int)).max() == 32767
    assert "1 utterance was attenuated" in words
    # Independent parts of equal power: each correlates with the sum by the root of a half.
    assert np.corrcoef(loud, found)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_nobody_is_disturbed_by_their_own_voice(folder):
    write_media(folder / "part.h5", (0, 1, 2, 4))
    # Three with sound are not of u0's speaker, the silent one among them.
    options = ("--noise", "media.h5", "--snr", 5, "--babble", 3)
    assert "u3 is silent" in refused(folder, *options, media="part.h5")
    shutil.copy(folder / "part.h5", folder / "speech.h5")
    drawn = set()
    for seed in range(8):
        options = ("--noise", "speech.h5", "--snr", 5, "--babble", 2, "--seed", seed)
        store, _ = augmented(folder, *options, media="part.h5")
        for row, words in enumerate(store.meta["noise"]):
            voices = words.split(" + ")
            assert len(set(voices)) == 2
            speakers = {SPEAKERS[int(voice[1:])] for voice in voices}
            assert store.meta["speaker"][row] not in speakers
            drawn |= {(store.ids[row], voice) for voice in voices}
    # u0 and u1 are of one speaker: two others each; u2 and u4 have three.
    assert len(drawn) == 2 + 2 + 3 + 3
    options = ("--noise", "speech.h5", "--snr", 5, "--babble", 3)
    words = refused(folder, *options, media="part.h5")
    assert "u0 needs 3 recordings" in words and "there are 2" in words


def test_without_speakers_nobody_hears_itself(folder):
    streams = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    with store_writer(folder / "s.h5", {}, streams=streams) as writer:
        for name in "abc":
            values = np.random.default_rng(ord(name)).normal(0, 900, 5000).astype(np.int16)
            writer.add(name, streams={"waveform": values})
    store, _ = augmented(folder, "--noise", "s.h5", "--snr", 0, "--babble", 2, media="s.h5")
    found = [set(words.split(" + ")) for words in store.meta["noise"]]
    assert found == [{"b", "c"}, {"a", "c"}, {"a", "b"}]


def test_folders_of_noises(folder):
    noises = folder / "noises"
    (noises / "deep").mkdir(parents=True)
    (noises / ".hidden").mkdir()
    shutil.copy(folder / "hiss.wav", noises / "deep" / "b.wav")
    shutil.copy(folder / "hiss.wav", noises / ".hidden" / "c.wav")
    soundfile.write(noises / "a.flac", np.sin(np.arange(50_000) / 7) / 2, 44_100)
    (noises / "README").write_text("not a sound")
    soundfile.write(noises / "silent.wav", np.zeros(9000), 16000)
    names = set()
    for seed in range(4):
        store, words = augmented(folder, "--noise", noises, "--snr", 0, "--seed", seed)
        names |= set(store.meta["noise"])
    assert names == {"a.flac", "deep/b.wav", ""}
    assert "skipped 2 files of noise" in words
    assert "README (unreadable), silent.wav (silent)" in words


def test_what_cannot_be_done_is_said(folder):
    soundfile.write(folder / "silent.wav", np.zeros(9000), 16000)
    (folder / "text.wav").write_text("not a sound")
    (folder / "nothing").mkdir()
    with store_writer(folder / "faces.h5", {}, streams={
        "face": StreamSpec("face", "uint8", 25.0, (4, 4, 1))}) as writer:  # fmt: skip
        writer.add("f", streams={"face": np.zeros((3, 4, 4, 1), np.uint8)})
    bad = {
        "absent.wav": "no such file",
        "silent.wav": "silent",
        "text.wav": "is a table or other text",
        "nothing": "has no file",
        "faces.h5": "'waveform'",
    }
    for name, why in bad.items():
        words = refused(folder, "--noise", name, "--snr", 0)
        assert why in words and name in words
    refused(folder, "--noise", "hiss.wav", "--snr", 0, media="faces.h5")
    for options in (
        (),
        ("--snr", 1, "--snr-range", 0, 1),
        ("--snr-range", 2, 1),
        ("--snr-range", 0, "nan"),
        ("--snr", "inf"),
        ("--snr", 1, "--babble", 0),
    ):
        refused(folder, "--noise", "hiss.wav", *options, status=2)
    assert not (folder / "noisy.h5").exists() and not list(folder.glob(".*partial"))


# -- real recordings ------------------------------------------------------------------------------


def test_real_speech_in_real_noise(recordings, tmp_path):
    """Noises of several rates and lengths; one is a bark, and then silence."""
    invoke(tmp_path, "manifest", "emodb", recordings / "emodb", "-o", "all.jsonl")
    invoke(tmp_path, "select", "all.jsonl", "--sample", 12, "-o", "m.jsonl")
    invoke(tmp_path, "preprocess", "m.jsonl", "-o", "m.h5", "-j", 1)
    names = [f"{recordings}/noise/{name}.wav" for name in
             ("1-100032-A-0", "3-103051-C-19", "noise2", "noise5", "pink_noise")]  # fmt: skip
    options = [text for name in names for text in ("--noise", name)]
    clean = sounds(Store(tmp_path / "m.h5"))
    for babble in (1, 3):
        # Deep enough not to clip: noise is no louder than a third of the speech.
        store, _ = augmented(tmp_path, *options, "--snr", 10, "--babble", babble, media="m.h5")
        untouched = 0
        for name, sound in sounds(store).items():
            if np.abs(sound.astype(int)).max() < 32767:
                speech = clean[name].astype(np.float64)
                assert ratio_db(speech, sound - speech) == pytest.approx(10, abs=0.05)
                untouched += 1
        assert untouched > 0 and len(set(store.meta["noise"])) > 2
    store, _ = augmented(tmp_path, "--noise", "m.h5", "--babble", 4, "--snr", 0, media="m.h5")
    for words, speaker in zip(store.meta["noise"], store.meta["speaker"]):
        voices = [store.rows[name] for name in words.split(" + ")]
        assert len(voices) == 4 and speaker not in {store.meta["speaker"][row] for row in voices}
