"""Descriptions of artifacts in sections of aligned rows, for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avaffect.core.headers import (
    CheckpointHeader,
    ClassifierHeader,
    EncoderHeader,
    ProjectorHeader,
    QuantiserHeader,
    ReadLayers,
    Run,
)
from avaffect.core.headers.encoder import Input
from avaffect.core.nouns import count_of
from avaffect.recipes.common.descriptions import (
    CheckpointDescription,
    ClassSummary,
    Description,
    InputDescription,
    LabelSummary,
    ManifestDescription,
    ScalarSummary,
    StoreDescription,
    TraceSummary,
)

Row = tuple[str, ...]
NAMED = 8
# Metrics, in the order of the work.
PARTS = ("first", "last", "training", "development")


@dataclass(frozen=True)
class Section:
    """A title and rows of cells."""

    title: str
    rows: tuple[Row, ...]


def sections(found: Description) -> list[Section]:
    """The content of an artifact, then its provenance; sections without a row are left out."""
    of_kind: Iterator[tuple[str, list[Row]]]
    if isinstance(found, StoreDescription):
        of_kind = _of_store(found)
    elif isinstance(found, ManifestDescription):
        of_kind = _of_manifest(found)
    else:
        of_kind = _of_checkpoint(found)
    made: list[Row] = [("command", found.made_by)] if found.made_by else []
    losses: list[Row] = []
    if found.losses is not None:
        losses = [("found", str(found.losses.found)), ("kept", str(found.losses.kept))]
        losses += [(reason, str(count)) for reason, count in found.losses.lost.items()]
    whole: list[tuple[str, list[Row]]] = [
        ("Identity", [("content id", found.content_id), *made]),
        *of_kind,
        ("Losses, in utterances", losses),
        ("Settings", _flat(found.settings)),
        ("Inputs", list(_inputs(found.inputs))),
    ]
    return [Section(title, tuple(rows)) for title, rows in whole if rows]


def _of_store(found: StoreDescription) -> Iterator[tuple[str, list[Row]]]:
    yield "Utterances", [("count", str(found.count))]
    streams: list[Row] = []
    for name, stream in found.streams.items():
        shape = " x ".join(map(str, stream.shape))
        streams.append((
            name, stream.kind, f"{stream.dtype} {shape}".strip(),
            f"{stream.rate_hz:g} Hz" if stream.rate_hz else "",
            "" if stream.hours is None else f"{stream.hours:g} h",
            count_of(stream.present, "utterance"), _made(json.loads(stream.made)),
        ))  # fmt: skip
    yield "Streams", streams
    yield "Vectors", [(name, count_of(width, "value")) for name, width in found.pooled.items()]
    yield "Labels", [(name, label.kind, *_summary(label)) for name, label in found.labels.items()]
    yield "Fields", [(name, _field(value)) for name, value in found.meta.items()]


def _summary(label: LabelSummary) -> Iterator[str]:
    if isinstance(label, ClassSummary):
        yield _counts(label.classes)
    elif isinstance(label, ScalarSummary):
        yield _range(label.range)
    elif isinstance(label, TraceSummary):
        raters = f", {count_of(label.raters, 'rater')}" if label.raters else ""
        yield f"{_range(label.range)}, {label.rate_hz:g} Hz, {label.hours:g} h{raters}"
    missing = getattr(label, "missing", 0)
    if missing:
        yield f"{missing} missing"


def _of_manifest(found: ManifestDescription) -> Iterator[tuple[str, list[Row]]]:
    counts = {name: count for name, count in found.splits.items() if name != "None"}
    yield found.content.capitalize(), [
        ("items", str(found.count)), *([("splits", _counts(counts))] if counts else []),
    ]  # fmt: skip
    labels: list[Row] = []
    for name, label in (found.labels or {}).items():
        detail = ", ".join(label.classes or ())
        if label.rate_hz is not None:
            raters = f", {count_of(len(label.raters), 'rater')}" if label.raters else ""
            detail = f"{label.rate_hz:g} Hz{raters}"
        labels.append((name, label.kind or "", detail))
    yield "Labels", labels


def _of_checkpoint(found: CheckpointDescription) -> Iterator[tuple[str, list[Row]]]:
    header = found.header
    yield header.kind.capitalize() or "Model", [
        ("model", header.model["name"]), *_reads(header), *_facts(header),
    ]  # fmt: skip
    yield "Configuration", _flat(header.model.get("configuration", {}))
    yield "Labels", list(_labels(header))
    if isinstance(header, EncoderHeader) and header.objective is not None:
        configuration = _flat(header.objective.configuration)
        yield "Objective", [("name", header.objective.name), *configuration]
    if isinstance(header, ClassifierHeader):
        yield from _of_bundle(header)
    yield "Metrics", _metrics(header.metrics)
    if isinstance(header, ClassifierHeader):
        for run in header.runs:
            fold = "" if run.fold is None else f", fold {run.fold}"
            metrics = {name: run.metrics[name] for name in run.metrics if name != "layers"}
            yield f"Run {run.run}, seed {run.seed}{fold}", _metrics(metrics)
    if header.labelled_speakers:
        yield "Labelled speakers", [
            (str(len(header.labelled_speakers)), _some(header.labelled_speakers)),
        ]  # fmt: skip


def _of_bundle(header: ClassifierHeader) -> Iterator[tuple[str, list[Row]]]:
    """How recordings are read; what a bundle holds, was trained on, and its scores."""
    if header.recordings is not None:
        yield "Recordings", _flat(header.recordings.to_dict())
    bundle = header.bundle
    if bundle is None:
        return
    held = bundle.encoder
    rows: list[Row] = [("needs", "no other file")]
    if held is not None:
        rows.append(("encoder", held.model["name"], _short(held.content_id)))
    if bundle.face_model:
        rows.append(("face detector", "its weights"))
    yield "Bundle", rows
    yield "Training data", [
        (one.name, "its store was not found") if one.utterances is None
        else (one.name, count_of(one.utterances, "utterance"),
              count_of(one.speakers or 0, "speaker"))
        for one in bundle.corpora
    ]  # fmt: skip
    for scored in bundle.scores:
        seen = {f"seen in {name}": count for name, count in (scored.seen or {}).items() if count}
        yield f"Held-out scores, {scored.name}", _flat({**scored.scores, **seen})


def _reads(header: CheckpointHeader) -> Iterator[Row]:
    reads = getattr(header, "preprocessing", None)
    if not isinstance(reads, Input):
        return
    yield "reads", ", ".join(reads.streams or ())
    if reads.features:
        yield "features", _made(reads.features)
    yield "frames", f"{reads.rate_hz:g} Hz" if reads.rate_hz else "none in time"
    if reads.sample_rate:
        yield "waveform", f"{reads.sample_rate} Hz"


def _facts(header: CheckpointHeader) -> Iterator[Row]:
    """Further fields of a kind of checkpoint."""
    if isinstance(header, ClassifierHeader):
        yield "encoder", f"{header.encoder['name']}, {header.mode}"
        if header.layers is not None:
            yield "layers", _layers(header.layers, header.runs)
        if header.adapters is not None:
            adapters = header.adapters
            yield "adapters", f"rank {adapters.rank}, alpha {adapters.alpha:g}"
            yield "modules", f"{len(adapters.modules)}: {_some(adapters.modules)}"
    elif isinstance(header, EncoderHeader) and header.published is not None:
        yield "published as", f"{header.published.kind}, names of {header.published.names}"
    elif isinstance(header, QuantiserHeader):
        clustered = header.preprocessing
        layer = "last" if clustered.layer is None else str(clustered.layer)
        yield "clustered", clustered.front_end or f"layer {layer} of an encoder"
        yield "frames", f"{clustered.rate_hz:g} Hz"
    elif isinstance(header, ProjectorHeader):
        projected = header.preprocessing
        which = "last layer" if projected.layer is None else f"layer {projected.layer}"
        yield "projects", f"means of the {which}"
        yield "modality", projected.modality or "all streams of the encoder"
        yield "normalisation", header.normalisation.statistics


def _layers(read: ReadLayers, runs: Sequence[Run]) -> str:
    """The layer that a head reads; of a sum those with most weight, in the mean over runs."""
    if read.layer is not None:
        return f"{read.layer} alone"
    weights: dict[str, float] = {}
    for run in runs:
        for layer, weight in run.metrics.get("layers", {}).items():
            weights[layer] = weights.get(layer, 0.0) + weight / len(runs)
    most = sorted(weights.items(), key=lambda item: -item[1])
    first = ", ".join(f"{layer} {weight:.2f}" for layer, weight in most[:NAMED])
    return f"{first}{', …' if len(most) > NAMED else ''}, of {len(most)} in all"


def _labels(header: CheckpointHeader) -> Iterator[Row]:
    for kind, name in (("class", "labels"), ("distribution", "distributions")):
        for label, classes in (getattr(header, name, None) or {}).items():
            yield label, kind, ", ".join(classes)
    if isinstance(header, ClassifierHeader):
        for label in header.scalars or ():
            yield label, "scalar"
        if header.traces is not None:
            traces = header.traces
            for label in traces.names:
                delay = f", {traces.delay_s:g} s late" if traces.delay_s else ""
                yield label, "trace", f"{traces.rate_hz:g} Hz{delay}"


def _inputs(found: tuple[InputDescription, ...], depth: int = 0) -> Iterator[Row]:
    """Role, path, content id and command; inputs of inputs below them, indented."""
    for entry in found:
        maker = entry.made_by or ""
        if entry.missing:
            maker = f"missing: {entry.missing}"
        yield (
            f"{'  ' * depth}{entry.role}",
            entry.path or "(a stream)",
            _short(entry.content_id),
            maker,
        )
        yield from _inputs(entry.inputs or (), depth + 1)


def _metrics(found: Mapping[str, Any]) -> list[Row]:
    """A row for each score, with columns for first and last epoch, development and others."""
    parts = [name for name, values in found.items() if isinstance(values, Mapping)]
    parts.sort(key=lambda name: PARTS.index(name) if name in PARTS else len(PARTS))
    scores = dict.fromkeys(score for part in parts for score in found[part])
    rows: list[Row] = [("", *parts)] if parts else []
    for score in scores:
        cells = [_text(found[part][score]) if score in found[part] else "" for part in parts]
        rows.append((score, *cells))
    return rows + _flat({name: found[name] for name in found if name not in parts})


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[Row]:
    """Names, nested ones with dots between, and values; fields that are not set are left out."""
    rows: list[Row] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value.keys() == {"name", "configuration"}:
            rows.append((f"{prefix}{name}", str(value["name"])))
            rows += _flat(value["configuration"], f"{prefix}{name}.")
        elif isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            for place, one in enumerate(value):
                rows += _flat(one, f"{prefix}{name}.{place}.")
        elif value not in (None, [], ()):
            rows.append((f"{prefix}{name}", _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)


def _made(values: Mapping[str, Any]) -> str:
    """The origin of a stream, in one line; content ids in short."""
    return ", ".join(f"{n} {_short(v)}" for n, v in _flat(values))


def _short(value: str) -> str:
    return f"{value[:19]}…" if value.startswith("sha256:") else value


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _range(found: tuple[float, ...] | None) -> str:
    if found is None:
        return "no values"
    low, high = (f"{value:.4g}" for value in found)
    return low if low == high else f"{low} to {high}"


def _field(value: dict[str, int] | str | tuple[float, ...] | None) -> str:
    if isinstance(value, dict):
        return _counts({name or "without": count for name, count in value.items()})
    return value if isinstance(value, str) else _range(value)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
