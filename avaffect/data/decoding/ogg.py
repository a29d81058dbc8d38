"""Detection of truncated Ogg files.

Ogg declares no length. The mark of the last page (RFC 3533) does not help: Android and others do
not write it, and a truncated last page still has it. But each page has its length (a table of
segments) and a checksum: if the last page is complete, the file is taken as complete. A truncation
between two pages is not detected.

FFmpeg silently skips pages with a wrong checksum, about a second of audio each.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path

MAGIC = b"OggS"
HEAD_BYTES = 27
LARGEST_PAGE = HEAD_BYTES + 255 + 255 * 255
READ_BYTES = 1 << 20
# A segment of this length is continued by the next one, possibly on the next page.
CONTINUED = b"\xff"
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ends_within_page(path: Path) -> bool:
    """Whether an Ogg file ends within a page, or within a packet that spans pages.

    Other data after the last page, such as tags, are ignored.
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
    """Number of pages of an Ogg file with a wrong checksum, and number of all pages.

    changed: time of the file's last change, so that a replaced file is read again.
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
                # The name may continue in the next block.
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
    """The page at the start of some bytes; empty if it is incomplete."""
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
