"""preprocess and the channels and levels of sound: options, keys of items, fields, words."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cases.voices import speech
from sounds import encode

from avaffect.core.errors import UsageError
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.data.decoding.audio import Unusable, decode_audio
from avaffect.data.items import parse_channels
from avaffect.data.store.reader import Store
from avaffect.recipes.preprocess import preprocess
from avaffect.settings.preprocess import PreprocessSettings

S = speech(1.0)


def _corpus(folder: Path, **recordings: np.ndarray) -> Path:
    """A manifest of recordings of one channel, or (n, C)."""
    for name, samples in recordings.items():
        subtype = "FLOAT" if name.startswith("float") else "PCM_16"
        soundfile.write(folder / f"{name}.wav", samples, SAMPLE_RATE_HZ, subtype)
    items = ({"id": name, "media": f"{name}.wav"} for name in recordings)
    path = folder / "corpus.jsonl"
    manifest.write(path, manifest.new_header("corpus", base="."), items)
    return path


def test_fields_and_words_say_what_was_wrong(tmp_path: Path, avaffect) -> None:
    corpus = _corpus(
        tmp_path, plain=S, inverted=np.stack([S, -S], 1), float_int16=np.rint(S * 32768),
        clipped=np.clip(4 * S, -1, 1),
    )  # fmt: skip
    output = tmp_path / "media.h5"
    words = avaffect("preprocess", corpus, "-o", output, "--without", "video", "-j", 1).stderr
    count = int((np.abs(4 * S) >= 1).sum())
    assert "1 utterance with channels that cancel" in words and ": inverted\n" in words
    assert "1 utterance with float samples whose full scale is not 1" in words
    assert f"1 utterance with clipped samples ({count} in all" in words
    store = Store(output)
    meta = {name: dict(zip(store.ids, store.meta[name])) for name in store.meta}
    assert meta["mixing"] == {"plain": "", "inverted": "difference: channels that cancel",
                              "float_int16": "", "clipped": ""}  # fmt: skip
    assert [meta["full_scale"][name] for name in store.ids] == [1, 1, 32768, 1]
    assert [meta["clipped_samples"][name] for name in store.ids] == [0, 0, 0, count]
    expected = np.rint(S * 32768).astype(int)
    for row in range(3):
        assert np.abs(store.read("waveform", row) - expected).max() <= 1
    # Without anything wrong, not a word.
    (tmp_path / "b").mkdir()
    good = _corpus(tmp_path / "b", plain=S)
    words = avaffect("preprocess", good, "-o", output, "-f", "--without", "video", "-j", 1).stderr
    assert not any(word in words for word in ("cancel", "clipped", "full scale"))


def test_channels_are_chosen_for_all_and_for_an_item(tmp_path: Path) -> None:
    left, right = speech(1.0, seed=1), speech(1.0, seed=2)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], 1), SAMPLE_RATE_HZ, "PCM_16")
    keys = {"none": {}, "number": {"audio_channels": 0}, "text": {"audio_channels": "1"},
            "both": {"audio_channels": [0, 1]}, "far": {"audio_channels": [7]},
            "wrong": {"audio_channels": "left"}}  # fmt: skip
    items = [{"id": name, "media": "two.wav", **key} for name, key in keys.items()]
    corpus = tmp_path / "corpus.jsonl"
    manifest.write(corpus, manifest.new_header("corpus", base="."), items)
    settings = PreprocessSettings(manifest=corpus, output=tmp_path / "m.h5", without="video",
                                  channels="1", jobs=1)  # fmt: skip
    store = Store(preprocess(settings))
    expected = {"none": right, "number": left, "text": right, "both": (left + right) / 2}
    assert store.ids == list(expected)
    for row, samples in enumerate(expected.values()):
        assert np.abs(store.read("waveform", row) - samples * 32768).max() < 2
    lost = {item["id"]: item["lost"] for item in manifest.read(tmp_path / "m.h5.lost.jsonl").items}
    assert lost["far"] == "outside (channel 7 was requested; it has 0 to 1)"
    assert "'left'" in lost["wrong"]


@pytest.mark.parametrize("value", ["", "x", "0,0", "-1", 1.5, [], [0, "a"], {}, None, "0;1"])
def test_channels_that_are_none_are_refused(value, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="numbers of channels"):
        parse_channels(value)
    if isinstance(value, str):
        with pytest.raises(UsageError, match="--channels"):
            preprocess(PreprocessSettings(
                manifest=_corpus(tmp_path, plain=S), output=tmp_path / "m.h5", channels=value
            ))  # fmt: skip


def test_channels_are_parsed() -> None:
    for value, expected in (
        (0, (0,)),
        ("0", (0,)),
        ("0, 2", (0, 2)),
        ([3, 1], (3, 1)),
        (1.0, (1,)),
    ):
        assert parse_channels(value) == expected


def test_parts_of_floats_have_the_scale_of_the_whole(tmp_path: Path) -> None:
    """A quiet part would be taken for one of full scale 1."""
    whole = np.concatenate([np.ones(SAMPLE_RATE_HZ), np.rint(20000 * S)])
    soundfile.write(tmp_path / "a.wav", whole, SAMPLE_RATE_HZ, "FLOAT")
    raw = io.BytesIO()
    sound = decode_audio(tmp_path / "a.wav", raw, 0.2, 0.7)
    assert sound.facts["full_scale"] == 32768 and sound.peak == 1


def test_what_lies_outside_a_part_says_nothing_of_it(tmp_path: Path) -> None:
    loud, wide = np.clip(4 * S, -1, 1), np.stack([S, -S], 1)
    whole = np.concatenate([np.stack([loud, loud], 1), np.stack([S, S], 1), wide])
    soundfile.write(tmp_path / "a.wav", whole, SAMPLE_RATE_HZ, "PCM_16")

    def facts(start: float, end: float) -> tuple[bool, bool]:
        found = decode_audio(tmp_path / "a.wav", io.BytesIO(), start, end).facts
        return bool(found["clipped_samples"]), bool(found["mixing"])

    assert facts(0, 1) == (True, False)
    assert facts(1, 2) == (False, False)
    assert facts(2, 3) == (False, True)


def test_channels_that_change_on_the_way(tmp_path: Path) -> None:
    """AAC as broadcast: one channel, then two of which one is inverted."""
    both = [np.stack([S]), np.stack([S, -S])]
    raw = b""
    for number, samples in enumerate(both):
        path = encode(tmp_path / f"{number}.aac", "aac", SAMPLE_RATE_HZ, samples=samples)
        raw += path.read_bytes()
    (tmp_path / "both.aac").write_bytes(raw)
    sink = io.BytesIO()
    sound = decode_audio(tmp_path / "both.aac", sink)
    assert "cancel" in sound.facts["mixing"]
    samples = np.frombuffer(sink.getvalue(), "<i2").astype(float)
    first, second = (np.sqrt(np.mean(part**2)) for part in np.array_split(samples, 2))
    assert 0.8 < second / first < 1.25
    with pytest.raises(Unusable, match="channel 1 was requested; it has 0 alone"):
        decode_audio(tmp_path / "both.aac", io.BytesIO(), channels=(1,))
