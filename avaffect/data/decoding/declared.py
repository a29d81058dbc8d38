"""Declared length of a recording, if its header can be trusted.

FFmpeg gives a duration for every file, but often an estimate from the present data, which hides a
truncation. Only durations that were written when the recording was made are used here.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

from avaffect.data.decoding.headers import is_placeholder, read_header

# Containers with a duration in a header or an index.
TRUSTED = {"flac", "mov", "tta", "wv", "ape", "aiff", "caf", "au"}
# FFmpeg limits their duration to the file, or gives none, or the placeholder.
COUNTED_AHEAD = {"wav", "w64", "aiff", "au", "caf"}
MP3_TAGS = (b"Xing", b"Info", b"VBRI")
# An ID3 tag with a picture may precede the first frame, which contains the duration.
MP3_HEAD_BYTES = 4096
# The duration of a Flash video is that of the file: a track may end slightly earlier.
FLV_SLACK_S = 0.5
# Types of its tags (audio, video, data), and the bytes of a tag's header.
FLV_TAGS = (8, 9, 18)
FLV_TAG_BYTES = 11
AVI_HEAD_BYTES = 1 << 16


def declared_end(path: Path, container: Any, stream: Any, zero_s: float) -> float | None:
    """Declared end of a track, in seconds after `zero_s`; None without a trustworthy declaration.

    container, stream: open, of PyAV.
    """
    formats = set(container.format.name.split(","))
    if "matroska" in formats:
        end = _clock_seconds(stream.metadata.get("DURATION"))
        return None if end is None else end - zero_s
    if formats & COUNTED_AHEAD:
        header = read_header(path)
        if header is None or not header.is_counted or header.byte_rate:
            return None if header is None else header.seconds
    if "avi" in formats:
        return _avi_seconds(path, stream.index)
    if is_whole(path, container):
        return None
    if "flv" in formats and container.duration:
        return container.duration / 1e6 - FLV_SLACK_S
    if ("mp3" in formats and _counted_bytes(path)) or formats & TRUSTED:
        if not stream.duration:
            return None
        start = float((stream.start_time or 0) * stream.time_base)
        return max(start - zero_s, 0.0) + float(stream.duration * stream.time_base)
    return None


def is_whole(path: Path, container: Any) -> bool:
    """Whether a file is complete although a track ends earlier, or undecodable data follow its end.

    True for an mp3 with at least the bytes that its first frame declares (tags, padding or another
    mp3 may follow, and FFmpeg estimates the duration), and for a Flash video that has its declared
    duration.
    """
    formats = set(container.format.name.split(","))
    if "mp3" in formats:
        counted = _counted_bytes(path)
        return counted is not None and counted <= path.stat().st_size
    if "flv" in formats and container.duration:
        return _last_flash_s(path) >= container.duration / 1e6 - FLV_SLACK_S
    return False


def _avi_seconds(path: Path, index: int) -> float | None:
    """Duration in the header of an AVI track; FFmpeg limits it to the present data."""
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
    """`00:00:04.046000000`, the end of a Matroska track, in seconds."""
    try:
        hours, minutes, seconds = (text or "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _last_flash_s(path: Path) -> float:
    """The time stamp of the last tag of a Flash video, in seconds; -1.0 if the tag is
    incomplete."""
    with path.open("rb") as stream:
        stream.seek(-min(4, path.stat().st_size), os.SEEK_END)
        size = int.from_bytes(stream.read(4), "big")
        start = stream.tell() - 4 - size
        if size < FLV_TAG_BYTES or start < 0:
            return -1.0
        stream.seek(start)
        kind, *length_and_stamp = struct.unpack(">B3s3sB", stream.read(8))
    length, stamp, high = length_and_stamp
    if kind not in FLV_TAGS or int.from_bytes(length, "big") + FLV_TAG_BYTES != size:
        return -1.0
    return (high << 24 | int.from_bytes(stamp, "big")) / 1000


def _counted_bytes(path: Path) -> float | None:
    """Bytes of an mp3 by its first frame, with those before it; infinite if the frame declares only
    a number of frames, None if it declares nothing and the duration is an estimate."""
    with path.open("rb") as stream:
        _skip_id3(stream)
        start = stream.tell()
        head = stream.read(MP3_HEAD_BYTES)
    for tag in MP3_TAGS:
        at = head.find(tag)
        if at < 0:
            continue
        fields = head[at + 4 : at + 16].ljust(12, b"\0")
        if tag == b"VBRI":
            # Version, delay and quality come first.
            counted = int.from_bytes(fields[6:10], "big")
        else:
            flags, *counts = struct.unpack(">3I", fields)
            counted = counts[flags & 1] if flags & 2 else 0
        return start + counted if counted else math.inf
    return None


def _skip_id3(stream: BinaryIO) -> None:
    head = stream.read(10)
    if head[:3] != b"ID3":
        stream.seek(0)
        return
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    stream.seek(10 + size)
