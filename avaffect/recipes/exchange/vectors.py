"""Vectors and frames of a store as arrays and tables, for `export --to npy|csv|parquet`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.streams import FEATURES
from avaffect.data.store.reader import Store
from avaffect.recipes.common import work
from avaffect.recipes.exchange import outputs
from avaffect.settings.export import ExportSettings

# Streams that are no features: sound, pictures and what belongs to them.
_ROWS = 1024


def run(settings: ExportSettings, progress: Progress) -> None:
    """Write vectors, or the frames of a stream, of a store.

    npy: a folder with a file an utterance; csv, parquet: a row an utterance, with its fields and
    labels, or a row a frame, with its time. Raises UsageError for a name that the store does not
    have, or several without a name; DataError for an id that is no name of a file.
    """
    if settings.to == "parquet":
        outputs.check_packages(settings, ("pyarrow",))
    store = Store(settings.artifact)
    name = chosen(store, settings.stream)
    made = work.record("export", settings, work.store_inputs("store", [store]))
    with progress.task("writing", store.count):
        if settings.to == "npy":
            written = outputs.write_folder(
                settings, made, progress, lambda folder: _arrays(store, name, folder, progress),
                {"labels": {}, "fields": {}},
            )  # fmt: skip
        else:
            write = _csv if settings.to == "csv" else _parquet
            written = outputs.write_file(
                settings, made, progress, lambda path: write(store, name, path, progress)
            )
    if written:
        kind = "vectors" if name in store.pooled else "frames"
        progress.say(f"{settings.output}: {kind} {name!r} of {count_of(store.count, 'utterance')}")


def chosen(store: Store, name: str | None) -> str:
    """The vectors, the stream or the trace of this name; by default the only vectors, or else the
    features.

    Raises UsageError where there is none, or several.
    """
    streams = [n for n, spec in store.streams.items() if len(spec.shape) <= 1]
    streams += [n for n, spec in store.labels.items() if spec.kind == "trace"]
    if name is not None:
        if name in store.pooled or name in streams:
            return name
        have = ", ".join([*store.pooled, *streams]) or "none"
        raise UsageError(f"--stream {name}: {store.path} has {have}")
    if len(store.pooled) == 1:
        return next(iter(store.pooled))
    if not store.pooled and FEATURES in streams:
        return FEATURES
    have = ", ".join([*store.pooled, *streams]) or "none"
    raise UsageError(f"{store.path} has the vectors and streams {have}: choose with --stream")


def _values(store: Store, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """Row, and the vector (D,) or the steps (T,) or (T, D) of each utterance."""
    if name in store.pooled:
        first = 0
        for block in store.pooled_blocks(name):
            for place, vector in enumerate(block):
                yield first + place, vector
            first += len(block)
        return
    for row in range(store.count):
        yield row, store.read(name, row) if name in store.streams else store.trace(name, row)


def _arrays(store: Store, name: str, folder: Path, progress: Progress) -> None:
    for identifier in store.ids:
        if "/" in identifier or identifier.startswith(".") or len(identifier.encode()) > 250:
            raise DataError(f"{store.path}: the id {identifier} is no name of a file; use --to csv")
    for row, values in _values(store, name):
        np.save(folder / f"{store.ids[row]}.npy", values, allow_pickle=False)
        progress.advance(1)


def _dim(store: Store, name: str) -> int:
    if name in store.pooled:
        return store.pooled[name].dim
    if name in store.labels:
        return store.labels[name].raters or 1
    shape = store.streams[name].shape
    return int(shape[0]) if shape else 1


def _described(store: Store) -> dict[str, Any]:
    """Name -> values: of fields, and of labels that are a class or a number."""
    found: dict[str, Any] = {name: store.meta[name] for name in store.meta}
    for name, spec in store.labels.items():
        if spec.kind == "class":
            values = store.label(name).tolist()
            found[name] = [spec.classes[v] if v >= 0 else None for v in values]
        elif spec.kind == "scalar":
            found[name] = [None if v != v else v for v in store.label(name).tolist()]
    return found


def _tables(store: Store, name: str, progress: Progress) -> Iterator[dict[str, Any]]:
    """Columns of some rows at a time: id, fields and labels of vectors, or the time of frames, and
    NAME_0, NAME_1, ..."""
    dim = _dim(store, name)
    columns = [f"{name}_{number}" for number in range(dim)]
    if name in store.pooled:
        described = _described(store)
        block: list[np.ndarray] = []
        for row, vector in _values(store, name):
            block.append(vector)
            progress.advance(1)
            if len(block) == _ROWS or row == store.count - 1:
                rows = slice(row + 1 - len(block), row + 1)
                values = np.stack(block).T
                yield {
                    "id": store.ids[rows],
                    **{field: list(own[rows]) for field, own in described.items()},
                    **dict(zip(columns, values)),
                }
                block = []
        return
    spec = store.streams.get(name) or store.labels[name]
    rate = spec.rate_hz
    for row, steps in _values(store, name):
        progress.advance(1)
        if len(steps):
            values = steps.reshape(len(steps), dim).T
            yield {
                "id": [store.ids[row]] * len(steps),
                "time": (np.arange(len(steps)) / rate).tolist(),
                **dict(zip(columns, values)),
            }


def _csv(store: Store, name: str, path: Path, progress: Progress) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        for number, table in enumerate(_tables(store, name, progress)):
            if not number:
                rows.writerow(table)
            # As float32 is spelled: the fewest digits that give it again.
            rows.writerows(zip(*(map(_text, values) for values in table.values())))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _parquet(store: Store, name: str, path: Path, progress: Progress) -> None:
    import pyarrow
    from pyarrow import parquet

    writer = None
    try:
        for columns in _tables(store, name, progress):
            table = pyarrow.table(columns) if writer is None else pyarrow.table(
                columns, schema=writer.schema)  # fmt: skip
            if writer is None:
                writer = parquet.ParquetWriter(path, _schema(table.schema))
            writer.write_table(table.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        parquet.write_table(pyarrow.table({"id": pyarrow.array([], pyarrow.string())}), path)


def _schema(found: Any) -> Any:
    """Texts where the first rows have nothing."""
    import pyarrow

    return pyarrow.schema([
        field if field.type != pyarrow.null() else pyarrow.field(field.name, pyarrow.string())
        for field in found
    ])  # fmt: skip
