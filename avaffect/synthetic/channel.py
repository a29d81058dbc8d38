"""Audio channels of the domains: rooms, microphones, noise and levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.signal import oaconvolve, resample_poly

from avaffect.core.seeds import generator
from avaffect.core.streams import SAMPLE_RATE_HZ

# Peaks stay below full scale, so that 16-bit samples never clip.
LARGEST_PEAK = 0.95
SILENCE = 1e-9
# Level of the reverberant tail against the direct sound.
TAIL_DECIBELS = (-14.0, -6.0)
MAINS_HARMONICS = (1, 2, 3, 5, 7)


@dataclass(frozen=True)
class Channel:
    """sample_rate in Hz; noises by name; ranges (low, high) over sessions or utterances:
    signal-to-noise ratio in dB, reverberation time in s, level in dB re full scale;
    microphone is the standard deviation of its response in dB, band its limits in Hz.
    """

    sample_rate: int
    noises: tuple[str, ...]
    snr: tuple[float, float]
    reverberation: tuple[float, float]
    level: tuple[float, float]
    microphone: float
    band: tuple[float, float]


CHANNELS = {
    "A": Channel(16000, ("pink",), (28, 40), (0.1, 0.25), (-24, -21), 1.5, (60, 7800)),
    "B": Channel(
        24000, ("pink", "fan", "babble"), (12, 30), (0.15, 0.6), (-30, -18), 3.0, (90, 7000)
    ),
    "U": Channel(22050, ("hum", "pink"), (22, 34), (0.15, 0.35), (-27, -20), 2.0, (100, 7000)),
}

# Share of the vocal effort, in dB, that remains after the normalisation of loudness.
EFFORT_LEAK = 0.4


def record(
    dry: np.ndarray, channel: Channel, seed: int, session: str, effort: float,
    random: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """A dry voice (float64 at 16 kHz) as `channel` records it in `session`.

    The room and the microphone belong to the session, noise and level to the utterance. Returns
    float32 in [-1, 1] at the channel's sample rate, round(seconds * rate) samples.
    """
    place = generator(seed, session, "place")
    wet = _reverberate(dry, place.uniform(*channel.reverberation), place)
    wet /= max(_active_rms(wet), SILENCE)
    kind = str(random.choice(channel.noises))
    noise = _noise(kind, len(wet), random)
    noise *= 10 ** (-random.uniform(*channel.snr) / 20) / max(_rms(noise), SILENCE)
    signal = _filter(wet + noise, _response(channel, place))
    level = random.uniform(*channel.level) + EFFORT_LEAK * effort
    signal *= 10 ** (level / 20) / max(_active_rms(signal), SILENCE)
    if channel.sample_rate != SAMPLE_RATE_HZ:
        step = np.gcd(channel.sample_rate, SAMPLE_RATE_HZ)
        count = round(len(signal) * channel.sample_rate / SAMPLE_RATE_HZ)
        signal = resample_poly(signal, channel.sample_rate // step, SAMPLE_RATE_HZ // step)[:count]
    peak = np.abs(signal).max(initial=0.0)
    return (signal * min(1.0, LARGEST_PEAK / max(peak, SILENCE))).astype(np.float32)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0


def _active_rms(values: np.ndarray) -> float:
    """Root mean square over the louder half of 20 ms pieces, without pauses."""
    width = SAMPLE_RATE_HZ // 50
    pieces = values[: len(values) // width * width].reshape(-1, width)
    power = np.sort(np.mean(pieces**2, axis=1)) if len(pieces) else np.array([np.mean(values**2)])
    return float(np.sqrt(power[len(power) // 2 :].mean()))


def _reverberate(dry: np.ndarray, seconds: float, random: np.random.Generator) -> np.ndarray:
    """Direct sound and a tail that falls by 60 dB in `seconds`, after 5 ms."""
    times = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = random.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    tail[: SAMPLE_RATE_HZ // 200] = 0.0
    tail *= 10 ** (random.uniform(*TAIL_DECIBELS) / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return oaconvolve(dry, tail)[: len(dry)]


def _filter(values: np.ndarray, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`values` through a zero-phase filter whose gain is a function of the frequency in Hz."""
    length = fft.next_fast_len(len(values), real=True)
    hertz = fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    return fft.irfft(fft.rfft(values, length) * gain(hertz), length)[: len(values)]


def _response(channel: Channel, random: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """The gain of a session's microphone: a random smooth curve over octaves within a band."""
    octaves = np.arange(-4, 4)
    decibels = random.normal(0.0, channel.microphone, len(octaves))
    low, high = channel.band

    def gain(hertz: np.ndarray) -> np.ndarray:
        audible = np.maximum(hertz, 1.0)
        curve = 10 ** (np.interp(np.log2(audible / 1000), octaves, decibels) / 20)
        return curve / np.sqrt(1 + (low / audible) ** 6) / np.sqrt(1 + (audible / high) ** 12)

    return gain


def _noise(kind: str, count: int, random: np.random.Generator) -> np.ndarray:
    """Noise of `count` samples: pink, fan (low), hum (mains and hiss) or babble (many voices)."""
    white = random.standard_normal(count)
    if kind == "pink":
        return _filter(white, lambda hertz: 1 / np.sqrt(np.maximum(hertz, 20.0)))
    if kind == "fan":
        return _filter(white, lambda hertz: 1 / (1 + (hertz / 250) ** 1.5))
    if kind == "babble":
        voices = _filter(white, lambda hertz: hertz / 300 / (1 + (hertz / 500) ** 2.2))
        syllables = random.standard_normal(count)
        syllables = _filter(syllables, lambda hertz: np.exp(-0.5 * ((hertz - 4) / 3) ** 2))
        return voices * np.exp(0.7 * syllables / max(_rms(syllables), SILENCE))
    times = np.arange(count) / SAMPLE_RATE_HZ
    phases = random.uniform(0, 2 * np.pi, len(MAINS_HARMONICS))
    mains = sum(
        np.sin(2 * np.pi * 50 * k * times + phase) / k for k, phase in zip(MAINS_HARMONICS, phases)
    )
    return mains + 0.5 * white
