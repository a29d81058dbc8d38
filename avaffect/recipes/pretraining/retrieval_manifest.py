"""A retrieval manifest as the input of `adapt`."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.manifest import STANDARD_STREAM, Manifest
from avaffect.training.state import MANIFEST


@dataclass(frozen=True)
class Drawn:
    """queries, pool: distinct ids; pairs (A, draws) into pool; targets (A,) into classes; label:
    the label of the queries; speakers: of the queries, where they are known."""

    queries: list[str]
    pool: list[str]
    pairs: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    label: str
    speakers: frozenset[str]

    def ids(self, role: str) -> list[str]:
        """Of the query or the pool."""
        return self.queries if role == "query" else self.pool


def read_drawn(source: Path, folder: Path) -> tuple[Manifest, Drawn]:
    """The manifest and its content.

    An empty standard input means the manifest that the run interrupted in `folder` had read. Raises
    DataError where it names no query, a query twice, or other than one draw count.
    """
    saved = folder / MANIFEST
    if source == STANDARD_STREAM and saved.exists() and _stdin_is_empty():
        source = saved
    found = manifest.read(source, expect="retrieval")
    if source == saved:
        # It replaces the stream that it was read from: the checkpoint must record the same.
        found = replace(found, path=None)
    items = found.items
    if not items:
        raise DataError(f"{found.name} has no query: there is nothing to adapt to")
    queries = [item["query"] for item in items]
    if len(set(queries)) < len(queries):
        twice = next(query for query in queries if queries.count(query) > 1)
        raise DataError(f"{found.name}: the query {twice} occurs twice")
    counts = {len(item["pool"]) for item in items}
    if len(counts) > 1 or 0 in counts:
        raise DataError(f"{found.name}: queries have different numbers of draws, or none")
    missing = [item["query"] for item in items if not item.get("label")]
    if missing:
        raise DataError(f"{found.name}: the query {missing[0]} has no label")
    pool = list(dict.fromkeys(identifier for item in items for identifier in item["pool"]))
    index_of = {identifier: index for index, identifier in enumerate(pool)}
    classes = tuple(sorted({item["label"] for item in items}))
    return found, Drawn(
        queries,
        pool,
        np.array([[index_of[i] for i in item["pool"]] for item in items], dtype=np.int64),
        np.array([classes.index(item["label"]) for item in items], dtype=np.int64),
        classes,
        found.header.made_with.label or "emotion",
        frozenset(item["speaker"] for item in items if item.get("speaker")),
    )


def save_manifest(found: Manifest, folder: Path) -> None:
    """Keep a manifest with the run's state, so that the run resumes without the pipe."""
    if (folder / MANIFEST).exists():
        return
    header = replace(found.header, base=str(found.folder.resolve()))
    items = [{k: v for k, v in item.items() if k != "kind"} for item in found.items]
    manifest.write(folder / MANIFEST, header, items)


def _stdin_is_empty() -> bool:
    stream = sys.stdin.buffer
    if stream.isatty() or not isinstance(stream, io.BufferedReader):
        return False
    return not stream.peek(1)
