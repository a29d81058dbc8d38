"""How long a recording says it is: by its header, where a header can be trusted.

FFmpeg gives a duration for every file, but often one estimated from what is there, which hides that
a file was cut short. Only what was written when the recording was made is used here.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

# Containers whose duration comes from a header or an index.
TRUSTED = {"flac", "mov", "aiff", "caf", "w64", "au", "tta", "wv", "ape"}
# Where a stream of unknown length was written, programs leave one of these.
UNKNOWN_SIZES = (0, 0x7FFFF000)
MP3_TAGS = (b"Xing", b"Info", b"VBRI")
# An ID3 tag with a picture may come before the first frame, which holds the tag.
MP3_HEAD_BYTES = 4096
# A Flash video says how long it is as a whole: a track may end a little before.
FLV_SLACK_S = 0.5
AVI_HEAD_BYTES = 1 << 16
LARGEST_OGG_PAGE = 65307
OGG_END = 4


def declared_end(path: Path, container: Any, stream: Any, zero_s: float) -> float | None:
    """Where a track ends by the container's word, in seconds after `zero_s`.

    None where nothing trustworthy says so. container, stream: PyAV's, open.
    """
    formats = set(container.format.name.split(","))
    if "matroska" in formats:
        end = _clock_seconds(stream.metadata.get("DURATION"))
        return None if end is None else end - zero_s
    if "wav" in formats:
        return _wav_seconds(path)
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


def lacks_last_page(path: Path, container: Any) -> bool:
    """Ogg counts nothing in advance, but marks its last page."""
    if container.format.name != "ogg":
        return False
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - LARGEST_OGG_PAGE, 0))
        tail = stream.read()
    start = tail.rfind(b"OggS")
    return start < 0 or len(tail) < start + 6 or not tail[start + 5] & OGG_END


def _wav_seconds(path: Path) -> float | None:
    """FFmpeg clamps a wav's duration to the file: read the RIFF chunks (RF64 included)."""
    byte_rate = long_size = 0
    with path.open("rb") as stream:
        if stream.read(12)[:4] not in (b"RIFF", b"RF64"):
            return None
        while len(head := stream.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                size = long_size if size == 0xFFFFFFFF else size
                if size in UNKNOWN_SIZES or size >= 0xFFFFFFFF or not byte_rate:
                    return None if not long_size or not byte_rate else long_size / byte_rate
                return size / byte_rate
            body = stream.read(24) if name in (b"fmt ", b"ds64") else b""
            if name == b"fmt " and len(body) >= 12:
                byte_rate = struct.unpack("<I", body[8:12])[0]
            elif name == b"ds64" and len(body) >= 16:
                long_size = struct.unpack("<Q", body[8:16])[0]
            stream.seek(size + size % 2 - len(body), 1)
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
    # A writer that was killed, or wrote to a pipe, leaves 0.
    return (first + length) * scale / rate if length and rate and scale else None


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
