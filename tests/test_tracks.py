"""The track of sound is the one that has sound, or the one that was asked for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from flashes import LATE, MOMENTS, beeps, flashes, furthest, write_flashes
from tracks import SECONDS, write_tracks

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.data.decoding.audio import DecodedAudio, decode_audio
from avaffect.data.decoding.unusable import Unusable
from avaffect.data.store.reader import Store


def heard(path: Path, track: int | None = None) -> tuple[int, DecodedAudio]:
    """Number of the track that was decoded, -1 for silence, and what was said of it."""
    sink = io.BytesIO(b"before")
    sink.seek(6)
    sound = decode_audio(path, sink, track=track)
    samples = np.frombuffer(sink.getvalue()[6:], "<i2")
    assert len(samples) == sound.samples and sound.samples > 0.9 * SECONDS * SAMPLE_RATE_HZ
    if sound.peak <= 3:
        return -1, sound
    spectrum = np.abs(np.fft.rfft(samples[: SAMPLE_RATE_HZ // 2]))
    return round(spectrum.argmax() * 2 / 200) - 1, sound


@pytest.mark.parametrize(
    ("levels", "taken", "note"),
    [((0.5,), 0, None), ((0.0, 0.5), 1, "track 0 is silent"), ((0.5, 0.0), 0, "2 audio tracks"),
     ((0.4, 0.5), 0, "2 audio tracks"), ((0.0, 0.0, 0.5), 2, "track 0 is silent"),
     ((None, 0.5), 1, ""), ((0.0, 0.0), -1, None)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.mkv", "a.mov"])
def test_the_track_that_has_sound_is_taken_and_said(
    tmp_path: Path, levels: Sequence[float | None], taken: int, note: str | None, name: str
) -> None:
    number, sound = heard(write_tracks(tmp_path / name, levels))
    # QuickTime drops a track that holds nothing.
    dropped = sound.tracks < len(levels)
    assert number == taken and dropped <= (None in levels)
    if note is None or dropped:
        assert not sound.notes
    else:
        assert note in sound.notes[0] and f"track {taken} of 0 to " in sound.notes[0]


def test_the_track_that_is_marked_is_the_first_to_be_tried(tmp_path: Path) -> None:
    assert heard(write_tracks(tmp_path / "a.mkv", (0.5, 0.5), default=1))[0] == 1
    assert heard(write_tracks(tmp_path / "b.mkv", (0.5, 0.0), default=1))[0] == 0


def test_a_track_that_was_asked_for_is_taken_whatever_it_holds(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mkv", (0.5, 0.5, 0.0))
    for track, taken in ((0, 0), (1, 1), (2, -1)):
        number, sound = heard(path, track)
        assert number == taken and not sound.notes
    with pytest.raises(Unusable, match="track 3 was requested; it has tracks 0 to 2"):
        heard(path, 3)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_tracks(tmp_path / "two.mkv", (0.0, 0.5, 0.5))
    write_tracks(tmp_path / "mute.mkv", (0.0, 0.0))
    write_tracks(tmp_path / "one.mkv", (0.5,))
    items = [{"id": name, "media": f"{name}.mkv"} for name in ("two", "mute", "one")]
    items.append({"id": "third", "media": "two.mkv", "audio_track": 2})
    items.append({"id": "wrong", "media": "two.mkv", "audio_track": "x"})
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus", base="."), items)
    return tmp_path / "m.jsonl"


def test_preprocess_names_recording_and_track(corpus: Path, avaffect) -> None:
    output = corpus.with_name("m.h5")
    words = avaffect("preprocess", corpus, "-o", output, "--without", "video").stderr
    assert "two (two.mkv): its audio track 0 is silent: track 1 of 0 to 2 is used" in words
    assert "one.mkv" not in words and "third" not in words
    assert "largest sample is 0 of 32768, in all of its audio tracks, 0 to 1" in words
    assert "its audio_track is 'x'; the first track is 0" in words
    store = Store(output)
    assert list(store.ids) == ["two", "one", "third"]
    found = [np.abs(np.fft.rfft(store.read("waveform", row)[:8000])).argmax() for row in range(3)]
    assert [round(place * 2 / 200) for place in found] == [2, 1, 3]
    assert "audio_track" not in store.provenance["settings"]


def test_audio_track_is_an_option_with_a_range(corpus: Path, avaffect) -> None:
    output = corpus.with_name("m.h5")
    arguments = ("preprocess", corpus, "-o", output, "--without", "video", "--audio-track")
    words = avaffect(*arguments, "1").stderr
    # The item's own word overrides the option.
    assert list(Store(output).ids) == ["two", "third"]
    assert "audio track 1 was requested; it has track 0 alone" in words
    assert "in audio track 1 of 0 to 1" in words and "is used" not in words
    assert Store(output).provenance["settings"]["audio_track"] == 1
    assert "at least 0" in avaffect(*arguments, "-1", status=2).stderr
    without = ("preprocess", corpus, "-o", output, "--without", "audio", "--audio-track", "1")
    assert "--audio-track needs audio" in avaffect(*without, status=2).stderr


@pytest.mark.parametrize(("name", "codec"), [("a.ts", ""), ("a.mpg", "mpeg2video")])
def test_a_track_that_begins_after_what_is_probed_is_found(
    tmp_path: Path, name: str, codec: str
) -> None:
    """Formats without a table of tracks: FFmpeg looks at five seconds, or five megabytes."""
    sound = "mp2" if codec else ""
    late = write_flashes(tmp_path / name, sound=LATE, codecs=(codec, sound), fps=25)
    assert furthest(beeps(late), MOMENTS[2:]) < 0.1 and furthest(flashes(late), MOMENTS) < 0.1
    late = write_flashes(tmp_path / name, LATE, codecs=(codec, sound), fps=25)
    assert furthest(beeps(late), MOMENTS) < 0.1 and furthest(flashes(late), MOMENTS[2:]) < 0.1
