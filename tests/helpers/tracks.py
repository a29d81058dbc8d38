"""Films with several tracks of sound."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from avaffect.core.streams import SAMPLE_RATE_HZ

SECONDS = 1.0


def write_tracks(
    path: Path, levels: Sequence[float | None], default: int | None = None, codec: str = "pcm_s16le"
) -> Path:
    """A film with tracks of tones, of 200, 400, 600, ... hertz, at some levels; None: no samples.

    default: number, from 0, of the track that is marked as the one to be taken.
    """
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=25)
        film.width = film.height = 32
        film.pix_fmt = "yuv420p"
        tracks = [container.add_stream(codec, rate=SAMPLE_RATE_HZ, layout="mono") for _ in levels]
        for number, track in enumerate(tracks):
            track.codec_context.time_base = Fraction(1, SAMPLE_RATE_HZ)
            if default is not None:
                wanted = av.stream.Disposition.default if number == default else 0
                track.disposition = av.stream.Disposition(wanted)
        for number in range(round(25 * SECONDS)):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), "yuv420p")
            frame.pts = number
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
        times = np.arange(round(SECONDS * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        for number, (track, level) in enumerate(zip(tracks, levels)):
            if level is None:
                continue
            samples = level * np.sin(2 * np.pi * 200 * (number + 1) * times)
            name = track.format.name
            kind, scale = (np.float32, 1) if name.startswith("flt") else (np.int16, 32767)
            frame = av.AudioFrame.from_ndarray((scale * samples).astype(kind)[None], name, "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path
