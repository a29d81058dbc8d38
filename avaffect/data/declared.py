"""How long a recording says it is: by its header, where a header can be trusted.

FFmpeg gives a duration for every file, but often one estimated from what is there, which hides that
a file was cut short. Only what was written when the recording was made is used here.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from avaffect.data.headers import is_placeholder, read_header

# Containers whose duration comes from a header or an index.
TRUSTED = {"flac", "mov", "tta", "wv", "ape", "aiff", "caf", "au"}
# FFmpeg clamps their duration to the file, or has none, or the placeholder.
COUNTED_AHEAD = {"wav", "w64", "aiff", "au", "caf"}
MP3_TAGS = (b"Xing", b"Info", b"VBRI")
# An ID3 tag with a picture may come before the first frame, which holds the tag.
MP3_HEAD_BYTES = 4096
# A Flash video says how long it is as a whole: a track may end a little before.
FLV_SLACK_S = 0.5
AVI_HEAD_BYTES = 1 << 16


def declared_end(path: Path, container: Any, stream: Any, zero_s: float) -> float | None:
    """Where a track ends by the container's word, in seconds after `zero_s`.

    None where nothing trustworthy says so. container, stream: PyAV's, open.
    """
    formats = set(container.format.name.split(","))
    if "matroska" in formats:
        end = _clock_seconds(stream.metadata.get("DURATION"))
        return None if end is None else end - zero_s
    if formats & COUNTED_AHEAD:
        header = read_header(path)
        if header is None or not header.is_counted or header.byte_rate:
            return header and header.seconds
    if "avi" in formats:
        return _avi_seconds(path, stream.index)
    if "flv" in formats and container.duration:
        return container.duration / 1e6 - FLV_SLACK_S
    if ("mp3" in formats and _has_mp3_tag(path)) or formats & TRUSTED:
        if not stream.duration:
            return None
        start = float((stream.start_time or 0) * stream.time_base)
        return max(start - zero_s, 0.0) + float(stream.duration * stream.time_base)
    return None


def _avi_seconds(path: Path, index: int) -> float | None:
    """FFmpeg shortens what an AVI declares to what is there: read the header of its track."""
    with path.open("rb") as stream:
        head = stream.read(AVI_HEAD_BYTES)
    start = -1
    for _ in range(index + 1):
        start = head.find(b"strh", start + 1)
        if start < 0:
            return None
    fields = head[start + 8 : start + 44]
    if len(fields) < 36:
        return None
    scale, rate, first, length = struct.unpack("<IIII", fields[20:36])
    if not (rate and scale) or is_placeholder(length, None):
        return None
    return (first + length) * scale / rate


def _clock_seconds(text: str | None) -> float | None:
    """`00:00:04.046000000`, where a Matroska track ends, in seconds."""
    try:
        hours, minutes, seconds = (text or "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _has_mp3_tag(path: Path) -> bool:
    """Whether the first frame counts the frames; without, the duration is a guess."""
    with path.open("rb") as stream:
        _skip_id3(stream)
        head = stream.read(MP3_HEAD_BYTES)
    return any(tag in head for tag in MP3_TAGS)


def _skip_id3(stream: BinaryIO) -> None:
    head = stream.read(10)
    if head[:3] != b"ID3":
        stream.seek(0)
        return
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    stream.seek(10 + size)
