"""Archives of strangers: a few bytes may unpack to any number."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipInfo

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of

# What unpacks to more than this is packed by less than MOST_PACKED, unless it is made of zeros.
LARGE_BYTES = 1 << 28
MOST_PACKED = 200


def check_unpacked(path: Path, entry: ZipInfo) -> None:
    """Raises DataError for a part of the zip file at `path` that would unpack to far more than
    weights or features do."""
    if entry.file_size > max(LARGE_BYTES, MOST_PACKED * entry.compress_size):
        raise DataError(
            f"{path}: {entry.filename} claims {entry.file_size >> 20} MiB in "
            f"{count_of(entry.compress_size, 'byte')}; save it again without compression"
        )
