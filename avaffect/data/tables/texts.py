"""Text files of other programs: their encoding, and errors that say how to convert it."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from avaffect.core import filekind
from avaffect.core.errors import DataError

# UTF-32 before UTF-16, whose mark it begins with.
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
# Of the beginning of a file: enough for its column names.
_LOOKED_AT = 200


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, or UTF-16 or UTF-32 by its byte order mark, UTF-16 also by the
    zeros of its Latin letters. In NFC, so that names agree which look alike.

    Raises DataError where it is none of these, with how to convert it.
    """
    data = path.read_bytes()
    for mark, kind in _NO_TEXT.items():
        if data.startswith(mark):
            raise DataError(f"{path} is {kind}")
    encoding, begins = _encoding(data)
    if encoding == "utf-8" and b"\0" in data:
        kind = filekind.kind_of_bytes(data[: filekind.START_BYTES])
        if kind != filekind.UNKNOWN:
            raise DataError(f"{path} is {kind}, and a table or other text is needed")
        raise DataError(
            f"{path} holds bytes of 0, so that it is no text, or UTF-16 without a byte order mark: "
            "`iconv -f UTF-16LE -t UTF-8 FILE > NEW` (or UTF-16BE) converts that"
        )
    try:
        # Joined files hold more marks.
        return nfc(data[begins:].decode(encoding).replace("\ufeff", ""))
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(
                f"{path} is {encoding.upper()} text that is cut short or damaged ({error.reason} "
                f"at byte {begins + error.start})"
            ) from error
        advice = _advice(data, begins + error.start)
        raise DataError(f"{path} is not UTF-8 text: {advice}") from error


def nfc(text: str) -> str:
    """Text whose letters are one character with their accents (Unicode's NFC)."""
    return unicodedata.normalize("NFC", text)


def _encoding(data: bytes) -> tuple[str, int]:
    """The encoding that the first bytes tell, and where the text begins."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    even, odd = data[:_LOOKED_AT:2], data[1:_LOOKED_AT:2]
    # Every second byte of a Latin letter is 0, and no text holds both halves of a 0.
    if odd and not even.count(0) and odd.count(0) > len(odd) // 2:
        return "utf-16-le", 0
    if odd and not odd.count(0) and even.count(0) > len(even) // 2:
        return "utf-16-be", 0
    return "utf-8", 0


def _advice(data: bytes, place: int) -> str:
    """How the word at `place` reads in the encoding of western Windows, and how to convert."""
    begins = max(data.rfind(mark, 0, place) for mark in (b"\n", b",", b";", b"\t", b" ", b"|")) + 1
    word = re.split(rb"[\s,;|]", data[begins : place + 40], maxsplit=1)[0]
    line = data.count(b"\n", 0, place) + 1
    return (
        f"in line {line} it holds {word.decode('cp1252', 'replace')!r}, read as Windows-1252; if "
        "that is spelled right, `iconv -f CP1252 -t UTF-8 FILE > NEW` converts it, else iconv with "
        "the encoding that it was saved in"
    )
