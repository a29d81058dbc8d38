"""Detection of truncated Ogg files.

Ogg counts nothing in advance. The mark of a last page (RFC 3533) does not tell: Android and others
never write it, and a last page that is cut still bears it. But each page holds its length (a table
of segments) and a checksum: is the last page whole? Where it is, marked or not, the file is taken
for whole; a cut that falls between two pages cannot be seen.

Pages whose checksum is wrong FFmpeg passes over in silence, with the second or so that each holds.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path

MAGIC = b"OggS"
HEAD_BYTES = 27
LARGEST_PAGE = HEAD_BYTES + 255 + 255 * 255
READ_BYTES = 1 << 20
# A segment of this length is continued: by the next one, or on the next page.
CONTINUED = b"\xff"
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ends_within_page(path: Path) -> bool:
    """Whether an Ogg file breaks off within a page, or within a packet that goes on over pages.

    Whatever else follows the last page, such as tags, is let pass.
    """
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - LARGEST_PAGE, 0))
        tail = stream.read()
    start = tail.rfind(MAGIC)
    if start < 0:
        return True
    page = tail[start:]
    if len(page) < HEAD_BYTES:
        return True
    segments = page[HEAD_BYTES - 1]
    table = page[HEAD_BYTES : HEAD_BYTES + segments]
    size = HEAD_BYTES + segments + sum(table)
    if len(table) < segments or len(page) < size or table.endswith(CONTINUED):
        return True
    rest = page[size:]
    if rest and MAGIC.startswith(rest):
        return True
    return not _has_checksum(page[:size])


@lru_cache(maxsize=64)
def broken_pages(path: Path, changed: int) -> tuple[int, int]:
    """How many pages of an Ogg file do not have their checksum, and how many it has.

    changed: when the file was, so that another one under its name is read anew.
    """
    broken = count = at = 0
    data = b""
    with path.open("rb") as stream:
        while True:
            if len(data) - at < LARGEST_PAGE and (more := stream.read(READ_BYTES)):
                data, at = data[at:] + more, 0
            start = data.find(MAGIC, at)
            if start < 0:
                if len(data) - at < LARGEST_PAGE:
                    return broken, count
                # The name may go on in what is read next.
                at = len(data) - len(MAGIC) + 1
                continue
            page = _page(data[start : start + LARGEST_PAGE])
            if not page and len(data) - start < LARGEST_PAGE and start > at:
                at = start
                continue
            is_broken = bool(page) and not _has_checksum(page)
            broken += is_broken
            count += bool(page)
            # The length of a broken page may be wrong too.
            at = start + (len(page) if page and not is_broken else len(MAGIC))


def _page(data: bytes) -> bytes:
    """The page that some bytes begin with, empty where it is not whole."""
    segments = data[HEAD_BYTES - 1] if len(data) >= HEAD_BYTES else 0
    table = data[HEAD_BYTES : HEAD_BYTES + segments]
    size = HEAD_BYTES + segments + sum(table)
    return data[:size] if len(table) == segments and len(data) >= size else b""


def _has_checksum(page: bytes) -> bool:
    return _checksum(page[:22] + bytes(4) + page[26:]) == int.from_bytes(page[22:26], "little")


def _checksum(page: bytes) -> int:
    """Ogg's CRC (polynomial 04C11DB7, highest bit first, from 0) by zlib's, which takes the lowest
    bit first and inverts before and after."""
    mirrored = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
