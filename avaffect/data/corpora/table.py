"""Anybody's table: CSV or TSV with a row of column names, one utterance a row."""

from __future__ import annotations

import functools
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError, UsageError
from avaffect.data.corpora.common import Corpus, Media, emotion_classes
from avaffect.data.corpora.over_time import add_traces
from avaffect.data.labels import SPLITS
from avaffect.data.manifest import Item
from avaffect.data.tables import read_rows
from avaffect.data.trace_files import TraceFile, read_trace_file
from avaffect.settings.manifest import ManifestSettings

NAME = "table"
OPTIONS = (
    "media_column", "video_column", "id_column", "speaker", "session", "split", "start", "end",
    "label", "scalar", "trace", "field", "map", "prefix", "no_check_media", "root",
)  # fmt: skip
# Where no file has even times.
NOMINAL_HZ = 25.0
MISSING = ("", "na", "n/a", "nan", "null")
# Keys of an item that have options or a meaning of their own.
RESERVED = ("kind", "id", "media", "labels", "speaker", "session", "split", "start", "end")

Row = dict[str, str]
# Label -> id -> its values.
TraceFiles = dict[str, dict[str, TraceFile]]


class _Unusable(Exception):
    """Why a row cannot become an item."""


def read(settings: ManifestSettings) -> Corpus:
    """The table that `settings.source` names, read as its column options say.

    Rows without a recording or with impossible times are lost, counted and named; so are numbers
    that are none. Raises DataError where an id comes twice, a column is not there or no row is
    left, UsageError where options do not go together.
    """
    _check(settings)
    path = settings.source
    labels = _pairs(settings.label, "--label")
    scalars = _pairs(settings.scalar, "--scalar")
    traces = _pairs(settings.trace, "--trace")
    fields = _pairs(settings.field, "--field")
    _refuse_two_kinds({"--label": labels, "--scalar": scalars, "--trace": traces})
    for name in fields.keys() & set(RESERVED):
        raise UsageError(f"--field {name}: this key of an item has its own option")
    mapping = dict(_pair(text, "--map") for text in settings.map)

    corpus = Corpus(settings.prefix or path.stem, settings.root or path.parent, {}, tables=[path])
    lines: dict[str, int] = {}
    spellings: set[str] = set()
    files: TraceFiles = {name: {} for name in traces}
    # A file may hold several labels.
    read_file = functools.cache(read_trace_file)
    for line, row in read_rows(path, _columns(settings, labels, scalars, traces, fields)):
        try:
            item = _item(settings, corpus, row)
        except _Unusable as reason:
            corpus.lost[str(reason)].append(f"line {line}")
            continue
        _refuse_double(path, item["id"], line, lines)
        item["labels"] = {
            **_classes(row, labels, mapping, spellings),
            **_scalars(row, scalars, line, corpus),
        }
        item |= {name: row[column] for name, column in fields.items() if _given(row[column])}
        for name, column in traces.items():
            _find_trace(corpus, files[name], name, item, row[column], line, read_file)
        corpus.items.append(item)
    _check_found(settings, corpus, mapping, spellings, lines)
    corpus.labels = _specifications(corpus, labels, scalars)
    _add_traces(corpus, files)
    return corpus


def _check(settings: ManifestSettings) -> None:
    if settings.media_column is None:
        raise UsageError("a table needs --media COLUMN: the column of the recordings' paths")
    if settings.end is not None and settings.start is None:
        raise UsageError("--end needs --start")
    if settings.root is not None and not settings.root.is_dir():
        raise DataError(f"{settings.root}: no such folder")


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, column = (part.strip() for part in text.partition("="))
    column = column if equals else name
    if not name or not column:
        raise UsageError(f"{flag} {text}: expected two names with = between")
    return name, column


def _pairs(texts: Iterable[str], flag: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, column = _pair(text, flag)
        if name in found:
            raise UsageError(f"{flag} {name} is given twice")
        found[name] = column
    return found


def _columns(settings: ManifestSettings, *pairs: dict[str, str]) -> list[str]:
    single = (
        settings.media_column, settings.video_column, settings.id_column, settings.speaker,
        settings.session, settings.split, settings.start, settings.end,
    )  # fmt: skip
    named = [column for column in single if column is not None]
    return list(dict.fromkeys([*named, *(c for pair in pairs for c in pair.values())]))


def _item(settings: ManifestSettings, corpus: Corpus, row: Row) -> Item:
    """id, media, who and when. Raises _Unusable where the row does not say."""
    media = _media(settings, corpus.root, row)
    first = media if isinstance(media, str) else media["audio"]
    identifier = row[settings.id_column] if settings.id_column else PurePosixPath(first).stem
    if not identifier:
        raise _Unusable("no id")
    prefix = f"{settings.prefix}_" if settings.prefix else ""
    item: Item = {"id": prefix + identifier, "media": media}
    for name, column in (("speaker", settings.speaker), ("session", settings.session)):
        if column is not None and _given(row[column]):
            item[name] = prefix + row[column]
    if settings.split is not None and _given(row[settings.split]):
        if row[settings.split] not in SPLITS:
            raise _Unusable(f"the split is none of {', '.join(SPLITS)}")
        item["split"] = row[settings.split]
    item |= _times(settings, row)
    corpus.files += [media] if isinstance(media, str) else list(media.values())
    return item


def _media(settings: ManifestSettings, root: Path, row: Row) -> Media:
    names = []
    for column in (settings.media_column, settings.video_column):
        if column is None or not row[column]:
            continue
        if not settings.no_check_media and not (root / row[column]).is_file():
            raise _Unusable("the recording is not there")
        # Paths in the manifest are relative, so that it can be moved together with the media.
        name = os.path.relpath(row[column], root) if os.path.isabs(row[column]) else row[column]
        names.append(PurePosixPath(name).as_posix())
    if not names:
        raise _Unusable("no path of a recording")
    return names[0] if len(names) == 1 else {"audio": names[0], "video": names[1]}


def _times(settings: ManifestSettings, row: Row) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, column in (("start", settings.start), ("end", settings.end)):
        if column is None or not _given(row[column]):
            continue
        value = _number(row[column])
        if value is None or value < 0:
            raise _Unusable("start or end is no time in seconds")
        found[name] = value
    if "end" in found and found["end"] <= found.get("start", 0.0):
        raise _Unusable("the end is not after the start")
    return found


def _classes(
    row: Row, labels: dict[str, str], mapping: dict[str, str], spellings: set[str]
) -> dict[str, str]:
    found = {}
    for name, column in labels.items():
        if _given(row[column]):
            spellings.add(row[column])
            found[name] = mapping.get(row[column], row[column])
    return found


def _scalars(row: Row, scalars: dict[str, str], line: int, corpus: Corpus) -> dict[str, float]:
    found = {}
    for name, column in scalars.items():
        if not _given(row[column]):
            continue
        value = _number(row[column])
        if value is None:
            corpus.lost[f"{name} is not a number (kept without it)"].append(f"line {line}")
        else:
            found[name] = value
    return found


def _refuse_two_kinds(given: dict[str, dict[str, str]]) -> None:
    """Raises UsageError where a label is given under two flags."""
    flags: dict[str, str] = {}
    for flag, names in given.items():
        for name in names:
            if name in flags:
                raise UsageError(
                    f"the label {name!r} is given as {flags[name]} and as {flag}; choose one"
                )
            flags[name] = flag


def _find_trace(
    corpus: Corpus,
    found: dict[str, TraceFile],
    name: str,
    item: Item,
    text: str,
    line: int,
    read_file: Callable[[Path], TraceFile],
) -> None:
    """The values of an item's trace from its start on, under its id in `found`.

    Raises DataError naming the file where it is no table of traces, or has no column `name`.
    """
    if not _given(text):
        return
    path = corpus.root / text
    if not path.is_file():
        corpus.lost[f"the file of {name} is not there (kept without it)"].append(f"line {line}")
        return
    file = read_file(path)
    if name not in file.columns and len(file.columns) > 1:
        have = ", ".join(file.columns)
        raise DataError(f"{path} has no column {name!r} (it has: {have})")
    values = file.columns.get(name, next(iter(file.columns.values())))
    # Times are those of the recording, of which an utterance may be a part.
    times = file.times - item.get("start", 0.0)
    lasts = item.get("end", math.inf) - item.get("start", 0.0)
    part = times < lasts
    if not part.any() or times[part][-1] < 0:
        reason = f"no value of {name} between start and end (kept without it)"
        corpus.lost[reason].append(f"line {line}")
        return
    corpus.tables.append(path)
    found[item["id"]] = replace(file, times=times[part], columns={name: values[part]})


def _add_traces(corpus: Corpus, files: TraceFiles) -> None:
    for name, found in files.items():
        values = add_traces(corpus, name, found, NOMINAL_HZ, raters=False)
        for item in corpus.items:
            if item["id"] in values:
                item["labels"][name] = values[item["id"]]
    corpus.tables = list(dict.fromkeys(corpus.tables))


def _given(text: str) -> bool:
    return text.lower() not in MISSING


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refuse_double(path: Path, identifier: str, line: int, lines: dict[str, int]) -> None:
    if identifier in lines:
        raise DataError(
            f"{path}: lines {lines[identifier]} and {line} have the same id {identifier}; ids are "
            "unique: name a column of ids with --id, or remove one of the rows"
        )
    lines[identifier] = line


def _check_found(
    settings: ManifestSettings,
    corpus: Corpus,
    mapping: dict[str, str],
    spellings: set[str],
    lines: dict[str, int],
) -> None:
    if not lines:
        reasons = "; ".join(f"{reason} ({len(n)} rows)" for reason, n in corpus.lost.items())
        hint = f": {reasons}; paths start from {corpus.root} (--root)" if reasons else ""
        raise DataError(f"{settings.source} has no usable row{hint}")
    for name in _pairs(settings.scalar, "--scalar"):
        named = any(reason.startswith(f"{name} is not a number") for reason in corpus.lost)
        if named and not any(name in item["labels"] for item in corpus.items):
            raise DataError(f"{settings.source}: no row has a number for {name}; wrong column?")
    unused = sorted(mapping.keys() - spellings)
    if unused:
        found = ", ".join(sorted(spellings)) or "none"
        raise DataError(
            f"{settings.source} has no class {', '.join(unused)} to map (it has: {found})"
        )


def _specifications(
    corpus: Corpus, labels: dict[str, str], scalars: dict[str, str]
) -> dict[str, dict[str, Any]]:
    classes: dict[str, set[str]] = defaultdict(set)
    for item in corpus.items:
        for name in labels.keys() & item["labels"].keys():
            classes[name].add(item["labels"][name])
    return {
        **{n: {"kind": "class", "classes": emotion_classes(classes[n])} for n in labels},
        **{name: {"kind": "scalar"} for name in scalars},
    }
