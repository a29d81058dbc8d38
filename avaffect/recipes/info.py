"""`info`: content and provenance of an artifact."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data import artifacts, manifest
from avaffect.data.artifacts import Artifact
from avaffect.data.store.reader import Store

# Roles of the inputs of `import` and `import-features`.
IMPORTED = ("weights", "files")


def info(path: Path, lineage: bool = False) -> dict[str, Any]:
    """A JSON-able description of one artifact.

    Raises DataError when it is none, or is cut short.
    """
    artifact = artifacts.describe(path)
    describe = {"store": _store, "checkpoint": _checkpoint, "manifest": _manifest}[artifact.kind]
    return {
        "path": str(path),
        "kind": artifact.kind,
        "version": artifact.header.get("version"),
        "content_id": artifact.content_id,
        **describe(path, artifact),
        "made_by": artifact.provenance.get("command"),
        "settings": artifact.provenance.get("settings", {}),
        "losses": artifact.provenance.get("losses"),
        "inputs": _inputs(artifact, lineage),
    }


def _store(path: Path, artifact: Artifact) -> dict[str, Any]:
    store = Store(path)
    found: dict[str, Any] = {"count": store.count, "streams": {}}
    for name, spec in store.streams.items():
        lengths = store.lengths(name)
        found["streams"][name] = {
            **spec.describe(),
            "present": int((lengths > 0).sum()),
            "hours": round(float(lengths.sum()) / spec.rate_hz / 3600, 4) if spec.rate_hz else None,
        }
    found["pooled"] = {name: spec.dim for name, spec in store.pooled.items()}
    found["labels"] = {name: _label(store, name) for name in store.labels}
    found["meta"] = {name: _column(values) for name, values in store.meta.items()}
    return found


def _label(store: Store, name: str) -> dict[str, Any]:
    spec = store.labels[name]
    found: dict[str, Any] = {"kind": spec.kind}
    if spec.kind == "class":
        values = store.label(name)
        found["classes"] = {c: int((values == i).sum()) for i, c in enumerate(spec.classes)}
        found["missing"] = int((values < 0).sum())
    elif spec.kind == "scalar":
        values = store.label(name)
        valid = values[~np.isnan(values)]
        found["range"] = [float(valid.min()), float(valid.max())] if valid.size else None
        found["missing"] = int(np.isnan(values).sum())
    elif spec.kind == "trace":
        lengths = np.diff(store.trace_offsets(name))
        found |= {"rate_hz": spec.rate_hz, "raters": spec.raters}
        found["range"] = _range_of_trace(store, name)
        found["hours"] = round(float(lengths.sum()) / spec.rate_hz / 3600, 4)
        found["missing"] = int((lengths == 0).sum())
    return found


def _range_of_trace(store: Store, name: str) -> list[float] | None:
    known = (block[~np.isnan(block)] for block in store.trace_blocks(name))
    ends = [(block.min(), block.max()) for block in known if block.size]
    return (
        [float(min(low for low, _ in ends)), float(max(high for _, high in ends))] if ends else None
    )


def _column(values: list[str] | np.ndarray) -> Any:
    if isinstance(values, list):
        distinct = Counter(values)
        return dict(distinct) if len(distinct) <= 8 else f"{len(distinct)} distinct"
    valid = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return [float(valid.min()), float(valid.max())] if valid.size else None


def _checkpoint(path: Path, artifact: Artifact) -> dict[str, Any]:
    header = artifact.header
    keys = ("kind", "model", "mode", "labels", "preprocessing", "normalisation", "pretext",
            "objective", "prediction", "published", "metrics", "runs",
            "labelled_speakers")  # fmt: skip
    return {
        "holds" if key == "kind" else key: header[key]
        for key in keys
        if header.get(key) is not None
    }


def _manifest(path: Path, artifact: Artifact) -> dict[str, Any]:
    whole = manifest.read(path)
    return {
        "content": whole.content,
        "count": len(whole),
        "splits": dict(Counter(str(item.get("split")) for item in whole.items)),
        "labels": whole.header.get("labels"),
    }


def _inputs(artifact: Artifact, lineage: bool) -> list[dict[str, Any]]:
    found = []
    for reference in artifact.provenance.get("inputs", []):
        entry: dict[str, Any] = dict(reference)
        # Weights and features that were imported are no artifact: the lineage begins with them.
        if lineage and reference.get("path") and reference["role"] not in IMPORTED:
            try:
                parent = artifacts.describe(artifacts.locate_parent(reference, artifact.path))
                if parent.content_id == artifact.content_id:
                    raise DataError(f"{parent.path} names itself as its input")
                entry |= {"made_by": parent.provenance.get("command")}
                entry |= {"inputs": _inputs(parent, lineage)}
            except DataError as error:
                entry["missing"] = str(error)
        found.append(entry)
    return found
