"""How long a recording says it is: by its header, where a header can be trusted.

FFmpeg gives a duration for every file, but often one estimated from what is there, which hides that
a file was cut short. Only what was written when the recording was made is used here.

A writer that cannot go back (a pipe, a killed process) leaves the size that it wrote in advance:
the largest that it can count, or another round number. Programs differ in the number, and so the
question is whether a size can have been counted. It cannot where it lies within ROUND_BYTES of a
multiple of 16 MiB or of 100 million (a counted size of 16 MiB or more does once in 900), nor where
it is a GiB or more of which less than a hundredth is there. Such a recording is as long as it is;
any other that is shorter than its header says was cut.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

# Containers whose duration comes from a header or an index.
TRUSTED = {"flac", "mov", "aiff", "caf", "w64", "au", "tta", "wv", "ape"}
# Of these, the ones whose header counts bytes or samples ahead of them.
COUNTED_AHEAD = {"aiff", "caf", "w64", "au"}
# A placeholder is such a number, less or more what the header takes.
ROUND_NUMBERS = (1 << 24, 100_000_000)
ROUND_BYTES = 1 << 13
# Of so many bytes this share is there at least, unless they were never written.
LARGE_BYTES = 1 << 30
LEAST_SHARE = 0.01
# Their bytes can be told from their samples; A-law and mu-law have 8 bits.
PLAIN = re.compile(r"pcm_(?:[suf](\d+)|[am].*law)")
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
    if "wav" in formats:
        return _wav_seconds(path)
    if "avi" in formats:
        return _avi_seconds(path, stream.index)
    if "flv" in formats and container.duration:
        return container.duration / 1e6 - FLV_SLACK_S
    if ("mp3" in formats and _has_mp3_tag(path)) or formats & TRUSTED:
        if not stream.duration or (formats & COUNTED_AHEAD and _is_never_counted(path, stream)):
            return None
        start = float((stream.start_time or 0) * stream.time_base)
        return max(start - zero_s, 0.0) + float(stream.duration * stream.time_base)
    return None


def is_placeholder(size: int, there: int | None) -> bool:
    """Whether a declared size cannot have been counted; see the head of this file.

    size: in bytes or samples; there: how many of them the file holds at most, None where that is
    not known.
    """
    if there is not None and size <= there:
        return False
    near = (min(size % number, -size % number) for number in ROUND_NUMBERS)
    if size >= min(ROUND_NUMBERS) - ROUND_BYTES and min(near) <= ROUND_BYTES:
        return True
    return there is not None and size >= LARGE_BYTES and there < LEAST_SHARE * size


def _is_never_counted(path: Path, stream: Any) -> bool:
    """Whether a container of one sound declares a placeholder, in samples or in bytes."""
    frames = round(stream.duration * stream.time_base * stream.rate)
    plain = PLAIN.match(stream.codec_context.codec.name)
    if plain is None:
        return is_placeholder(frames, None)
    there, width = path.stat().st_size, stream.codec_context.channels * int(plain[1] or 8) // 8
    return is_placeholder(frames, there // width) or is_placeholder(frames * width, there)


def _wav_seconds(path: Path) -> float | None:
    """FFmpeg clamps a wav's duration to the file: read the RIFF chunks (RF64 included)."""
    byte_rate = long_size = 0
    with path.open("rb") as stream:
        if stream.read(12)[:4] not in (b"RIFF", b"RF64", b"BW64"):
            return None
        while len(head := stream.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                size = long_size if size == 0xFFFFFFFF else size
                there = path.stat().st_size - stream.tell()
                if not size or not byte_rate or is_placeholder(size, there):
                    return None
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
    # A writer that was killed leaves 0.
    if not (length and rate and scale) or is_placeholder(length, None):
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
