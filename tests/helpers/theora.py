"""A writer of Theora in Ogg, of flat grey pictures alone, some of which are the one before again.

PyAV has no encoder for it. Theora I Specification (Xiph.Org, 2017), sections 6, 7; Ogg: RFC 3533.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

SIDE = 32
SHIFT = 10
# 16 blocks of luma and twice 4 of colour.
BLOCKS = 24
# Tokens of coefficients: the end of one block, of many blocks, and a large value.
END, ENDS, LARGE = 0, 6, 22


class Bits:
    """Bits in a row, the highest of a value first."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, *fields: tuple[int, int]) -> Bits:
        """fields: value and number of bits."""
        self.text += "".join(f"{value:0{count}b}" for value, count in fields if count)
        return self

    def bytes(self) -> bytes:
        padded = self.text + "0" * (-len(self.text) % 8)
        return int(padded, 2).to_bytes(len(padded) // 8, "big")


def write_theora(path: Path, levels: Sequence[int | None], fps: int = 25) -> Path:
    """A film of flat pictures (16 to 235); None: the one before again, in a packet of no bytes."""
    packets = [(_identification(fps), 0), (_comment(), 0), (_setup(), 0)]
    key = 0
    for number, level in enumerate(levels, 1):
        key = key if level is None else number
        data = b"" if level is None else _picture(level)
        packets.append((data, key << SHIFT | number - key))
    path.write_bytes(b"".join(_pages(packets)))
    return path


def _identification(fps: int) -> bytes:
    blocks = SIDE // 16
    fields = Bits().add((3, 8), (2, 8), (1, 8), (blocks, 16), (blocks, 16), (SIDE, 24), (SIDE, 24),
                        (0, 8), (0, 8), (fps, 32), (1, 32), (1, 24), (1, 24), (0, 8), (0, 24),
                        (0, 6), (SHIFT, 5), (0, 2), (0, 3))  # fmt: skip
    return b"\x80theora" + fields.bytes()


def _comment() -> bytes:
    return b"\x81theora" + struct.pack("<II", 0, 0)


def _setup() -> bytes:
    bits = Bits().add((0, 3))
    # Scales of 40 and matrices of 10: 40 * 10 / 100 * 4 = 16 is the step of every coefficient.
    for _ in range(2):
        bits.add((7, 4)).add(*[(40, 8)] * 64)
    bits.add((1, 9)).add(*[(10, 8)] * 128)
    # One range of qualities, from matrix 0 to matrix 1; all others are as that.
    bits.add((0, 1), (62, 6), (1, 1)).add((0, 1), (0, 1)).add(*[(0, 1), (1, 1)] * 3)
    for _ in range(80):
        # A tree of four leaves, two bits each.
        bits.add((0, 1), (0, 1), (1, 1), (END, 5), (1, 1), (ENDS, 5))
        bits.add((0, 1), (1, 1), (LARGE, 5), (1, 1), (LARGE, 5))
    return b"\x82theora" + bits.bytes()


def _picture(level: int) -> bytes:
    """A key frame: the mean of the first block; the others are predicted from it."""
    value = 2 * (level - 128)
    size = abs(value) - 69
    if size < 0:
        raise ValueError(f"level {level} is too near to 128")
    bits = Bits().add((0, 1), (0, 1), (0, 6), (0, 1), (0, 3))
    bits.add((0, 4), (0, 4), (2, 2), (int(value < 0), 1), (size, 9))
    bits.add((1, 2), (BLOCKS - 1, 12)).add((0, 4), (0, 4), (0, 2))
    return bits.bytes()


def _pages(packets: Iterable[tuple[bytes, int]]) -> Iterable[bytes]:
    """A page for each packet; the last one is marked."""
    packets = list(packets)
    for number, (data, granule) in enumerate(packets):
        lacing = bytes([255] * (len(data) // 255) + [len(data) % 255])
        flags = (2 if number == 0 else 0) | (4 if number == len(packets) - 1 else 0)
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 1, number, 0, len(lacing))
        page = head + lacing + data
        yield page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value
