"""Traces of given values as users have them: tables, folders, stores, manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer

Traces = dict[str, np.ndarray]


def wave(seconds: float, rate_hz: float, start_s: float = 0.0) -> np.ndarray:
    times = start_s + np.arange(round(seconds * rate_hz)) / rate_hz
    return 0.8 * np.sin(times) * np.cos(0.3 * times)


def write_table(path: Path, columns: Traces, rate_hz: float = 10, start_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["time", *columns]
    steps = len(next(iter(columns.values())))
    rows = [
        [start_s + k / rate_hz, *("" if np.isnan(v[k]) else float(v[k]) for v in columns.values())]
        for k in range(steps)
    ]
    lines = [";".join(map(str, row)) for row in (names, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_folder(folder: Path, recordings: Traces, label: str = "arousal", **how: Any) -> Path:
    for name, values in recordings.items():
        write_table(folder / f"{name}.csv", {label: values}, **how)
    return folder


def write_traces(
    path: Path, recordings: dict[str, Traces], rate_hz: float = 10, raters: int = 0,
    meta: dict[str, dict[str, Any]] | None = None,
) -> Path:  # fmt: skip
    """A store of trace labels: id -> label -> (T,) or (T, raters)."""
    names = list(dict.fromkeys(name for traces in recordings.values() for name in traces))
    specs = {name: LabelSpec("trace", rate_hz=rate_hz, raters=raters) for name in names}
    with store_writer(path, provenance("predict", {}, []), labels=specs) as writer:
        for identifier, traces in recordings.items():
            writer.add(identifier, labels=traces, meta=(meta or {}).get(identifier))
    return path


def write_manifest(path: Path, recordings: Traces, rate_hz: float = 10, **fields: Any) -> Path:
    header = manifest.new_header(
        "corpus", labels={"arousal": {"kind": "trace", "rate_hz": rate_hz}}
    )
    found = [
        {"id": name, "labels": {"arousal": [None if np.isnan(v) else float(v) for v in values]},
         **{key: of[name] for key, of in fields.items()}}
        for name, values in recordings.items()
    ]  # fmt: skip
    manifest.write(path, header, found)
    return path
