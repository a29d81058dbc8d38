"""Any recording becomes 16 kHz mono: right level and pitch, right time, in little memory."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from sounds import HERTZ, SECONDS, encode, tone

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.decoding import audio
from avaffect.data.decoding.audio import decode_audio
from avaffect.data.decoding.clock import AudioClock


def decoded(path: Path, *part: float | None) -> np.ndarray:
    sink = io.BytesIO()
    sound = decode_audio(path, sink, *part)
    samples = np.frombuffer(sink.getvalue(), "<i2")
    assert sound.samples == len(samples)
    assert sound.peak == (np.abs(samples.astype(int)).max() if samples.size else 0)
    return samples


FORMATS = {
    "wav16": ("a.wav", {"subtype": "PCM_16"}, 16000),
    "wav24 stereo": ("b.wav", {"subtype": "PCM_24"}, 44100),
    "wav float": ("c.wav", {"subtype": "FLOAT"}, 22050),
    "wav 8 kHz": ("d.wav", {"subtype": "ULAW"}, 8000),
    "flac": ("e.flac", {}, 48000),
    "ogg": ("f.ogg", {}, 44100),
}


@pytest.mark.parametrize("name", FORMATS)
def test_any_file_becomes_16_khz_mono(tmp_path: Path, name: str) -> None:
    file, options, rate = FORMATS[name]
    samples = tone(rate)
    if "stereo" in name:
        samples = np.stack([samples, 0.5 * samples], axis=1)
    soundfile.write(tmp_path / file, samples, rate, **options)
    found = decoded(tmp_path / file)
    # Vorbis starts and ends within a block.
    assert abs(len(found) - SECONDS * SAMPLE_RATE_HZ) <= (99 if name == "ogg" else 0)
    if name == "wav16":
        expected, _ = soundfile.read(tmp_path / file, dtype="int16")
        np.testing.assert_array_equal(found, expected)
    level = 0.75 if "stereo" in name else 1.0
    _same_tone(found, level)


LOSSY = {"a.mp3": "libmp3lame", "a.m4a": "aac", "a.mkv": "aac", "a.mpg": "mp2", "a.aac": "aac"}


@pytest.mark.parametrize("file,codec", LOSSY.items())
def test_lossy_codecs(tmp_path: Path, file: str, codec: str) -> None:
    found = decoded(encode(tmp_path / file, codec))
    assert abs(len(found) - SECONDS * SAMPLE_RATE_HZ) < 0.06 * SAMPLE_RATE_HZ
    _same_tone(found[4000:-4000], 1.0, tolerance=0.05)


def test_integers_of_64_bits(tmp_path: Path) -> None:
    """PyAV has no arrays of them."""
    path = encode(tmp_path / "a.nut", "pcm_s64le", 16000)
    _same_tone(decoded(path), 1.0)


def _same_tone(found: np.ndarray, level: float, tolerance: float = 0.02) -> None:
    """Right pitch, no other, and the right level."""
    middle = found[1000:-1000].astype(float) / 32768
    assert abs(np.sqrt(2 * np.mean(middle**2)) / (0.3 * level) - 1) < tolerance
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    hertz = np.fft.rfftfreq(len(middle), 1 / SAMPLE_RATE_HZ)
    near = np.abs(hertz - HERTZ) < 20
    assert spectrum[near].sum() > 0.99 * spectrum.sum()


@pytest.mark.parametrize("file", ["a.wav", "a.flac", "a.m4a", "a.mp3", "a.mpg", "a.ogg"])
def test_parts_are_cut_where_they_are(tmp_path: Path, file: str, monkeypatch) -> None:
    """A part equals that part of the whole, decoded from the start or after a seek."""
    rate = 32000
    noise = np.random.default_rng(0).standard_normal(6 * rate).astype("float32") * 0.1
    # AAC replaces noise at high frequencies by other noise.
    noise = np.convolve(noise, np.hanning(32) / 4, "same").astype("float32")
    if file.endswith(("wav", "flac", "ogg")):
        soundfile.write(tmp_path / file, noise, rate)
    else:
        codec = {"m4a": "aac", "mp3": "libmp3lame", "mpg": "mp2"}[file[2:]]
        encode(tmp_path / file, codec, rate, samples=noise)
    whole = decoded(tmp_path / file)
    for seek_from in (30.0, 0.5):
        monkeypatch.setattr(audio, "SEEK_FROM_S", seek_from)
        for start, end in ((0.0, 1.0), (0.7, 1.3), (2.25, 5.75), (4.5, None)):
            found = decoded(tmp_path / file, start, end)
            last = len(whole) if end is None else round(end * SAMPLE_RATE_HZ)
            expected = whole[round(start * SAMPLE_RATE_HZ) : last]
            assert abs(len(found) - len(expected)) <= (2 if end is None else 0)
            length = min(len(found), len(expected))
            # A resampler that starts elsewhere differs by its filter's edge alone.
            inside = slice(100, length - 100)
            correlation = np.corrcoef(found[inside], expected[inside])[0, 1]
            assert correlation > 0.99, (file, start, end, correlation)


def test_sound_that_starts_late_or_has_a_gap_keeps_its_time(tmp_path: Path) -> None:
    """In Matroska, where pcm keeps its stamps: half a second is missing after 10 frames."""
    path = encode(tmp_path / "gap.mkv", "pcm_s16le", 16000, stamps={10: 0.5})
    found = decoded(path)
    gap = slice(10 * 1152, 10 * 1152 + 8000)
    assert abs(len(found) - (SECONDS + 0.5) * SAMPLE_RATE_HZ) < 20
    assert not found[gap][20:-20].any() and found[: gap.start].any() and found[gap.stop :].any()
    _same_tone(found[gap.stop + 20 :], 1.0)
    # Two streams, the sound 0.3 s after the picture.
    with av.open(str(tmp_path / "late.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for number in range(25):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), "uint8"), format="rgb24")
            picture.pts = number
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(
            (tone()[None] * 32767).astype("int16"), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = 16000, 4800
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    late = decoded(tmp_path / "late.mkv")
    assert len(late) == (SECONDS + 0.3) * SAMPLE_RATE_HZ
    assert not late[:4800].any() and late[4801:4900].all()


def test_jitter_gaps_and_broken_clocks_are_told_apart() -> None:
    clock = AudioClock(zero_s=10.0, position_s=0.0)

    def place(stamp: float | None) -> tuple[bool | None, float]:
        time_s = None if stamp is None else stamp + 10
        gap, here = clock.place(SimpleNamespace(time=time_s, samples=800, sample_rate=16000))
        return gap, round(here, 9)

    assert place(0.01) == (False, 0.0)  # jitter
    assert place(None) == (False, 0.05)
    assert place(0.5) == (True, 0.5)  # a gap
    assert place(0.2) == (False, 0.55)  # the clock ran back: joined on
    assert place(0.25) == (False, 0.6)  # and keeps its new zero
    assert place(500.0) == (False, 0.65)
    assert place(500.05) == (False, 0.7)
    assert place(500.60) == (True, 1.25)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from avaffect.data.decoding.audio import decode_audio\n"
        "with open(sys.argv[2], 'wb') as file: decode_audio(Path(sys.argv[1]), file)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for minutes in (0.2, 20):
        path = tmp_path / "long.wav"
        noise = np.random.default_rng(0).integers(-999, 999, 12 * SAMPLE_RATE_HZ).astype("int16")
        with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 2, "PCM_16") as file:
            for _ in range(round(minutes * 5)):
                file.write(np.stack([noise, noise], axis=1))
        command = [sys.executable, "-c", code, str(path), str(tmp_path / "out.raw")]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
        assert (tmp_path / "out.raw").stat().st_size == round(minutes * 60 * SAMPLE_RATE_HZ) * 2
    assert peaks[1] < peaks[0] + 8 * 1024, f"{peaks} KiB"
