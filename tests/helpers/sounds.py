"""Sounds that tests make: a tone, and files of any container and codec."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from avaffect.core.streams import SAMPLE_RATE_HZ

SECONDS = 2.0
HERTZ = 440.0


def tone(rate: int = SAMPLE_RATE_HZ, seconds: float = SECONDS) -> np.ndarray:
    times = np.arange(round(rate * seconds)) / rate
    return (0.3 * np.sin(2 * np.pi * HERTZ * times)).astype("float32")


def encode(
    path: Path, codec: str, rate: int = 44100, options: dict | None = None,
    stamps: dict[int, float] | None = None, samples: np.ndarray | None = None,
) -> Path:  # fmt: skip
    """A file of a container and codec; stamps: frame number -> seconds that its time is moved;
    samples: (S,), or (2, S) for stereo."""
    samples = np.atleast_2d(tone(rate) if samples is None else samples)
    layout = "stereo" if len(samples) == 2 else "mono"
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        size, shift = 1152, 0.0
        sampler = av.AudioResampler(stream.format.name, layout, rate, stream.frame_size or size)
        source = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        source.sample_rate = rate
        done = 0
        for number, frame in enumerate(sampler.resample(source) + sampler.resample(None)):
            shift += (stamps or {}).get(number, 0.0)
            frame.pts = done + round(shift * rate)
            done += frame.samples
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
