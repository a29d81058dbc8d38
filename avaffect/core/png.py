"""Provenance as text in a PNG picture.

Chunks of the PNG specification (ISO/IEC 15948, 5.3 and 11.3.3.4): length, name, data, CRC-32.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from avaffect.core.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The key of a picture's provenance.
MADE = "avaffect"
_TEXT, _END = b"iTXt", b"IEND"
# No compression, no language, no translated keyword.
_UNCOMPRESSED = b"\0\0\0\0\0"


def with_text(picture: bytes, key: str, text: str) -> bytes:
    """An encoded picture with `text` under `key` (Latin letters) before its end."""
    data = key.encode("latin-1") + _UNCOMPRESSED + text.encode("utf-8")
    body = _TEXT + data
    chunk = len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    at = picture.rindex(_END) - 4
    return picture[:at] + chunk + picture[at:]


def read_text(path: Path, key: str) -> str | None:
    """The text under `key`; None if the file is not PNG, or has none.

    Raises DataError if a PNG is truncated, or a chunk differs from its CRC.
    """
    content = path.read_bytes()
    if not content.startswith(SIGNATURE):
        return None
    found = None
    for name, data in _chunks(content, path):
        start = key.encode("latin-1") + _UNCOMPRESSED
        if name == _TEXT and data.startswith(start):
            found = data[len(start) :].decode("utf-8")
    return found


def _chunks(content: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    at, name = len(SIGNATURE), b""
    while name != _END:
        length = int.from_bytes(content[at : at + 4], "big")
        body = content[at + 4 : at + 8 + length]
        stated = content[at + 8 + length : at + 12 + length]
        if len(stated) < 4 or zlib.crc32(body) != int.from_bytes(stated, "big"):
            raise DataError(f"{path} is damaged: a part of the picture is missing or was changed")
        name, at = body[:4], at + 12 + length
        yield name, body[4:]
