"""Names in files, for completion: labels and their classes, fields, layers, columns, and so on.

Each takes the paths on a command line and reads those of its kind. Raises DataError for a file that
cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core import headers
from avaffect.data import manifest
from avaffect.data.tables.streamed import stream_table
from avaffect.settings.outputs import SUFFIXES

if TYPE_CHECKING:
    from avaffect.core.structure import Structure
    from avaffect.data.store.reader import Store

MANIFESTS = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv")


def labels(paths: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Name of a label -> its classes, of stores and manifests."""
    found: dict[str, tuple[str, ...]] = {}
    for store in _stores(paths):
        found |= {name: tuple(spec.classes or ()) for name, spec in store.labels.items()}
    for path in _of(paths, MANIFESTS):
        for name, facts in (manifest.header_of(path).labels or {}).items():
            found.setdefault(name, facts.classes or ())
    return found


def fields(paths: Sequence[Path]) -> list[str]:
    """Labels and fields of stores and manifests."""
    return [*labels(paths), *(name for store in _stores(paths) for name in store.meta)]


def pooled(paths: Sequence[Path]) -> list[str]:
    """Names of vectors of utterances in stores."""
    return [name for store in _stores(paths) for name in store.pooled]


def vectors_and_streams(paths: Sequence[Path]) -> list[str]:
    """Names of vectors, of streams of numbers, and of traces, in stores."""
    return [
        *pooled(paths),
        *(
            n
            for store in _stores(paths)
            for n, spec in store.labels.items()
            if spec.kind == "trace"
        ),
        *(
            n
            for store in _stores(paths)
            for n, spec in store.streams.items()
            if len(spec.shape) < 2
        ),
    ]


def structures(paths: Sequence[Path]) -> Iterator[Structure]:
    """What can be chosen of encoders."""
    for path in _of(paths, SUFFIXES["checkpoint"]):
        found = headers.read(path, headers.EncoderHeader).structure
        if found is not None:
            yield found


def features(paths: Sequence[Path]) -> list[str]:
    """Names of the features that classifiers read."""
    found: list[str] = []
    for path in _of(paths, SUFFIXES["checkpoint"]):
        found += headers.read(path, headers.ClassifierHeader).features or ()
    return found


def columns(paths: Sequence[Path]) -> list[str]:
    """Of tables."""
    found: list[str] = []
    for path in _of(paths, TABLES):
        found += stream_table(path).names
    return found


def corpora() -> Iterable[str]:
    """Of `manifest`."""
    from avaffect.data.corpora import CORPORA

    return CORPORA


def _of(paths: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    return [path for path in paths if path.suffix in suffixes]


def _stores(paths: Sequence[Path]) -> Iterator[Store]:
    for path in _of(paths, SUFFIXES["store"]):
        from avaffect.data.store.reader import Store

        yield Store(path)
