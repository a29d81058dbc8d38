"""A voice for cases, and what decoding gives of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.decoding.audio import Unusable, decode_audio
from cases import SHARED, Case, Seen

LENGTH_S = 1.9


def speech(seconds: float = LENGTH_S, rate: int = SAMPLE_RATE_HZ, seed: int = 0) -> np.ndarray:
    """(S,) float32, peak 0.5: bursts of noise with the spectrum of a voice, pauses between."""
    samples = round(seconds * rate)
    noise = np.random.default_rng(seed).standard_normal(samples)
    spectrum = np.fft.rfft(noise)
    hertz = np.fft.rfftfreq(samples, 1 / rate)
    spectrum *= (hertz > 100) / (1 + (hertz / 500) ** 2)
    voice = np.fft.irfft(spectrum, samples)
    voice *= np.clip(np.sin(2 * np.pi * 2 * np.arange(samples) / rate), 0, 1)
    return (0.5 * voice / np.abs(voice).max()).astype("float32")


def decoded(path: Path) -> tuple[np.ndarray | None, str]:
    """(S,) int16 and its length in words, or None and why the recording is lost."""
    raw = io.BytesIO()
    try:
        decode_audio(path, raw)
    except Unusable as error:
        return None, str(error)
    samples = np.frombuffer(raw.getvalue(), "<i2")
    return samples, f"{len(samples) / SAMPLE_RATE_HZ:.2f} s"


def shared(situation: str, name: str, right: str, measure: Callable[[Path], Seen]) -> Case:
    source = f"cases/{situation}/{name}"
    return Case(situation, name, right, lambda folder: measure(SHARED / source), source)
