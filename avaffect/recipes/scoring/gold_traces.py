"""Traces by recording, from any source: stores, manifests, tables, folders of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from avaffect.core import filekind
from avaffect.core.errors import DataError
from avaffect.core.hashing import content_id, file_content_id
from avaffect.data import artifacts, items, manifest
from avaffect.data.store.reader import Store
from avaffect.data.tables.texts import nfc
from avaffect.data.trace_files import SUFFIXES, TraceFile, find_trace_files, read_trace_file
from avaffect.evaluation.gold_standard import gold_standard
from avaffect.recipes.common import work
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import number_tables


@dataclass(frozen=True)
class Trace:
    """One recording's label over time.

    times: (T,) float64 seconds, rising, T is 1 or more; values: (T,), or (T, columns) with one
    column for each rater (of gold) or run (of predictions); NaN where unknown.
    """

    times: np.ndarray
    values: np.ndarray

    @property
    def step_s(self) -> float:
        """Median distance of consecutive times; 0 for a single one."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0

    @property
    def columns(self) -> np.ndarray:
        """(T, columns): one column where there are neither raters nor runs."""
        return self.values if self.values.ndim == 2 else self.values[:, None]


Labels = dict[str, dict[str, Trace]]


@dataclass(frozen=True)
class TraceSource:
    """All traces of a file or folder: label -> id -> trace.

    path: None of a stream and of several sources; kind: store, manifest, file (of one recording,
    whose id is the file's name) or folder; splits: id -> split, where it is known; folds: whether
    recordings are of folds, each of which is a test set; made_by: the command that made a store;
    seen: id -> status of a recording in the classifier's training ("": not used), where predictions
    record it.
    """

    name: str
    path: Path | None
    kind: str
    content_id: str
    labels: Labels
    splits: dict[str, str] = field(default_factory=dict)
    folds: bool = False
    made_by: str = ""
    seen: dict[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """Recordings with any trace, in order."""
        return list(dict.fromkeys(i for traces in self.labels.values() for i in traces))

    def trained_on(self, ids: Iterable[str]) -> dict[str, int] | None:
        """How many of these recordings were used in the classifier's training, by status; None
        where predictions do not record it."""
        if not self.seen:
            return None
        unknown = training_speakers.UNKNOWN
        return training_speakers.counted(self.seen.get(i, unknown) or None for i in ids)


def read(path: Path) -> TraceSource:
    """The traces of a store, a corpus manifest (`-`: standard input), a CSV or ARFF file, or a
    folder of such files, named by recording.

    A folder may also hold one folder of files for each label; then all columns of a file are raters
    or runs. Raises DataError where there is no trace.
    """
    kind, reader = _reader(path)
    found = reader(path)
    if not found.ids:
        raise DataError(f"{found.name}: this {kind} holds no trace labels")
    return found


def is_of_fields(path: Path) -> bool:
    """Whether a file has fields of recordings and no traces: a table with a row for each, or a
    corpus manifest without such labels."""
    if not path.is_file():
        return False
    if artifacts.is_table(path):
        return number_tables.is_of_utterances(path, None, has_gold=True)
    if artifacts.kind_of(path, "traces") != "manifest":
        return False
    specs = items.described_labels(manifest.read(path, expect="corpus"))
    return not any(spec.kind == "trace" for spec in specs.values())


def joined(sources: Sequence[TraceSource]) -> TraceSource:
    """Several sources as one. DataError where two hold the same label of one recording."""
    if len(sources) == 1:
        return sources[0]
    home: dict[tuple[str, str], str] = {}
    labels: Labels = {}
    for source in sources:
        for label, traces in source.labels.items():
            for identifier in traces:
                other = home.setdefault((label, identifier), source.name)
                if other != source.name:
                    raise DataError(f"{other} and {source.name} both hold {label} of {identifier}")
            labels.setdefault(label, {}).update(traces)
    splits = {i: split for source in sources for i, split in source.splits.items()}
    identity = content_id([source.content_id for source in sources])
    name = work.some_of([source.name for source in sources])
    return TraceSource(name, None, "folder", identity, labels, splits)


def of_one_rater(source: TraceSource, raters: str) -> TraceSource:
    """The source with traces (T,): of several raters their mean, median, ewe or ewe-loo.

    Raises DataError naming the recording where a value is infinite.
    """

    def combined(label: str, identifier: str, trace: Trace) -> Trace:
        try:
            return Trace(trace.times, gold_standard(trace.values, raters))
        except ValueError as error:
            raise DataError(f"{source.name}: {label} of {identifier}: {error}") from error

    labels = {
        label: {i: combined(label, i, trace) for i, trace in traces.items()}
        for label, traces in source.labels.items()
    }
    return replace(source, labels=labels)


def _reader(path: Path) -> tuple[str, Callable[[Path], TraceSource]]:
    if path == manifest.STANDARD_STREAM:
        return "manifest", _of_manifest
    if path.is_dir():
        return "folder", _of_folder
    if artifacts.is_table(path):
        return "file", _of_file
    kind = artifacts.kind_of(path, "traces")
    if kind == "checkpoint":
        raise filekind.other_kind(path, "traces")
    return kind, _of_store if kind == "store" else _of_manifest


def _of_store(path: Path) -> TraceSource:
    store = Store(path)
    labels: Labels = {}
    for name, spec in store.labels.items():
        if spec.kind == "trace":
            values = {i: store.trace(name, row) for row, i in enumerate(store.ids)}
            labels[name] = _even(values, spec.rate_hz)
    folds = any(str(fold) not in ("", "nan") for fold in store.meta.get("fold", ()))
    splits = {i: str(s) for i, s in zip(store.ids, store.meta.get("split", ())) if s}
    made_by = str(store.provenance.get("command", ""))
    seen = {i: str(status) for i, status in zip(store.ids, store.meta.get("seen", ()))}
    return TraceSource(
        str(path), path, "store", store.content_id, labels, splits, folds, made_by, seen
    )


def _of_manifest(path: Path) -> TraceSource:
    found = manifest.read(path, expect="corpus")
    specs = {n: s for n, s in items.described_labels(found).items() if s.kind == "trace"}
    given = {item["id"]: items.labels_of(item, specs) for item in found.items}
    labels = {
        name: _even({i: values[name] for i, values in given.items()}, spec.rate_hz)
        for name, spec in specs.items()
    }
    splits = {item["id"]: item["split"] for item in found.items if item.get("split")}
    return TraceSource(found.name, found.path, "manifest", found.content_id, labels, splits)


def _even(values: Mapping[str, np.ndarray | None], rate_hz: float) -> dict[str, Trace]:
    """Traces that begin at 0; missing ones are left out. Their times are parts of one array."""
    there = {i: trace for i, trace in values.items() if trace is not None and len(trace)}
    times = np.arange(max(map(len, there.values()), default=0)) / rate_hz
    return {i: Trace(times[: len(trace)], trace) for i, trace in there.items()}


def _of_file(path: Path) -> TraceSource:
    found = read_trace_file(path)
    labels = _by_column({nfc(path.stem): found})
    return TraceSource(str(path), path, "file", file_content_id(path), labels)


def _of_folder(path: Path) -> TraceSource:
    parts = sorted(part for part in path.iterdir() if part.is_dir() and part.name[0] != ".")
    if parts and not any(file.suffix.lower() in SUFFIXES for file in path.iterdir()):
        files = {part.name: find_trace_files(part) for part in parts}
        labels = {
            name: {i: _all_columns(read_trace_file(file)) for i, file in found.items()}
            for name, found in files.items()
        }
    else:
        files = {"": find_trace_files(path)}
        labels = _by_column({i: read_trace_file(file) for i, file in files[""].items()})
    identity = content_id(
        {name: {i: file_content_id(f) for i, f in found.items()} for name, found in files.items()}
    )
    return TraceSource(str(path), path, "folder", identity, labels)


def _by_column(files: dict[str, TraceFile]) -> Labels:
    labels: Labels = {}
    for identifier, file in files.items():
        for name, values in file.columns.items():
            labels.setdefault(name, {})[identifier] = Trace(file.times, values)
    return labels


def _all_columns(file: TraceFile) -> Trace:
    return Trace(file.times, np.stack(list(file.columns.values()), axis=1))
