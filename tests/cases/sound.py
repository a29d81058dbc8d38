"""Sound that is mixed, scaled or declared in unusual ways."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import soundfile

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.decoding.audio import Unusable, decode_audio
from cases import Case, Seen, lengths
from cases.voices import LENGTH_S, decoded, shared, speech


def _written(folder: Path, channels: list[np.ndarray], name: str = "a.wav", **kind) -> Path:
    """Channels of 16 kHz in a file, 16 bits unless `kind` says otherwise."""
    path = folder / name
    soundfile.write(
        path, np.stack(channels, axis=1), SAMPLE_RATE_HZ, **{"subtype": "PCM_16", **kind}
    )
    return path


def _noise(snr_db: float, seed: int) -> np.ndarray:
    voice = speech()
    noise = np.random.default_rng(seed).standard_normal(len(voice)).astype("float32")
    return noise * voice.std() * np.float32(10 ** (-snr_db / 20))


def _bands(below: bool) -> np.ndarray:
    """Speech that is inverted below or above 1 kHz."""
    voice = speech()
    spectrum = np.fft.rfft(voice)
    hertz = np.fft.rfftfreq(len(voice), 1 / SAMPLE_RATE_HZ)
    spectrum[hertz < 1000 if below else hertz >= 1000] *= -1
    return np.fft.irfft(spectrum, len(voice)).astype("float32")


def facts_of(path: Path, *part: float | None, channels: tuple[int, ...] = ()) -> dict:
    return decode_audio(path, io.BytesIO(), *part, channels=channels).facts


def _speech_and_named(path: Path, least: float = 0.85) -> Seen:
    """The speech, at its level, and the word that the channels cancel."""
    samples, words = decoded(path)
    if samples is None:
        return Seen(words, False)
    voice, heard = speech()[:30000].astype(float), samples[:30000] / 32768
    match = np.corrcoef(voice, heard)[0, 1]
    level = heard @ voice / (voice @ voice)
    named = facts_of(path)["mixing"]
    right = abs(match) > least and 0.7 < abs(level) < 1.3 and "cancel" in named
    return Seen(f"correlation {abs(match):.2f}, {named or 'not named'}", right)


def _mean(path: Path, expected: np.ndarray) -> Seen:
    """Exactly the mean of the channels, and nothing named."""
    samples, words = decoded(path)
    if samples is None:
        return Seen(words, False)
    most = int(np.abs(samples[: len(expected)].astype(int) - expected).max())
    named = facts_of(path)["mixing"]
    return Seen(f"mean within {most} of 32768{named and ', '}{named}", most <= 1 and not named)


def _inverted() -> list[Case]:
    kind, right = "phase-inverted-stereo", "the speech, and named"

    def soldered(path: Path) -> Seen:
        samples, _ = decoded(path)
        named = facts_of(path)["mixing"]
        peak = 0 if samples is None else int(np.abs(samples.astype(int)).max())
        return Seen(f"peak {peak}, {named}", peak > 15000 and "cancel" in named)

    cases = [shared(kind, "inverted.wav", "peak 16384, and named", soldered)]
    s = speech()
    half = np.where(np.arange(len(s)) < len(s) / 2, s, -s)
    for name, channels, least in (
        ("exactly", (s, -s), 0.99),
        ("noise of its own, 20 dB", (s + _noise(20, 1), -s + _noise(20, 2)), 0.99),
        ("noise of its own, 5 dB", (s + _noise(5, 1), -s + _noise(5, 2)), 0.9),
        ("noise in common, 10 dB", (s + _noise(10, 1), -s + _noise(10, 1)), 0.9),
        ("half as loud", (s, -0.5 * s), 0.99),
        ("above 1 kHz", (s, _bands(False)), 0.99),
        ("below 1 kHz", (s, 0.9 * _bands(True)), 0.99),
        ("half of the time", (s, 0.9 * half), 0.99),
        ("two of four channels", (s, -s, s, -s), 0.99),
    ):
        measure = lambda f, c=channels, m=least: _speech_and_named(_written(f, list(c)), m)  # noqa: E731
        cases.append(Case(kind, name, right, measure))
    for codec, file in (("FLAC", "a.flac"), ("VORBIS", "a.ogg")):
        measure = lambda f, n=file, c=codec: _speech_and_named(  # noqa: E731
            _written(f, [s, -s], n, subtype="PCM_16" if c == "FLAC" else c)
        )
        cases.append(Case(kind, f"in {file[2:]}", right, measure))
    other = speech(seed=1)
    late = np.concatenate([np.zeros(320, "float32"), s[:-320]])
    for name, channels in (
        ("ordinary: alike", (s, s)), ("ordinary: left alone", (s, 0 * s)),
        ("ordinary: a person on each side", (s, other)),
        ("ordinary: 20 ms apart", (s, late)),
        ("ordinary: noise of its own", (s + _noise(0, 1), s + _noise(0, 2))),
        ("ordinary: noise alone", (_noise(0, 1), _noise(0, 2))),
    ):  # fmt: skip

        def measure(folder: Path, channels=channels) -> Seen:
            path = _written(folder, list(channels))
            return _mean(path, soundfile.read(path, dtype="int16")[0].astype(int).mean(1))

        cases.append(Case(kind, name, "the mean", measure))
    return cases


def _level(path: Path, channels: int, peak: int, chosen: tuple[int, ...] = ()) -> Seen:
    raw = io.BytesIO()
    try:
        sound = decode_audio(path, raw, channels=chosen)
    except Unusable as error:
        return Seen(str(error), False)
    return Seen(f"1/{peak / max(sound.peak, 1):.2f}", abs(sound.peak - peak / channels) <= 1.5)


def _array(folder: Path, channels: int, which: int, file: str = "a.wav", **kind) -> Path:
    """Speech in one microphone of several."""
    s = speech()
    return _written(folder, [s if n == which else 0 * s for n in range(channels)], file, **kind)


def surround(folder: Path, codec: str, kind: str, voice: int = 2, low: float = 0.0) -> Path:
    """A declared 5.1: speech in one channel, noise below 100 Hz in the low-frequency one."""
    rate, path = 48000, folder / f"surround.{kind}"
    sound = np.zeros((6, round(LENGTH_S * rate)), "float32")
    rumble = np.sin(2 * np.pi * 40 * np.arange(sound.shape[1]) / rate)
    sound[3] += np.float32(low) * rumble.astype("float32")
    sound[voice] += speech(rate=rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="5.1")
        sampler = av.AudioResampler(stream.format.name, "5.1", rate, stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(sound, "fltp", "5.1")
        frame.sample_rate = rate
        for part in sampler.resample(frame) + sampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def _dialogue(path: Path, least: float, named: str = "") -> Seen:
    samples, words = decoded(path)
    if samples is None:
        return Seen(words, False)
    facts, peak = facts_of(path), np.abs(samples.astype(int)).max() / 16384
    right = peak > least and named in facts["mixing"] and bool(named) == bool(facts["mixing"])
    return Seen(f"level {peak:.2f} {facts['mixing']}", right)


MICROPHONES = ("3ch_speech_in_2.wav", "4ch_speech_in_3.wav", "6ch_speech_in_3.wav",
               "8ch_speech_in_3.wav", "9ch_speech_in_0.wav")  # fmt: skip


def _channels() -> list[Case]:
    kind = "many-channels"
    cases = [
        shared(kind, n, f"1/{n[0]}.00", lambda p, c=int(n[0]): _level(p, c, 26213))
        for n in MICROPHONES
    ]
    for channels, which in ((3, 0), (5, 4), (6, 5), (7, 3), (9, 8), (11, 10), (32, 31)):
        measure = lambda f, n=channels, w=which: _level(_array(f, n, w), n, 16384)  # noqa: E731
        cases.append(Case(kind, f"channel {which} of {channels}", f"1/{channels}.00", measure))
    for channels, which, chosen in ((4, 3, (3,)), (9, 8, (8,)), (2, 1, (1,)), (6, 3, (3, 0))):
        measure = lambda f, n=channels, w=which, c=chosen: _level(  # noqa: E731
            _array(f, n, w), len(c), 16384, c
        )
        name = f"--channels {','.join(map(str, chosen))} of {channels}"
        cases.append(Case(kind, name, f"1/{len(chosen)}.00", measure))
    aiff = lambda f: _level(_array(f, 4, 3, "a.aiff", format="AIFF"), 4, 16384)  # noqa: E731
    cases.append(Case(kind, "aiff, channel 3 of 4", "1/4.00", aiff))
    # FLAC's specification says that the fourth of six is for low frequencies.
    flac = lambda f: _dialogue(_array(f, 6, 3, "a.flac"), 0.15, "low-frequency")  # noqa: E731
    cases.append(Case(kind, "flac, channel 3 of 6", "level 1/6, and named", flac))
    for codec, ending in (("flac", "flac"), ("pcm_s16le", "wav"), ("aac", "m4a"), ("ac3", "mkv")):
        measure = lambda f, c=codec, e=ending: _dialogue(surround(f, c, e, low=0.8), 0.2)  # noqa: E731
        cases.append(Case(kind, f"5.1 declared, {codec}", "dialogue without rumble", measure))
    return cases


def _floats(folder: Path, factor: float, kind: str = "WAV", subtype: str = "FLOAT") -> Path:
    return _written(folder, [factor * speech()], f"a.{kind.lower()}", format=kind, subtype=subtype)


def _encoded(folder: Path, samples: np.ndarray, codec: str, kind: str) -> Path:
    path = folder / f"encoded.{kind}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=SAMPLE_RATE_HZ, layout="mono")
        if codec == "wavpack":
            stream.format = "fltp"
        size = stream.frame_size or 1024
        sampler = av.AudioResampler(stream.format.name, "mono", SAMPLE_RATE_HZ, size)
        frame = av.AudioFrame.from_ndarray(samples[None].astype("float32"), "flt", "mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        for part in sampler.resample(frame) + sampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def _scaled(path: Path, scale: float, tolerance: float = 1e-6) -> Seen:
    """The speech in its shape, nothing clipped, and what full scale was."""
    samples, words = decoded(path)
    if samples is None:
        return Seen(words, False)
    facts = facts_of(path)
    match = np.corrcoef(samples, speech()[: len(samples)])[0, 1]
    right = match > 0.999 and abs(facts["full_scale"] / scale - 1) < tolerance
    words = f"full scale {facts['full_scale']:.6g}, clipped {facts['clipped_samples']}"
    return Seen(words, right and not facts["clipped_samples"])


def _shared_floats(path: Path) -> Seen:
    samples, words = decoded(path)
    facts = facts_of(path)
    clipped = samples is None or int((np.abs(samples.astype(int)) >= 32767).sum())
    words = f"full scale {facts['full_scale']:.6g}, {clipped} at full scale"
    return Seen(words, facts["full_scale"] > 1 and clipped <= 1)


def _clipped(path: Path, count: int, scale: float = 1.0) -> Seen:
    facts = facts_of(path)
    right = facts["clipped_samples"] == count and facts["full_scale"] == scale
    return Seen(f"{facts['clipped_samples']} clipped, full scale {facts['full_scale']:g}", right)


def _levels() -> list[Case]:
    kind = "float-beyond-full-scale"
    cases = [
        shared(kind, f"{name}.wav", "scaled", _shared_floats)
        for name in ("int16_scale", "unit_variance")
    ]
    s = speech()
    whole = np.rint(s * 32768).astype("float32")
    for name, make, scale in (
        ("int16 values", lambda f: _written(f, [whole], subtype="FLOAT"), 32768),
        ("int16 values, double", lambda f: _written(f, [whole], subtype="DOUBLE"), 32768),
        ("int16 values, filtered", lambda f: _floats(f, 32768), 32768),
        ("int24 values", lambda f: _written(f, [np.rint(s * 2**23)], subtype="FLOAT"), 2**23),
        ("int16 values, aiff", lambda f: _floats(f, 32768, "AIFF"), 32768),
        ("int16 values, caf", lambda f: _floats(f, 32768, "CAF"), 32768),
        ("int16 values, stereo", lambda f: _written(f, [whole] * 2, subtype="FLOAT"), 32768),
        ("int16 values, mkv", lambda f: _encoded(f, whole, "pcm_f32le", "mkv"), 32768),
        ("int16 values, wavpack", lambda f: _encoded(f, whole, "wavpack", "wv"), 32768),
        ("unit variance", lambda f: _floats(f, 1 / s.std()), 0.5 / s.std()),
        ("ordinary", lambda f: _floats(f, 1), 1),
        ("ordinary, peak 1", lambda f: _floats(f, 2), 1),
    ):
        measure = lambda f, m=make, t=scale: _scaled(m(f), t)  # noqa: E731
        cases.append(Case(kind, name, f"full scale {scale:.6g}, clipped 0", measure))
    slight = 2.05 * s
    beyond = int((np.abs(slight) > 1).sum())
    for name, make, count in (
        ("float, slightly beyond", lambda f: _written(f, [slight], subtype="FLOAT"), beyond),
        (
            "int16 of it, at full scale",
            lambda f: _written(f, [np.clip(3 * s, -1, 1)]),
            int((np.abs(3 * s) >= 1).sum()),
        ),
        (
            "24 bits",
            lambda f: _written(f, [np.clip(3 * s, -1, 1)], subtype="PCM_24"),
            int((np.abs(3 * s) >= 1).sum()),
        ),
        (
            "flat ceiling at 0.3",
            lambda f: _written(f, [np.clip(s, -0.3, 0.3)]),
            int((np.abs(s) >= 0.3).sum()),
        ),
        (
            "one channel of two",
            lambda f: _written(f, [s, np.clip(s, -0.3, 0.3)]),
            int((np.abs(s) >= 0.3).sum()),
        ),
        ("not clipped", lambda f: _written(f, [s]), 0),
        ("not clipped, peak at full scale", lambda f: _written(f, [2 * s]), 0),
        ("not clipped, 8 bits", lambda f: _written(f, [s], subtype="PCM_U8"), 0),
        ("not clipped, mu-law", lambda f: _written(f, [s], subtype="ULAW"), 0),
        ("not clipped, 50 Hz", lambda f: _written(f, [_hum()]), 0),
        ("silence", lambda f: _written(f, [0 * s]), 0),
    ):
        measure = lambda f, m=make, c=count: _clipped(m(f), c)  # noqa: E731
        cases.append(Case(kind, name, f"{count} clipped, full scale 1", measure))
    return [*cases, Case(kind, "mp3, loud", "some clipped, full scale 1", _loud_mp3)]


def _hum() -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * 50 * np.arange(30400) / SAMPLE_RATE_HZ)


def _loud_mp3(folder: Path) -> Seen:
    """A lossy codec overshoots: clipped, counted, not scaled."""
    loud = np.clip(6 * speech(), -1, 1)
    facts = facts_of(_encoded(folder, loud, "libmp3lame", "mp3"))
    right = facts["full_scale"] == 1 and facts["clipped_samples"] > 0
    return Seen(f"{facts['clipped_samples']} clipped, full scale {facts['full_scale']:g}", right)


CASES: list[Case] = [*_inverted(), *_levels(), *_channels(), *lengths.CASES]
