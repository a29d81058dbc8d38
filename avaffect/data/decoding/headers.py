"""Headers that declare the size of audio data: RIFF and RF64, W64, AIFF, AU and CAF.

A writer that cannot seek back (a pipe, a killed process) leaves the placeholder that it wrote
first: 0, the largest possible size, or another round number. Programs use different numbers;
therefore a size is a placeholder if it lies within ROUND_BYTES of a multiple of 16 MiB or of 100
million (one in 900 real sizes from 16 MiB on does), or if it is a GiB or more of which less than a
hundredth is present. The length of such a recording is that of the file; any other recording that
is shorter than its header declares is truncated.

FFmpeg refuses some of these placeholders; `readable` replaces them by the actual size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, cast

# A placeholder is a multiple of these, plus or minus the size of the header.
ROUND_NUMBERS = (1 << 24, 100_000_000)
ROUND_BYTES = 1 << 13
# At least this share of a large declared size is present, unless the size is a placeholder.
LARGE_BYTES = 1 << 30
LEAST_SHARE = 0.01
# The first 16 bytes of a W64, and the ends of its chunks' names.
W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
# Formats of WAVE: PCM, floats and companded, with bytes a sample; and ADPCM, whose blocks declare
# their number of samples. For these the header's bytes a second are often wrong.
PCM_FORMATS = (1, 3, 6, 7)
BLOCK_FORMATS = (0x02, 0x11, 0x31)
EXTENSIBLE = 0xFFFE
FORMAT_BYTES = 40
# Bytes a sample of the encodings of AU.
AU_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}


def is_placeholder(size: int, there: int | None) -> bool:
    """Whether a declared size is a placeholder; see the head of this file.

    size: in bytes or samples; there: the most that the file can contain, None if unknown.
    """
    if not size:
        return there != 0
    if there is not None and size <= there:
        return False
    near = (min(size % number, -size % number) for number in ROUND_NUMBERS)
    if size >= min(ROUND_NUMBERS) - ROUND_BYTES and min(near) <= ROUND_BYTES:
        return True
    return there is not None and size >= LARGE_BYTES and there < LEAST_SHARE * size


@dataclass(frozen=True)
class Header:
    """size: declared bytes of audio; there: bytes that follow in the file; byte_rate: bytes a
    second, 0 if unknown; patches: offset -> bytes to read instead of a placeholder that FFmpeg may
    refuse."""

    size: int
    there: int
    byte_rate: float = 0.0
    patches: dict[int, bytes] = field(default_factory=dict)

    @property
    def is_counted(self) -> bool:
        return not is_placeholder(self.size, self.there)

    @property
    def seconds(self) -> float | None:
        """Duration of the audio; None if unknown."""
        return self.size / self.byte_rate if self.byte_rate and self.is_counted else None


def read_header(path: Path) -> Header | None:
    """The header of a file; None without a complete one."""
    with path.open("rb") as stream:
        start = stream.read(16)
        try:
            if start[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX") and start[8:12] == b"WAVE":
                return _riff(stream, path, "big" if start[:4] == b"RIFX" else "little")
            if start == W64:
                return _w64(stream, path)
            if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
                return _aiff(stream, path)
            if start[:4] == b".snd":
                return _au(stream, path)
            if start[:4] == b"caff":
                return _caf(stream, path)
        except struct.error:
            # The file ends within its header.
            return None
    return None


def readable(path: Path) -> str | BinaryIO:
    """An input that FFmpeg accepts: the path, or a file object with the actual size in its header.

    The caller closes the file object.
    """
    header = read_header(path)
    if header is None or header.is_counted or not header.patches:
        return str(path.absolute())
    return cast(BinaryIO, _Patched(path, header.patches))


class _Patched:
    """A file with replaced bytes at some offsets."""

    def __init__(self, path: Path, patches: dict[int, bytes]) -> None:
        self.name = str(path)
        self._file, self._patches = path.open("rb"), patches

    def read(self, size: int = -1) -> bytes:
        start = self._file.tell()
        data = self._file.read(size)
        for at, patch in self._patches.items():
            first, last = max(at - start, 0), min(at + len(patch) - start, len(data))
            if first < last:
                put = patch[first + start - at : last + start - at]
                data = data[:first] + put + data[last:]
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def _chunks(
    stream: BinaryIO,
    at: int,
    name: int,
    size: int,
    order: Literal["little", "big"],
    inclusive: bool,
    align: int,
) -> Iterator[tuple[bytes, int, int]]:
    """Name, bytes and offset of each chunk. name, size: lengths of these fields; inclusive: whether
    the size includes them; align: alignment of chunks."""
    end = stream.seek(0, os.SEEK_END)
    while at < end:
        stream.seek(at)
        head = stream.read(name + size)
        if len(head) < name + size:
            return
        length = int.from_bytes(head[name:], order) - inclusive * len(head)
        at += len(head)
        yield head[:name], length, at
        at += max(length, 0) + -length % align


def _after(path: Path, at: int) -> int:
    return max(path.stat().st_size - at, 0)


def _only(chunks: Iterator[tuple[bytes, int, int]], path: Path) -> bool:
    """Whether only chunks follow up to the end of the file: a file without audio, rather than audio
    whose size was not filled in."""
    end = 0
    for name, size, at in chunks:
        if not (name[:4].isascii() and name[:4].decode().isprintable()):
            return False
        end = at + size
    return end > 0 and abs(path.stat().st_size - end) <= 8


def _byte_rate(format_: bytes, order: str, is_short: bool) -> float:
    """Bytes of audio a second, by the format chunk of a WAVE; 0 if unknown.

    is_short: whether bytes are missing; only then the header's mean is used.
    """
    mark = ">" if order == "big" else "<"
    kind, channels, rate, mean, block, bits = struct.unpack_from(mark + "HHIIHH", format_)
    if kind == EXTENSIBLE and len(format_) >= 26:
        (kind,) = struct.unpack_from(mark + "H", format_, 24)
    if kind in PCM_FORMATS and channels and rate and bits:
        return channels * rate * -(-bits // 8)
    if kind in BLOCK_FORMATS and len(format_) >= 20:
        (samples,) = struct.unpack_from(mark + "H", format_, 18)
        if samples and block and rate:
            return rate * block / samples
    return mean if is_short else 0


def _riff(stream: BinaryIO, path: Path, order: Literal["little", "big"]) -> Header | None:
    """RF64 has a size of 64 bits in a chunk of its own."""
    format_, long_size, patches = b"", 0, {}
    chunks = _chunks(stream, 12, 4, 4, order, False, 2)
    for name, size, at in chunks:
        if name == b"ds64":
            (long_size,) = struct.unpack("<8xQ", stream.read(16))
            patches = {at + 8: struct.pack("<Q", _after(path, at))}
        elif name == b"fmt ":
            format_ = stream.read(min(size, FORMAT_BYTES))
        elif name == b"data":
            size = long_size if size == 0xFFFFFFFF else size
            there = _after(path, at) if size or not _only(chunks, path) else 0
            patches = {at: struct.pack("<Q", there) for at in patches}
            return Header(size, there, _byte_rate(format_, order, there < size), patches)
    return None


def _w64(stream: BinaryIO, path: Path) -> Header | None:
    format_ = b""
    chunks = _chunks(stream, 40, 16, 8, "little", True, 8)
    for name, size, at in chunks:
        if name == b"fmt " + W64_TAIL:
            format_ = stream.read(min(max(size, 0), FORMAT_BYTES))
        elif name == b"data" + W64_TAIL:
            size = max(size, 0)
            there = _after(path, at) if size or not _only(chunks, path) else 0
            byte_rate = _byte_rate(format_, "little", there < size)
            return Header(size, there, byte_rate, {at - 8: struct.pack("<Q", there + 24)})
    return None


def _aiff(stream: BinaryIO, path: Path) -> Header | None:
    frames_at = width = 0
    chunks = _chunks(stream, 12, 4, 4, "big", False, 2)
    for name, size, at in chunks:
        if name == b"COMM":
            channels, bits = struct.unpack(">H4xH", stream.read(8))
            frames_at, width = at + 2, channels * -(-bits // 8)
        elif name == b"SSND":
            there = _after(path, at + 8) if size != 8 or not _only(chunks, path) else 0
            sizes = {4: there + at, at - 4: there + 8}
            if width:
                sizes[frames_at] = there // width
            patches = {at: struct.pack(">I", min(n, 0xFFFFFFFF)) for at, n in sizes.items()}
            return Header(max(size - 8, 0), there, patches=patches)
    return None


def _au(stream: BinaryIO, path: Path) -> Header:
    stream.seek(4)
    start, size, encoding, rate, channels = struct.unpack(">5I", stream.read(20))
    byte_rate = AU_WIDTHS.get(encoding, 0) * rate * channels
    return Header(size, _after(path, start), byte_rate, {8: b"\xff" * 4})


def _caf(stream: BinaryIO, path: Path) -> Header | None:
    byte_rate = 0.0
    for name, size, at in _chunks(stream, 8, 4, 8, "big", False, 1):
        if name == b"desc":
            rate, packet_bytes, packet_frames = struct.unpack(">d8xII", stream.read(24))
            byte_rate = rate * packet_bytes / packet_frames if packet_frames else 0.0
        elif name == b"data":
            patches = {at - 8: b"\xff" * 8}
            return Header(max(size - 4, 0), _after(path, at + 4), byte_rate, patches)
    return None
