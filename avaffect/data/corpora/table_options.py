"""Parsing of the options of `manifest table`."""

from __future__ import annotations

from collections.abc import Iterable

from avaffect.core.errors import DataError, UsageError
from avaffect.data.tables.texts import nfc
from avaffect.settings.manifest import ManifestSettings

# What takes a table of utterances whose recordings are elsewhere, such as for features of theirs.
LABELS_ALONE = "--no-check-media"


def check(settings: ManifestSettings) -> None:
    """Raises UsageError where an option requires another, DataError where a folder is not there."""
    if settings.media_column is None:
        raise UsageError(
            "a table needs --media COLUMN: the column of the recordings' paths, or for labels "
            f"alone that of the ids with {LABELS_ALONE}"
        )
    if settings.end is not None and settings.start is None:
        raise UsageError("--end needs --start")
    if settings.root is not None and not settings.root.is_dir():
        raise DataError(f"{settings.root}: no such folder")


def pair(text: str, flag: str, may_be_empty: bool = False) -> tuple[str, str]:
    """NAME=COLUMN, or a single name for both. UsageError where one of them is empty."""
    name, equals, column = (nfc(part).strip() for part in text.partition("="))
    column = column if equals else name
    if not name or not (column or may_be_empty):
        raise UsageError(f"{flag} {text}: expected two names with = between")
    return name, column


def pairs(texts: Iterable[str], flag: str) -> dict[str, str]:
    """Name -> column. UsageError where a name is given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, column = pair(text, flag)
        if name in found:
            raise UsageError(f"{flag} {name} is given twice")
        found[name] = column
    return found


def mapping_of(texts: Iterable[str]) -> dict[str, str]:
    """FROM -> TO of --map; maps by name are `label_maps`'. UsageError where FROM is empty."""
    return dict(pair(text, "--map", may_be_empty=True) for text in texts if "=" in text)


def columns(settings: ManifestSettings, *named: dict[str, str]) -> list[str]:
    """The columns that the options name, each once."""
    single = (
        settings.media_column, settings.video_column, settings.id_column, settings.speaker,
        settings.session, settings.split, settings.start, settings.end,
    )  # fmt: skip
    alone = [column for column in single if column is not None]
    return list(dict.fromkeys([*alone, *(c for pairs in named for c in pairs.values())]))


def refuse_two_kinds(given: dict[str, dict[str, str]]) -> None:
    """Raises UsageError where a label is given under two flags."""
    flags: dict[str, str] = {}
    for flag, names in given.items():
        for name in names:
            if name in flags:
                raise UsageError(
                    f"the label {name!r} is given as {flags[name]} and as {flag}; choose one"
                )
            flags[name] = flag
