"""All that a file means to its readers, where it is read whole: what `check` must not miss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core import checkpoint_header
from avaffect.core.checkpoint_header import tensor_table
from avaffect.data import manifest
from avaffect.data.store.reader import Store


def meaning(path: Path, kind: str) -> str | None:
    """A text that differs where a reader of the file would get another value; None where it cannot
    be read. kind: store, manifest or checkpoint."""
    try:
        return {"store": _store, "manifest": _manifest, "checkpoint": _checkpoint}[kind](path)
    except Exception:
        return None


def header_of(path: Path, kind: str) -> list[range]:
    """The ranges of bytes that describe the others."""
    size = path.stat().st_size
    if kind == "manifest":
        first = len(path.read_bytes().split(b"\n", 1)[0])
        last = len(path.read_bytes().rstrip(b"\n").rsplit(b"\n", 1)[-1]) + 1
        return [range(first + 1), range(size - last, size)]
    if kind == "store":
        values = sorted(_extents(path))
        starts, ends = [0, *(e for _, e in values)], [*(s for s, _ in values), size]
        return [range(start, end) for start, end in zip(starts, ends) if end > start]
    return [range(8 + int.from_bytes(path.read_bytes()[:8], "little"))]


def _extents(path: Path) -> Iterator[tuple[int, int]]:
    """Where a store's datasets of numbers and texts lie."""
    import h5py

    found: list[tuple[int, int]] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            found.append((item.id.get_offset(), item.id.get_offset() + item.nbytes))

    with h5py.File(path) as file:
        file.visititems(visit)
    return iter(found)


def _store(path: Path) -> str:
    store = Store(path)
    arrays = {name: store.values(name) for name in store.streams}
    arrays |= {f"{n} offsets": store.offsets(n) for n in store.streams}
    arrays |= {f"{n} digests": store.digests(n) for n in store.streams}
    arrays |= {f"{n} pooled": store.pooled_vectors(n) for n in store.pooled}
    for name, spec in store.labels.items():
        blocks = store.trace_blocks(name) if spec.kind == "trace" else [store.label(name)]
        arrays[f"{name} label"] = np.concatenate([np.zeros(0), *(b.ravel() for b in blocks)])
    columns = {name: list(values) for name, values in store.meta.items()}
    statistics = {name: spec.statistics for name, spec in store.streams.items()}
    said = [store.version, store.ids, columns, store.streams, store.labels, store.pooled]
    bits = {name: values.tobytes() for name, values in arrays.items()}
    return repr([*said, store.provenance, statistics, store.content_id, bits])


def _manifest(path: Path) -> str:
    found = manifest.read(path)
    return repr([found.header, found.items])


def _checkpoint(path: Path) -> str:
    content, table = path.read_bytes(), tensor_table(path)
    start = 8 + int.from_bytes(content[:8], "little")
    weights = {}
    for name, entry in sorted(table.items()):
        first, last = entry["data_offsets"]
        weights[name] = entry["dtype"], entry["shape"], content[start + first : start + last]
    return repr([checkpoint_header.read_header(path), weights])


def judged(found: dict[str, Any], name: str) -> str | None:
    """What went wrong in a command on the damaged file `name`; None where nothing did."""
    if "died" in found:
        return f"died ({found['died']})"
    if found["status"] == 0:
        return None if found["same"] else "silent"
    if found["status"] != 65:
        return "unexpected" if "unexpected" in found["err"] else f"status {found['status']}"
    return None if name in found["err"] else "unnamed"
