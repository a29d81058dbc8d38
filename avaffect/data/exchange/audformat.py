"""Databases of audformat: a header db.yaml, and tables as CSV or Parquet.

https://audeering.github.io/audformat/data-format.html. Written are a table of utterances for each
split, segmented where any is a part of its recording, with a scheme for each label and field. The
header is JSON a key, which is YAML.

Its tables may be pickles too, which are not read: they can run code.
"""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange.listing import Listing, Utterance
from avaffect.data.exchange.reading import Found, corpus_of
from avaffect.data.tables.reader import of_part, read_table
from avaffect.data.tables.streamed import stream_table
from avaffect.data.tables.texts import read_text
from avaffect.settings.manifest import ManifestSettings

NAME = "audformat"
OPTIONS = ("label", "scalar", "field", "map", "prefix", "no_check_media", "root", "encoding")
FOLDER = True
TAKEN = r"id|file|start|end"
NEEDS = ()
HEADER = "db.yaml"
TABLE = "utterances"
# Our splits -> the types of audformat's.
SPLITS = {"train": "train", "development": "dev", "test": "test"}
_INDEX = ("file", "start", "end")
_DTYPES = {str: "str", bool: "bool", int: "int", float: "float"}


def write(listing: Listing, output: Path) -> None:
    """Paths of files are relative to the database."""
    listing.lose_videos()
    listing.by_recording()
    segmented = any(one.is_part for one in listing)
    columns = _columns(listing)
    schemes = {name: _scheme(listing, name, kinds) for name, kinds in columns.items()}
    by_split: dict[str | None, list[Utterance]] = {}
    for one in listing:
        split = one.fields.get("split")
        if one.media:
            by_split.setdefault(str(split) if split in SPLITS else None, []).append(one)
    tables = {}
    for split, own in by_split.items():
        name = f"{TABLE}.{split}" if split else TABLE
        tables[name] = {
            "type": "segmented" if segmented else "filewise",
            **({"split_id": split} if split else {}),
            "columns": {column: {"scheme_id": column} for column in columns},
        }
        _table(listing, own, output / f"db.{name}.csv", columns, segmented)
    there = [split for split in SPLITS if split in by_split]
    header = {
        "name": listing.name,
        "source": "exported by avaffect",
        "usage": "other",
        "splits": {split: {"type": SPLITS[split]} for split in there},
        "schemes": schemes,
        "tables": tables,
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in header.items()]
    (output / HEADER).write_text("".join(lines), encoding="utf-8")


def _columns(listing: Listing) -> dict[str, type]:
    """Column -> type of its values."""
    found: dict[str, type] = {"id": str}
    for name in listing.fields:
        if name != "split":
            kinds = {type(one.fields[name]) for one in listing if name in one.fields}
            found[name] = kinds.pop() if len(kinds) == 1 else _common(kinds)
    for name in listing.plain_labels(distributions=True):
        spec = listing.labels[name]
        if spec.kind == "distribution":
            found |= {f"{name}.{part}": float for part in spec.classes}
        else:
            found[name] = str if spec.kind == "class" else float
    return found


def _common(kinds: set[type]) -> type:
    return float if kinds <= {int, float} else str


def _scheme(listing: Listing, name: str, kind: type) -> dict[str, Any]:
    spec = listing.labels.get(name)
    if spec is not None and spec.kind == "class":
        have = {str(one.labels[name]) for one in listing if name in one.labels}
        return {"dtype": "str", "labels": [*spec.classes, *sorted(have - {*spec.classes})]}
    return {"dtype": _DTYPES[kind]}


def _table(
    listing: Listing, own: list[Utterance], path: Path, columns: dict[str, type], segmented: bool
) -> None:
    index = _INDEX if segmented else _INDEX[:1]
    # A table has one row a file, or a part of it.
    seen: set[tuple[Any, ...]] = set()
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow([*index, *columns])
        for one in own:
            file = Path(os.path.relpath(listing.path(one), listing.output.resolve())).as_posix()
            times = (_time(one.start), "" if one.end is None else _time(one.end))
            key = (file, *times) if segmented else (file,)
            if key in seen:
                listing.lost["further utterances of the same recording and times"].append(one.id)
                continue
            seen.add(key)
            rows.writerow([*key, *(_cell(one, name) for name in columns)])


def _time(seconds: float) -> str:
    """As pandas spells a Timedelta."""
    whole, nano = divmod(round(seconds * 1e9), 10**9)
    days, rest = divmod(whole, 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{count_of(days, 'day')} {clock}" + (f".{nano:09}" if nano else "")


def _cell(one: Utterance, column: str) -> Any:
    if column == "id":
        return one.id
    for values in (one.labels, one.fields):
        if column in values:
            return values[column]
    name, _, part = column.rpartition(".")
    shares = one.labels.get(name)
    return shares.get(part) if isinstance(shares, dict) else None


def read(settings: ManifestSettings) -> Corpus:
    """A database. Columns of tables of files and segments are an utterance's values; so are the
    attributes of those values in tables of another kind, and in schemes.

    Raises UsageError without PyYAML, DataError where the header or a table is damaged.
    """
    if find_spec("yaml") is None:
        raise UsageError("audformat's header is YAML: python -m pip install pyyaml")
    path = settings.source / HEADER
    if not path.is_file():
        raise DataError(f"{settings.source} has no {HEADER}, which a database of audformat has")
    header = _header(path)
    found = Found(settings, NAME, settings.source, [path])
    files: dict[str, dict[str, Any]] = {}
    segments: dict[Key, dict[str, Any]] = {}
    filewise, segmented = _Merged(), _Merged()
    for name, facts in header["tables"].items():
        split = _split(header, facts.get("split_id"))
        merged = segmented if facts.get("type") == "segmented" else filewise
        for key, values in _rows(found, name, facts):
            own = {**values, **({"split": split} if split else {})}
            files.setdefault(key[0], {})
            merged.add(name, key, own)
    files |= {key[0]: values for key, values in filewise.values(found)}
    segments |= segmented.values(found)
    attributes = _attributes(found, header)
    whole: list[Key] = [(file, 0.0, None) for file in files]
    for file in files.keys() - {key[0] for key in segments} if segments else ():
        found.lose("a file without a segment, beside others with segments", file)
    for key in segments or whole:
        file, start, end = key
        values = {**files[file], **segments.get(key, {})}
        for column, value in list(values.items()):
            values |= attributes.get(column, {}).get(str(value), {})
        identifier = values.pop("id", None) or of_part(Path(file).stem, (start or None, end))
        found.add(str(identifier), file, start, end, values)
    return corpus_of(found)


class _Merged:
    """Values by column of the same files, or segments, in several tables.

    A column in which tables differ, such as those of several raters, is a column of each table.
    """

    def __init__(self) -> None:
        self._said: dict[Key, dict[str, dict[str, Any]]] = {}
        self._differ: dict[str, list[str]] = defaultdict(list)

    def add(self, table: str, key: Key, values: dict[str, Any]) -> None:
        by_column = self._said.setdefault(key, {})
        for column, value in values.items():
            if value not in (None, ""):
                said = by_column.setdefault(column, {})
                if any(str(value) != str(other) for other in said.values()):
                    self._differ[column].append(key[0])
                said[table] = value

    def values(self, found: Found) -> Iterator[tuple[Key, dict[str, Any]]]:
        """Each key with its values; columns that differ are called TABLE.COLUMN."""
        for column, files in self._differ.items():
            tables = sorted({t for said in self._said.values() for t in said.get(column, ())})
            names = ", ".join(f"{table}.{column}" for table in tables)
            found.lost[f"{column} is not the same in its tables, kept as {names}"] += files
        for key, by_column in self._said.items():
            own: dict[str, Any] = {}
            for column, said in by_column.items():
                if column in self._differ:
                    own |= {f"{table}.{column}": value for table, value in said.items()}
                else:
                    own[column] = next(iter(said.values()))
            yield key, own


def _header(path: Path) -> dict[str, Any]:
    import yaml

    try:
        header = yaml.safe_load(read_text(path))
        for part in ("tables", "schemes", "splits", "misc_tables"):
            header[part] = dict(header.get(part) or {})
            if not all(isinstance(facts or {}, dict) for facts in header[part].values()):
                raise ValueError(f"{part} is no dictionary of dictionaries")
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no header of audformat ({error})") from error
    return dict(header)


def _split(header: dict[str, Any], name: str | None) -> str | None:
    back = {theirs: ours for ours, theirs in SPLITS.items()}
    return back.get(str((header["splits"].get(name) or {}).get("type", name)))


Key = tuple[str, float, float | None]


def _rows(found: Found, name: str, facts: dict[str, Any]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """(file, start, end) and values by column, of a table."""
    columns = list(facts.get("columns") or {})
    index = _INDEX if facts.get("type") == "segmented" else _INDEX[:1]
    for row in _table_rows(found, name, [*index, *columns]):
        start, end = row.get("start"), row.get("end")
        yield (str(row["file"]), start or 0.0, end), {c: row[c] for c in columns}


def _table_rows(found: Found, name: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of a table, with times in seconds, None where there is none."""
    folder = found.settings.source
    path = next((p for suffix in ("csv", "parquet")
                 if (p := folder / f"db.{name}.{suffix}").is_file()), None)  # fmt: skip
    if path is None:
        raise DataError(
            f"{folder} has neither db.{name}.csv nor db.{name}.parquet; save the "
            'database again with audformat: db.save(root, storage_format="csv")'
        )
    found.tables.append(path)
    return _of_csv(path, columns) if path.suffix == ".csv" else _of_parquet(path, columns)


def _of_csv(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    table = read_table(path, columns)
    times = [column for column in ("start", "end") if column in columns]
    numbers = table.numbers(times)
    seconds = {column: numbers.times(table.column(column)) for column in times}
    for place, (_, row) in enumerate(table.dictionaries(columns)):
        own: dict[str, Any] = {**row}
        own |= {column: _known(values[place]) for column, values in seconds.items()}
        yield own


def _of_parquet(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    opened = stream_table(path)
    if not {*columns} <= {*opened.names}:
        raise DataError(f"{path} lacks {', '.join({*columns} - {*opened.names})}")
    for _, fields in opened.rows():
        row: dict[str, Any] = dict(zip(opened.names, fields))
        for column in {"start", "end"} & row.keys():
            # A duration in Arrow; a missing one is None, or pandas' NaT.
            seconds_of = getattr(row[column], "total_seconds", lambda: None)
            row[column] = _known(seconds_of())
        yield row


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _attributes(found: Found, header: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Column -> value -> what the database says of it, such as the sex of a speaker."""
    by_scheme: dict[str, dict[str, dict[str, Any]]] = {}
    for scheme, facts in header["schemes"].items():
        labels = (facts or {}).get("labels")
        if isinstance(labels, dict):
            by_scheme[scheme] = {str(k): v for k, v in labels.items() if isinstance(v, dict)}
        elif isinstance(labels, str) and labels in header["misc_tables"]:
            misc = header["misc_tables"][labels]
            index = next(iter(misc.get("levels") or {}), labels)
            columns = list(misc.get("columns") or {})
            rows = _table_rows(found, labels, [index, *columns])
            by_scheme[scheme] = {str(r[index]): {c: r[c] for c in columns} for r in rows}
    return {
        column: by_scheme[scheme]
        for table in header["tables"].values()
        for column, facts in (table.get("columns") or {}).items()
        if (scheme := (facts or {}).get("scheme_id")) in by_scheme
    }
