"""Fields, labels and durations of the utterances of a corpus manifest or a store, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.progress import followed
from avaffect.core.streams import WAVEFORM
from avaffect.data import artifacts, manifest
from avaffect.data.items import audio_of, label_specs, labels_of, video_of
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.recipes.exploring.annotations import trace_summary, vote_summary
from avaffect.recipes.scoring.fields import CORPUS, corpus_of
from avaffect.recipes.scoring.reports.exploration import TraceSummary, VoteSummary

SPLIT, SPEAKER, SEX = "split", "speaker", "sex"
# Splits in their usual order, before others by name.
SPLITS = ("train", "development", "test")
# Of an item, beside fields and labels: where its sound is.
_OF_SOUND = ("id", "media", "start", "end", "audio_channels", "audio_track")


@dataclass(frozen=True)
class Column:
    """codes (N,) int32, -1 where unknown; names: of the codes."""

    codes: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, values: Iterable[Any], order: Sequence[str] = (), known: Sequence[str] = ()
    ) -> Column:
        """Texts and numbers; None and "" are unknown. The first names are those of `order` that
        occur, or all of `known`."""
        texts = [
            "" if value is None else str(value)
            for value in followed(values, "columns", None, "values")
        ]
        there = {*texts} - {""}
        first = [*known, *(name for name in order if name in there)]
        names = (*first, *sorted(there - {*first}))
        place = {name: code for code, name in enumerate(names)} | {"": -1}
        return cls(np.array([place[text] for text in texts], dtype=np.int32), names)

    def at(self, row: int) -> str:
        """The name in a row, "" where it is unknown."""
        code = int(self.codes[row])
        return self.names[code] if code >= 0 else ""


@dataclass(frozen=True)
class Utterances:
    """name: of the source; fields: those that any utterance has; classes, numbers: labels; votes,
    traces: labels, too, summarised, as there may be very many values of them; seconds (N,): NaN
    unknown; corpus: with items that know where the sound is, else store."""

    name: str
    path: Path | None
    content_id: str
    ids: Sequence[str]
    fields: Mapping[str, Column]
    classes: Mapping[str, Column]
    numbers: Mapping[str, np.ndarray]
    seconds: np.ndarray
    corpus: Manifest | None = None
    store: Store | None = None
    votes: Mapping[str, VoteSummary] = field(default_factory=dict)
    traces: Mapping[str, TraceSummary] = field(default_factory=dict)

    def media(self, row: int) -> str:
        """The recording of an utterance, "" where it is not recorded."""
        if self.corpus is not None:
            item = self.corpus.items[row]
            return audio_of(item) or video_of(item)
        sources = None if self.store is None else self.store.meta.get("source")
        return "" if sources is None else str(sources[row])


def read(source: Path, by: Sequence[str], labels: Sequence[str]) -> Utterances:
    """by: fields beside split, speaker and sex; labels: those to look at, () for all.

    Raises DataError for another kind of file, a label that is not there, and a field that no
    utterance has.
    """
    wanted = tuple(dict.fromkeys((SPLIT, SPEAKER, SEX, *by)))
    if source != manifest.STANDARD_STREAM and artifacts.kind_of(source, "corpus") == "store":
        found = _of_store(Store(source), wanted)
    else:
        found = _of_manifest(source, wanted)
    lacking = [name for name in by if name not in found.fields]
    if lacking:
        raise DataError(f"{found.name}: no utterance has the field {lacking[0]!r} (--by)")
    known = {**found.classes, **found.numbers, **found.votes, **found.traces}
    for name in labels:
        if name not in known:
            have = ", ".join(known) or "none"
            raise DataError(
                f"{found.name} has no label {name!r} (it has: {have}){meant(name, known)}"
            )
    if not labels:
        return found
    kinds = ("classes", "numbers", "votes", "traces")
    chosen = {kind: {n: c for n, c in getattr(found, kind).items() if n in labels}
              for kind in kinds}  # fmt: skip
    return Utterances(**{**vars(found), **chosen})


def _of_manifest(source: Path, wanted: Sequence[str]) -> Utterances:
    kept = {*_OF_SOUND, *wanted, "duration_s"}

    def needed(item: Item) -> Item:
        """With traces in little memory, which are most of a large manifest."""
        own = {name: value for name, value in item.items() if name in kept}
        labels = {n: _packed(v) for n, v in (item.get("labels") or {}).items()}
        return {**own, "labels": labels}

    found = manifest.read(source, "corpus", needed)
    specs = label_specs(found)
    classes, numbers, votes, traces = {}, {}, {}, {}
    for name, spec in specs.items():
        values = [item["labels"].get(name) for item in found.items]
        if spec.kind == "class":
            classes[name] = Column.of(values, known=spec.classes)
        elif spec.kind == "scalar":
            numbers[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float32)
        elif spec.kind == "distribution":
            votes[name] = vote_summary(spec.classes, (_checked(i, name, spec) for i in found.items))
        elif spec.kind == "trace":
            own = (_checked(item, name, spec) for item in found.items)
            traces[name] = trace_summary(
                spec.rate_hz, (trace for trace in own if trace is not None)
            )
    fields = {name: _field(found, name) for name in wanted}
    return Utterances(
        found.name, found.path, found.content_id, [item["id"] for item in found.items],
        _known(fields), classes, numbers, np.array([*map(_seconds, found.items)]),
        found, votes=votes, traces=traces,
    )  # fmt: skip


def _packed(value: Any) -> Any:
    """A list of numbers as an array; another value as it is."""
    if not isinstance(value, list):
        return value
    try:
        return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        return value


def _checked(item: Item, name: str, spec: LabelSpec) -> Any:
    """A label of an item as `labels_of` has it, which raises DataError for another kind."""
    value = item["labels"].get(name)
    if isinstance(value, np.ndarray):
        if spec.kind == "trace" and value.ndim in (1, 2) and np.issubdtype(value.dtype, np.number):
            return value if value.size else None
        value = value.tolist()
    return labels_of({"id": item["id"], "labels": {name: value}}, {name: spec})[name]


def _field(found: Manifest, name: str) -> Column:
    values = [item.get(name) for item in found.items]
    if name == CORPUS:
        values = [v or corpus_of(item["id"]) for v, item in zip(values, found.items)]
    return Column.of(values, SPLITS if name == SPLIT else ())


def _seconds(item: Item) -> float:
    """As the manifest says; the sound says more exactly."""
    known, end = item.get("duration_s"), item.get("end")
    if isinstance(known, (int, float)):
        return float(known)
    return float(end) - float(item.get("start") or 0) if isinstance(end, (int, float)) else np.nan


def _of_store(store: Store, wanted: Sequence[str]) -> Utterances:
    classes, numbers, votes, traces = {}, {}, {}, {}
    for name, spec in store.labels.items():
        if spec.kind == "class":
            classes[name] = Column(np.asarray(store.label(name), dtype=np.int32), spec.classes)
        elif spec.kind == "scalar":
            numbers[name] = np.asarray(store.label(name), dtype=np.float32)
        elif spec.kind == "distribution":
            votes[name] = vote_summary(spec.classes, np.asarray(store.label(name)))
        elif spec.kind == "trace":
            own = (store.trace(name, row) for row in range(store.count))
            traces[name] = trace_summary(spec.rate_hz, own)
    seconds = np.full(store.count, np.nan)
    if WAVEFORM in store.streams:
        seconds = store.lengths(WAVEFORM) / store.streams[WAVEFORM].rate_hz
    elif "duration_s" in store.meta:
        seconds = np.asarray(store.meta["duration_s"], dtype=np.float64)
    fields = {
        name: Column.of(_texts(store.meta[name]), SPLITS if name == SPLIT else ())
        for name in wanted
        if name in store.meta
    }
    if CORPUS in wanted and CORPUS not in fields:
        fields[CORPUS] = Column.of(map(corpus_of, store.ids))
    return Utterances(
        str(store.path), store.path, store.content_id, store.ids, _known(fields), classes,
        numbers, seconds, store=store, votes=votes, traces=traces,
    )  # fmt: skip


def _texts(values: list[str] | np.ndarray) -> Iterable[Any]:
    if isinstance(values, list):
        return values
    return [None if value != value else f"{value:g}" for value in values.tolist()]


def _known(fields: Mapping[str, Column]) -> dict[str, Column]:
    return {name: column for name, column in fields.items() if column.names}
