"""Decoders of the FFmpeg that PyAV brings."""

from __future__ import annotations

import av
from av.codec.codec import UnknownCodecError

# Of what corpora are recorded in, and phones record.
WANTED = (
    "h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg", "wmv2",
    "aac", "mp3", "opus", "vorbis", "flac", "alac", "wmav2", "amrnb", "pcm_s16le",
)  # fmt: skip


def missing() -> list[str]:
    """Those of WANTED that there is no decoder for."""
    found = []
    for name in WANTED:
        try:
            av.codec.Codec(name, "r")
        except UnknownCodecError:
            found.append(name)
    return found


def libraries() -> str:
    """The versions of PyAV and of FFmpeg's libavcodec."""
    return f"PyAV {av.__version__}, libavcodec " + ".".join(
        map(str, av.library_versions["libavcodec"])
    )
