"""Reader of other programs' text files: their encoding, and what to type where it is unknown."""

from __future__ import annotations

import codecs
import io
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from avaffect.core import filekind, inputs, unchanged
from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.inputs import STANDARD_INPUT, named

# UTF-32 before UTF-16, as its mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_NO_TEXT = {
    b"PK\x03\x04": "a spreadsheet or a zip file; save its table as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet; save its table as CSV",
    b"\x1f\x8b": "compressed; unpack it with gunzip",
    b"PAR1": "a Parquet file; save its table as CSV",
}
# The stream that was read last, and what it held: it can be read once.
_piped: tuple[Any, bytes] = (None, b"")
# Bytes at the beginning of a file, enough for its column names.
_LOOKED_AT = 200
# Of a file that is read line by line.
_BEGINNING = 1 << 16


def content_of(path: Path) -> bytes:
    """The bytes of a file, or of standard input (`-`), however often it is asked for."""
    global _piped
    if path != STANDARD_INPUT:
        # Provenance takes the content id of tables after they are read.
        file_content_id(path)
        content = path.read_bytes()
        unchanged.check(path)
        return content
    if _piped[0] is not sys.stdin:
        _piped = (sys.stdin, sys.stdin.buffer.read() if sys.stdin else b"")
    return _piped[1]


def read_text(path: Path) -> str:
    """The text of a file, or of standard input (`-`), in UTF-8, in UTF-16 or UTF-32 with a byte
    order mark, in the encoding that the command was told (`inputs.encoding`), or in UTF-16 with
    Latin letters. Normalised to NFC, so that names that look the same are equal.

    Raises DataError for other files, with the line, and with what to type.
    """
    if path.exists() and not path.is_file():
        # A device may never end.
        raise DataError(
            f"{named(path)} is {filekind.kind_of(path)}; expected a table or another text"
        )
    data = content_of(path)
    encoding, begins = _checked_encoding(path, data, lambda: [data])
    try:
        # Concatenated files contain further marks.
        return nfc(data[begins:].decode(encoding).replace("\ufeff", ""))
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            advice = _advice(data, begins + error.start)
            raise DataError(f"{named(path)} is not UTF-8 text: {advice}") from error
        where = f"{error.reason} at byte {begins + error.start}"
        raise _damaged(path, encoding, where) from error


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a file that may be too large for memory, each with its end. The encoding is
    found as in `read_text`, with the same errors; the text is not normalised."""

    def pieces() -> Iterator[bytes]:
        with path.open("rb") as whole:
            while piece := whole.read(_BEGINNING):
                yield piece

    with path.open("rb") as stream:
        encoding, begins = _checked_encoding(path, stream.read(_BEGINNING), pieces)
        stream.seek(begins)
        with io.TextIOWrapper(stream, encoding=encoding, newline=None) as text:
            try:
                yield from text
                unchanged.check(path)
            except UnicodeDecodeError as error:
                if encoding != "utf-8":
                    raise _damaged(path, encoding, error.reason) from error
                raise _not_utf8(path) from error


def _checked_encoding(
    path: Path, data: bytes, pieces: Callable[[], Iterable[bytes]]
) -> tuple[str, int]:
    """The encoding of a file that begins with `data`, and the offset of the text. pieces: gives the
    whole file.

    Raises DataError where it is no text.
    """
    for mark, kind in _NO_TEXT.items():
        if data.startswith(mark):
            raise DataError(f"{named(path)} is {kind}")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    given = inputs.encoding()
    if given:
        # Files beside each other differ: what is UTF-8 beyond ASCII is nothing else.
        return ("utf-8" if _holds_ascii(given) and _is_utf8(pieces()) else given), 0
    encoding = _utf16(data) or "utf-8"
    if encoding == "utf-8" and b"\0" in data:
        kind = filekind.kind_of_bytes(data[: filekind.START_BYTES])
        if kind != filekind.UNKNOWN:
            raise DataError(f"{named(path)} is {kind}; expected a table or another text")
        mend = (
            "`iconv -f UTF-16LE -t UTF-8 FILE > NEW` (or UTF-16BE) converts"
            if given is None
            else "--encoding utf-16-le (or utf-16-be) reads"
        )
        raise DataError(
            f"{named(path)} contains zero bytes: it is not a text, or UTF-16 without a byte order "
            f"mark, which {mend}"
        )
    return encoding, 0


def _holds_ascii(encoding: str) -> bool:
    """Whether ASCII is a byte a character in an encoding, and others have bytes beyond it."""
    try:
        return "a1,".encode(encoding) == b"a1," and not "é".encode(encoding, "ignore").isascii()
    except UnicodeError:
        return False


def _is_utf8(pieces: Iterable[bytes]) -> bool:
    """Whether a file is UTF-8, and not ASCII alone."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    ascii_alone = True
    try:
        for piece in pieces:
            ascii_alone = ascii_alone and piece.isascii()
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return not ascii_alone


def _not_utf8(path: Path) -> DataError:
    """The error for a file that is too large for memory: it is read again, up to the line."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                advice = _advice(line, error.start, number)
                return DataError(f"{named(path)} is not UTF-8 text: {advice}")
    return DataError(f"{named(path)} is not UTF-8 text")


def _damaged(path: Path, encoding: str, why: str) -> DataError:
    words = f"is truncated or damaged {encoding.upper()} text ({why})"
    if inputs.encoding() == encoding:
        words += "; if it was saved in another encoding, name that with --encoding"
    return DataError(f"{named(path)} {words}")


def nfc(text: str) -> str:
    """The text in Unicode's NFC: a letter and its accent are one character."""
    return unicodedata.normalize("NFC", text)


def _utf16(data: bytes) -> str | None:
    """UTF-16 without a byte order mark, by its first bytes."""
    even, odd = data[:_LOOKED_AT:2], data[1:_LOOKED_AT:2]
    # Every second byte of Latin text is 0, and no text has a 0 in both halves of a character.
    if odd and not even.count(0) and odd.count(0) > len(odd) // 2:
        return "utf-16-le"
    if odd and not odd.count(0) and even.count(0) > len(even) // 2:
        return "utf-16-be"
    return None


def _advice(data: bytes, place: int, line: int | None = None) -> str:
    """The word at `place` read as Windows-1252, and what to type. line: the number of the line that
    `data` is; None: `data` is the file."""
    begins = max(data.rfind(mark, 0, place) for mark in (b"\n", b",", b";", b"\t", b" ", b"|")) + 1
    word = re.split(rb"[\s,;|]", data[begins : place + 40], maxsplit=1)[0]
    line = line or data.count(b"\n", 0, place) + 1
    seen = f"line {line} has {word.decode('cp1252', 'replace')!r} if it is Windows-1252"
    if inputs.encoding() is None:
        return (
            f"{seen}; if this spelling is right, convert it by `iconv -f CP1252 -t UTF-8 FILE > "
            "NEW`, otherwise by iconv with the encoding in which it was saved"
        )
    return (
        f"{seen}; if this spelling is right, add --encoding cp1252, otherwise --encoding with the "
        "one in which it was saved"
    )
