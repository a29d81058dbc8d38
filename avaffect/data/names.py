"""Ids of recordings from their paths: as short as tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from avaffect.core.errors import DataError
from avaffect.data.tables.texts import nfc


def ids_of(names: Sequence[PurePath]) -> list[str]:
    """The stem of each relative path; where several have it, the path without suffix; then the
    path, also of a file whose shorter id is the path of another.

    Raises DataError for two paths that are one text in Unicode's NFC.
    """
    forms = [[nfc(n.stem), nfc(n.with_suffix("").as_posix()), nfc(n.as_posix())] for n in names]
    level = [0] * len(names)
    while True:
        found = [form[at] for form, at in zip(forms, level, strict=True)]
        counts = Counter(found)
        longer = [min(at + (counts[own] > 1), 2) for own, at in zip(found, level, strict=True)]
        if longer == level:
            break
        level = longer
    _check_distinct(found, names)
    return found


def _check_distinct(ids: Sequence[str], names: Sequence[PurePath]) -> None:
    known: dict[str, PurePath] = {}
    for identifier, name in zip(ids, names, strict=True):
        if known.setdefault(identifier, name) is not name:
            raise DataError(
                f"{str(known[identifier])!a} and {str(name)!a} are one name, in two ways "
                "to write its accents (Unicode NFC and NFD): rename one of them"
            )
