"""`info`: content and provenance of an artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core import headers
from avaffect.core.errors import DataError
from avaffect.data import artifacts, manifest
from avaffect.data.artifacts import Artifact
from avaffect.data.store.reader import Store
from avaffect.recipes.common.ancestry import parent_of
from avaffect.recipes.common.descriptions import (
    CheckpointDescription,
    ClassSummary,
    Description,
    InputDescription,
    LabelSummary,
    Losses,
    ManifestDescription,
    ScalarSummary,
    StoreDescription,
    StreamSummary,
    TraceSummary,
)
from avaffect.recipes.common.verification import FOREIGN_ROLES


def info(path: Path, lineage: bool = False) -> Description:
    """What one artifact says of itself.

    lineage: with the inputs of its inputs. Raises DataError when it is none, or is cut short.
    """
    artifact = artifacts.describe(path)
    return _DESCRIBED[artifact.kind](
        artifact,
        path=str(path),
        kind=artifact.kind,
        version=artifact.header.version,
        content_id=artifact.content_id,
        made_by=artifact.provenance.get("command"),
        settings=artifact.provenance.get("settings", {}),
        losses=_losses(artifact),
        inputs=_inputs(artifact, lineage),
    )


def _losses(artifact: Artifact) -> Losses | None:
    found = artifact.provenance.get("losses")
    return None if found is None else Losses.from_dict(found)


def _store(artifact: Artifact, **facts: Any) -> StoreDescription:
    store = Store(artifact.path)
    return StoreDescription(
        **facts,
        count=store.count,
        streams={name: _stream(store, name) for name in store.streams},
        pooled={name: spec.dim for name, spec in store.pooled.items()},
        labels={name: _label(store, name) for name in store.labels},
        meta={name: _column(values) for name, values in store.meta.items()},
    )


def _stream(store: Store, name: str) -> StreamSummary:
    spec, lengths = store.streams[name], store.lengths(name)
    hours = round(float(lengths.sum()) / spec.rate_hz / 3600, 4) if spec.rate_hz else None
    present = int((lengths > 0).sum())
    return StreamSummary.from_dict({**spec.describe(), "present": present, "hours": hours})


def _label(store: Store, name: str) -> LabelSummary:
    spec = store.labels[name]
    if spec.kind == "class":
        values = store.label(name)
        counts = {c: int((values == i).sum()) for i, c in enumerate(spec.classes)}
        return ClassSummary(kind=spec.kind, classes=counts, missing=int((values < 0).sum()))
    if spec.kind == "scalar":
        values = store.label(name)
        valid = values[~np.isnan(values)]
        return ScalarSummary(
            kind=spec.kind,
            range=(float(valid.min()), float(valid.max())) if valid.size else None,
            missing=int(np.isnan(values).sum()),
        )
    if spec.kind == "trace":
        lengths = np.diff(store.trace_offsets(name))
        return TraceSummary(
            kind=spec.kind,
            rate_hz=spec.rate_hz,
            raters=spec.raters,
            range=_range_of_trace(store, name),
            hours=round(float(lengths.sum()) / spec.rate_hz / 3600, 4),
            missing=int((lengths == 0).sum()),
        )
    return LabelSummary(kind=spec.kind)


def _range_of_trace(store: Store, name: str) -> tuple[float, float] | None:
    known = (block[~np.isnan(block)] for block in store.trace_blocks(name))
    ends = [(block.min(), block.max()) for block in known if block.size]
    return (
        (float(min(low for low, _ in ends)), float(max(high for _, high in ends))) if ends else None
    )


def _column(values: list[str] | np.ndarray) -> dict[str, int] | str | tuple[float, ...] | None:
    if isinstance(values, list):
        distinct = Counter(values)
        return dict(distinct) if len(distinct) <= 8 else f"{len(distinct)} distinct"
    valid = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return (float(valid.min()), float(valid.max())) if valid.size else None


def _checkpoint(artifact: Artifact, **facts: Any) -> CheckpointDescription:
    return CheckpointDescription(**facts, header=headers.read_named(artifact.path))


def _manifest(artifact: Artifact, **facts: Any) -> ManifestDescription:
    whole = manifest.read(artifact.path)
    return ManifestDescription(
        **facts,
        content=whole.content,
        count=len(whole),
        splits=dict(Counter(str(item.get("split")) for item in whole.items)),
        labels=whole.header.labels,
    )


def _inputs(artifact: Artifact, lineage: bool) -> tuple[InputDescription, ...]:
    found = []
    for reference in artifact.provenance.get("inputs", []):
        entry = InputDescription.from_dict(reference)
        # The lineage begins with these.
        if lineage and entry.path and entry.role not in FOREIGN_ROLES:
            try:
                parent = parent_of(reference, artifact.path)
                made_by = parent.provenance.get("command")
                entry = replace(entry, made_by=made_by, inputs=_inputs(parent, lineage))
            except DataError as error:
                entry = replace(entry, missing=str(error))
        found.append(entry)
    return tuple(found)


_DESCRIBED: dict[str, Callable[..., Description]] = {
    "store": _store,
    "checkpoint": _checkpoint,
    "manifest": _manifest,
}
