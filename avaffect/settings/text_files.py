"""The encoding of texts of other programs."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from avaffect.core.errors import UsageError
from avaffect.core.near import meant
from avaffect.settings.base import Common, option

# What spreadsheets and old programs write; Python knows a hundred more.
USUAL = (
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "latin-1", "iso8859-2", "iso8859-15",
    "mac-roman", "koi8-r", "shift-jis", "euc-jp", "euc-kr", "gb18030", "big5", "utf-16-le",
    "utf-16-be",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TextFiles(Common):
    """Commands that read texts of other programs. Raises UsageError for what is no encoding."""

    encoding: str | None = option(
        None, "Encoding of tables and other texts that are neither UTF-8 nor have a byte order "
        "mark: cp1252 (Windows, Western Europe), cp1251 (Cyrillic), gb18030 (Chinese) or any of "
        "Python's.", "--encoding", metavar="NAME", added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoding is None:
            return
        try:
            # Python has codecs of bytes too, such as base64; text is decoded here by others alone.
            "".encode(self.encoding)
            b"".decode(self.encoding)
            codecs.lookup(self.encoding)
        except (LookupError, ValueError) as error:
            raise UsageError(
                f"--encoding {self.encoding}: no encoding of text; usual ones are "
                f"{', '.join(USUAL)}{meant(self.encoding, USUAL)}"
            ) from error
