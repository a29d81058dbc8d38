"""Users' tables: CSV or TSV with a row of column names, one utterance a row."""

from __future__ import annotations

import functools
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.inputs import STANDARD_INPUT, named
from avaffect.core.nouns import count_of
from avaffect.data.corpora.common import Corpus, Media, emotion_classes, fold_emotions
from avaffect.data.corpora.table_options import (
    LABELS_ALONE,
    check,
    columns,
    mapping_of,
    pairs,
    refuse_two_kinds,
)
from avaffect.data.corpora.traces import add_traces
from avaffect.data.manifest import Item
from avaffect.data.tables import spellings
from avaffect.data.tables.locating import Files, with_slashes
from avaffect.data.tables.numerals import is_missing
from avaffect.data.tables.reader import Table, read_table, unique_names
from avaffect.data.tables.texts import nfc
from avaffect.data.trace_files import TraceFile, read_trace_file
from avaffect.data.vocabulary import SPLITS
from avaffect.settings.manifest import ManifestSettings

NAME = "table"
OPTIONS = (
    "media_column", "video_column", "id_column", "speaker", "session", "split", "start", "end",
    "label", "scalar", "trace", "field", "map", "prefix", "no_check_media", "root",
    "encoding",
)  # fmt: skip
# Where no file has even times.
NOMINAL_HZ = 25.0
# Keys of an item that have options or a meaning of their own.
RESERVED = ("kind", "id", "media", "labels", "speaker", "session", "split", "start", "end")
NO_SPLIT = ("none", "None", "-", "?")
NOT_THERE = "the recording is not there"

Row = dict[str, str]
# Label -> id -> its values.
TraceFiles = dict[str, dict[str, TraceFile]]


class _Unusable(Exception):
    """A row that cannot become an item; the text gives the reason."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.text = text


@dataclass
class _Reading:
    """A table after its options, and findings on the way.

    mapping: FROM -> TO of --map; spelled: the table's classes and splits; splits: spelling ->
    split; missing: paths of recordings that are not there.
    """

    settings: ManifestSettings
    corpus: Corpus
    files: Files
    mapping: dict[str, str]
    spelled: set[str] = field(default_factory=set)
    splits: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def read(settings: ManifestSettings) -> Corpus:
    """The table `settings.source`, or on standard input (`-`), read by its column options.

    Rows without a recording or with impossible times are lost, counted and listed; so are values
    that are not numbers. Raises DataError where two rows have one id, a column is missing, a split
    has an unknown spelling or no row is left, UsageError where options exclude each other.
    """
    check(settings)
    path = settings.source
    labels, scalars, traces, fields = (
        pairs(getattr(settings, kind), f"--{kind}")
        for kind in ("label", "scalar", "trace", "field")
    )
    refuse_two_kinds({"--label": labels, "--scalar": scalars, "--trace": traces})
    for name in fields.keys() & set(RESERVED):
        raise UsageError(f"--field {name}: this key of an item has its own option")
    mapping = mapping_of(settings.map)

    name = NAME if path == STANDARD_INPUT else path.stem
    corpus = Corpus(settings.prefix or name, settings.root or path.parent, {}, tables=[path])
    reading = _Reading(settings, corpus, Files(corpus.root), mapping)
    wanted = columns(settings, labels, scalars, traces, fields)
    table = read_table(path, wanted)
    if table.comments:
        corpus.left_out["commented out with #"] = [f"line {line}" for line in table.comments]
    reading.splits = _splits(reading, table)
    kept = _items(reading, table, wanted, labels, scalars)
    _name(settings, kept)
    files: TraceFiles = {name: {} for name in traces}
    # A file may hold several labels.
    read_file = functools.cache(read_trace_file)
    for line, item, row in kept:
        item |= {name: row[column] for name, column in fields.items() if _given(row[column])}
        for name, column in traces.items():
            _find_trace(reading, files[name], name, item, row[column], line, read_file)
        corpus.items.append(item)
    fold_emotions(corpus, mapping)
    _check_found(reading, scalars)
    corpus.labels = _specifications(corpus, labels, scalars)
    _add_traces(corpus, files)
    return corpus


def _items(
    reading: _Reading,
    table: Table,
    wanted: list[str],
    labels: dict[str, str],
    scalars: dict[str, str],
) -> list[tuple[int, Item, Row]]:
    """(line, item, row) of the usable rows. Ids are still names here, which several may have."""
    settings, corpus = reading.settings, reading.corpus
    given = {n: c for n, c in (("start", settings.start), ("end", settings.end)) if c}
    written = table.numbers([*given.values(), *scalars.values()])
    read_as = {"start": written.times, "end": written.ends}
    times = {name: read_as[name](table.column(column)) for name, column in given.items()}
    numbers = {name: written.of(table.column(column)) for name, column in scalars.items()}
    kept = []
    for place, (line, row) in enumerate(table.dictionaries(wanted)):
        try:
            item = _item(reading, row)
            texts = " to ".join(row[column] for column in given.values())
            item |= _times({name: values[place] for name, values in times.items()}, texts)
        except _Unusable as reason:
            corpus.lost[str(reason)].append(_line(line, reason.text))
            continue
        item["labels"] = _classes(row, labels, reading)
        for name, values in numbers.items():
            value = values[place]
            if value is None:
                why = f"{name} is not a number (kept without it)"
                corpus.lost[why].append(_line(line, row[scalars[name]]))
            elif not math.isnan(value):
                item["labels"][name] = value
        kept.append((line, item, row))
    return kept


def _line(line: int, text: str) -> str:
    return f"line {line}" + (f" ({text})" if text else "")


def _item(reading: _Reading, row: Row) -> Item:
    """Name, media and speaker. Raises _Unusable where the row lacks one."""
    settings = reading.settings
    media = _media(reading, row)
    first = media if isinstance(media, str) else media["audio"]
    name = row[settings.id_column] if settings.id_column else nfc(PurePosixPath(first).stem)
    if not name:
        raise _Unusable("no id")
    prefix = f"{settings.prefix}_" if settings.prefix else ""
    item: Item = {"id": prefix + name, "media": media}
    for key, column in (("speaker", settings.speaker), ("session", settings.session)):
        if column is not None and _given(row[column]):
            item[key] = prefix + row[column]
    if settings.split is not None and row[settings.split] in reading.splits:
        item["split"] = reading.splits[row[settings.split]]
    reading.corpus.files += [media] if isinstance(media, str) else list(media.values())
    return item


def _media(reading: _Reading, row: Row) -> Media:
    settings, root, names = reading.settings, reading.corpus.root, []
    for column in (settings.media_column, settings.video_column):
        if column is None or not row[column]:
            continue
        found = reading.files.find(row[column])
        if found is None and not settings.no_check_media:
            reading.missing.append(row[column])
            raise _Unusable(NOT_THERE, row[column])
        given = with_slashes(row[column])
        if found is not None and nfc(found) != given:
            reading.corpus.noted["spelled in another case than the recordings"].append(found)
        name = found or given
        # Paths in the manifest are relative, so that it can be moved together with the media.
        name = os.path.relpath(name, root) if os.path.isabs(name) else name
        names.append(PurePosixPath(name).as_posix())
    if not names:
        raise _Unusable("no path of a recording")
    return names[0] if len(names) == 1 else {"audio": names[0], "video": names[1]}


def _splits(reading: _Reading, table: Table) -> dict[str, str]:
    """Spelling -> split, of the column of splits.

    Raises DataError where a spelling needs --map.
    """
    settings, mapping = reading.settings, reading.mapping
    if settings.split is None:
        return {}
    texts = set(table.column(settings.split))
    found = sorted(t for t in texts if t in mapping or (_given(t) and t not in NO_SPLIT))
    reading.spelled |= set(found)
    splits, unknown = spellings.mapped_splits(found, mapping)
    if unknown:
        raise DataError(
            f"{named(settings.source)}: splits are {', '.join(SPLITS)}, and column "
            f"{settings.split!r} holds {', '.join(unknown)}: assign them with "
            f"{spellings.split_hint(unknown)} (--map {unknown[0]}= for none)"
        )
    for text, split in splits.items():
        if text != split and text not in mapping:
            reading.corpus.noted["splits"].append(f"{text} is {split}")
    return splits


def _times(given: dict[str, float | None], texts: str) -> dict[str, float]:
    """Start and end in seconds, where they are known. None: no time. texts: as spelled."""
    found: dict[str, float] = {}
    for name, value in given.items():
        if value is None or value < 0:
            raise _Unusable("start or end is no time in seconds", texts)
        if not math.isnan(value):
            found[name] = value
    if "end" in found and found["end"] <= found.get("start", 0.0):
        raise _Unusable("the end is not after the start", texts)
    return found


def _name(settings: ManifestSettings, kept: list[tuple[int, Item, Row]]) -> None:
    """Give items their ids. DataError where two have the same."""
    ids = [item["id"] for _, item, _ in kept]
    if settings.id_column is None:
        ids = unique_names(ids, [(item.get("start"), item.get("end")) for _, item, _ in kept])
    lines: dict[str, int] = {}
    for identifier, (line, item, _) in zip(ids, kept, strict=True):
        item["id"] = identifier
        if identifier in lines:
            hint = "name a column of ids with --id, or remove one of the rows"
            if settings.id_column and settings.start:
                hint = "without --id, parts of one recording have ids with their times"
            elif not settings.id_column and not settings.start:
                hint = "where rows are parts of one recording, name --start and --end; else " + hint
            raise DataError(
                f"{named(settings.source)}: lines {lines[identifier]} and {line} have the same id "
                f"{identifier}; ids are unique: {hint}"
            )
        lines[identifier] = line


def _classes(row: Row, labels: dict[str, str], reading: _Reading) -> dict[str, str]:
    found = {}
    for name, column in labels.items():
        text = row[column]
        reading.spelled |= {text} if _given(text) else set()
        text = reading.mapping.get(text, text) if _given(text) else ""
        if text:
            found[name] = text
    return found


def _find_trace(
    reading: _Reading,
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
    corpus, there = reading.corpus, reading.files.find(text)
    if there is None:
        corpus.lost[f"the file of {name} is not there (kept without it)"].append(f"line {line}")
        return
    path = corpus.root / there
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
    return not is_missing(text)


def _check_found(reading: _Reading, scalars: Iterable[str]) -> None:
    settings, corpus = reading.settings, reading.corpus
    elsewhere = reading.files.elsewhere(reading.missing)
    if elsewhere:
        corpus.noted[elsewhere] = reading.missing
    if not corpus.items:
        reasons = [
            f"{reason} ({count_of(len(n), 'row')}: {n[0]})" for reason, n in corpus.lost.items()
        ]
        if NOT_THERE in corpus.lost:
            reasons.append(elsewhere or f"paths start from {corpus.root} (--root)")
            reasons.append(f"{LABELS_ALONE} takes the labels alone")
        hint = f": {'; '.join(reasons)}" if reasons else ""
        raise DataError(f"{named(settings.source)} has no usable row{hint}")
    for name in scalars:
        no_number = corpus.lost.get(f"{name} is not a number (kept without it)")
        if no_number and not any(name in item["labels"] for item in corpus.items):
            raise DataError(
                f"{named(settings.source)}: no row has a number for {name}, from {no_number[0]} "
                "on; wrong column? A comma before three digits is read where other numbers show "
                "its meaning"
            )
    unused = sorted(reading.mapping.keys() - reading.spelled)
    if unused:
        found = ", ".join(sorted(reading.spelled)) or "none"
        what = "class or split" if settings.split else "class"
        raise DataError(
            f"{named(settings.source)} has no {what} {', '.join(unused)} to map (it has: {found})"
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
