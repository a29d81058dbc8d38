"""Films of flashes and beeps at known times, and when they are seen and heard once decoded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.decoding.audio import decode_audio
from avaffect.data.decoding.video import VideoCounts, read_pictures

# Seconds at which a flash and a beep of a fifth of a second begin.
MOMENTS = (2, 4, 78, 80, 82)
LASTS_S = 0.2
END_S = 86
FPS = 5
Parts = Sequence[tuple[float, float]]
WHOLE: Parts = ((0, END_S),)
PAUSED: Parts = ((0, 6), (76, END_S))
LATE: Parts = ((76, END_S),)


def write_flashes(
    path: Path, pictures: Parts = WHOLE, sound: Parts = WHOLE, codecs: Sequence[str] = ("", ""),
    pace: float = 1.0, moments: Sequence[float] = MOMENTS, fps: int = FPS,
    options: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """A film whose tracks hold `pictures` and `sound` in some parts, in seconds.

    codecs: of pictures and sound; pace: samples that sound holds over those that its time stamps
    span. Sound and pictures are interleaved by time, as recorders do.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        film = container.add_stream(codecs[0] or "mpeg4", rate=fps)
        film.width = film.height = 32
        film.pix_fmt = "yuv420p"
        film.codec_context.gop_size = 20
        rate = 16000
        voice = container.add_stream(codecs[1] or "aac", rate=rate, layout="mono")
        voice.codec_context.time_base = Fraction(1, rate)
        voice.codec_context.open()
        size = voice.codec_context.frame_size or 1024
        frames = [(n / fps, n, False) for start, end in pictures
                  for n in range(round(start * fps), round(end * fps))]  # fmt: skip
        blocks = [(n * size / rate / pace, n, True) for start, end in sound
                  for n in range(*(int(t * pace * rate / size) for t in (start, end)))]  # fmt: skip
        for time_s, number, heard in sorted(frames + blocks):
            if heard:
                container.mux(voice.encode(_beep(voice, number * size, size, pace, moments)))
            else:
                container.mux(film.encode(_flash(time_s, number, fps, moments)))
        container.mux(film.encode(None))
        container.mux(voice.encode(None))
    return path


def _flash(time_s: float, number: int, fps: int, moments: Sequence[float]) -> av.VideoFrame:
    bright = any(m - 1e-6 <= time_s < m + LASTS_S - 1e-6 for m in moments)
    frame = av.VideoFrame.from_ndarray(
        np.full((48, 32), 235 if bright else 16, np.uint8), "yuv420p"
    )
    for plane in (1, 2):
        frame.planes[plane].update(bytes([128]) * frame.planes[plane].buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, fps)
    return frame


def _beep(
    voice: Any, first: int, size: int, pace: float, moments: Sequence[float]
) -> av.AudioFrame:
    times = np.arange(first, first + size) / voice.rate / pace
    loud = sum((times >= m) & (times < m + LASTS_S) for m in moments)
    samples = (0.5 * loud * np.sin(2 * np.pi * 1000 * times)).astype(np.float32)
    name = voice.format.name
    if name.startswith("s16"):
        samples = (32767 * samples).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], name, "mono")
    frame.sample_rate, frame.time_base = voice.rate, Fraction(1, voice.rate)
    frame.pts = round(first / pace)
    return frame


def beeps(
    path: Path, start_s: float | None = None, end_s: float | None = None, beside: Path | None = None
) -> list[float]:
    """Seconds at which beeps begin, once decoded."""
    sink = io.BytesIO()
    decode_audio(path, sink, start_s, end_s, beside=beside)
    samples = np.abs(np.frombuffer(sink.getvalue(), "<i2").astype(int))
    block = SAMPLE_RATE_HZ // 200
    loud = samples[: len(samples) // block * block].reshape(-1, block).max(axis=1) > 4000
    return _begins(loud, 200)


def flashes(
    path: Path, start_s: float | None = None, end_s: float | None = None, beside: Path | None = None
) -> list[float]:
    """Seconds at which flashes begin, once decoded."""
    levels = {None: 0.0}
    seen = []
    for picture in read_pictures(path, 25.0, VideoCounts(), start_s, end_s, beside):
        if picture not in levels:
            levels = {None: 0.0, picture: float(picture.luma.mean())}
        seen.append(levels[picture] > 120)
    return _begins(seen, 25)


def _begins(on: Sequence[bool], rate: int) -> list[float]:
    """Times at which something goes on that was off for a quarter of a second before."""
    places = np.flatnonzero(on)
    fresh = np.diff(places, prepend=-rate) > rate / 4
    return [float(place) / rate for place in places[fresh]]


def furthest(found: Sequence[float], moments: Sequence[float]) -> float:
    """The largest distance between what was found and what is right; infinite where one lacks."""
    if len(found) != len(moments):
        return float("inf")
    return max((abs(f - m) for f, m in zip(found, moments)), default=0.0)
