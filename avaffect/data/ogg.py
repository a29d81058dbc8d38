"""Whether an Ogg file was cut.

Ogg counts nothing in advance. The mark of a last page (RFC 3533) does not tell: Android and others
never write it, and a last page that is cut still bears it. But each page holds its length (a table
of segments) and a checksum: is the last page whole? Where it is, marked or not, the file is taken
for whole; a cut that falls between two pages cannot be seen.
"""

from __future__ import annotations

import zlib
from pathlib import Path

MAGIC = b"OggS"
HEAD_BYTES = 27
LARGEST_PAGE = HEAD_BYTES + 255 + 255 * 255
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
    return _checksum(page[:22] + bytes(4) + page[26:size]) != int.from_bytes(page[22:26], "little")


def _checksum(page: bytes) -> int:
    """Ogg's CRC (polynomial 04C11DB7, highest bit first, from 0) by zlib's, which takes the lowest
    bit first and inverts before and after."""
    mirrored = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
