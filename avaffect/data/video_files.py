"""Writing videos: H.264 and AAC in mp4."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

AUDIO_BIT_RATE = 96_000


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    size: tuple[int, int],
    rate_hz: Fraction,
    audio: np.ndarray,
    sample_rate: int,
    quality: int = 18,
) -> None:
    """Write RGB frames (H, W, 3) uint8 of an even `size` (width, height), and audio (samples,)
    float32.

    quality is x264's constant rate factor, lower is better. Equal input gives equal bytes: one
    thread, and neither dates nor versions in the file.
    """
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        # Without B-frames the first picture is at time zero, like the first sample.
        picture = container.add_stream(
            "libx264", rate=rate_hz,
            options={"preset": "ultrafast", "crf": str(quality), "bf": "0", "threads": "1"},
        )  # fmt: skip
        picture.width, picture.height = size
        picture.pix_fmt = "yuv420p"
        voice = container.add_stream(
            "aac", rate=sample_rate, layout="mono", options={"aac_coder": "fast"}
        )
        voice.bit_rate = AUDIO_BIT_RATE
        for stream in (picture, voice):
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for frame in frames:
            planes = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(picture.encode(None))
        block = av.AudioFrame.from_ndarray(audio[None, :], format="fltp", layout="mono")
        block.sample_rate = sample_rate
        # With a stamp the encoder declares the silence that it adds, which players skip.
        block.pts, block.time_base = 0, Fraction(1, sample_rate)
        container.mux(voice.encode(block))
        container.mux(voice.encode(None))
