"""Ids of recordings from their paths: as short as tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath

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


def files_by_name(
    folder: Path, files: Iterable[Path], name_of: Callable[[Path], str], advice: str
) -> dict[str, Path]:
    """Name -> file below the folder, in the order of names; where several have one name, with their
    folders: s1/take, s2/take, as `ids_of` names their recordings.

    name_of: of a file without its folder. Raises DataError, with the advice, for two of one name in
    one folder.
    """
    paths = sorted(files)
    counts = Counter(map(name_of, paths))
    found: dict[str, Path] = {}
    for path in paths:
        name = name_of(path)
        if counts[name] > 1:
            name = (nfc(path.parent.relative_to(folder).as_posix()) + "/" + name).removeprefix("./")
        if name in found:
            raise DataError(f"{found[name]} and {path} have one name; {advice}")
        found[name] = path
    return dict(sorted(found.items()))


def _check_distinct(ids: Sequence[str], names: Sequence[PurePath]) -> None:
    known: dict[str, PurePath] = {}
    for identifier, name in zip(ids, names, strict=True):
        if known.setdefault(identifier, name) is not name:
            raise DataError(
                f"{str(known[identifier])!a} and {str(name)!a} are one name, in two ways "
                "to write its accents (Unicode NFC and NFD): rename one of them"
            )
