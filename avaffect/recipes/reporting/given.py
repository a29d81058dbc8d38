"""The files that a report is of, each read as what it is, whatever the order in which they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avaffect.core import filekind, headers
from avaffect.core.hashing import file_content_id
from avaffect.core.headers import CheckpointHeader
from avaffect.data import manifest
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.monitoring.runs import Followed
from avaffect.training.ending import parsed
from avaffect.training.state import METRICS_SUFFIX

# Of a history, in bytes.
LONGEST_LINE = 1 << 20


@dataclass
class Given:
    """Everything by its kind, in the order of paths. metrics: histories of training; identities:
    path -> content id of each file."""

    stores: list[Store] = field(default_factory=list)
    checkpoints: list[tuple[Path, CheckpointHeader]] = field(default_factory=list)
    corpora: list[Manifest] = field(default_factory=list)
    retrievals: list[Manifest] = field(default_factory=list)
    predictions: list[Manifest] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    metrics: list[Path] = field(default_factory=list)
    identities: dict[Path, str] = field(default_factory=dict)

    @property
    def listed(self) -> list[tuple[str, str]]:
        """(path, kind in a word) of each file."""
        kinds = {store.path: "store" for store in self.stores}
        kinds |= {path: header.kind for path, header in self.checkpoints}
        for found in (*self.corpora, *self.retrievals, *self.predictions):
            kinds[Path(found.name)] = found.content
        kinds |= dict.fromkeys(self.reports, "report") | dict.fromkeys(self.metrics, "history")
        return [(str(path), kinds[path]) for path in self.identities]

    @property
    def artifacts(self) -> list[Path]:
        """Paths of the artifacts and reports, all but histories of training."""
        return [path for path in self.identities if path not in self.metrics]


def read(paths: Sequence[Path]) -> Given:
    """Each file once. Raises DataError naming the first that is neither an artifact, nor a report,
    nor a history of training."""
    found = Given()
    for path in sorted(set(paths)):
        _READERS.get(filekind.kind_of(path), _other)(found, path)
    return found


def _store(found: Given, path: Path) -> None:
    store = Store(path)
    found.stores.append(store)
    found.identities[path] = store.content_id


def _checkpoint(found: Given, path: Path) -> None:
    header = headers.read_named(path)
    found.checkpoints.append((path, header))
    found.identities[path] = header.content_id


def _manifest(found: Given, path: Path) -> None:
    whole = manifest.read(path)
    of = {"corpus": found.corpora, "retrieval": found.retrievals, "predictions": found.predictions}
    of[whole.content].append(whole)
    found.identities[path] = whole.content_id


def _report(found: Given, path: Path) -> None:
    found.reports.append(path)
    found.identities[path] = file_content_id(path)


def _other(found: Given, path: Path) -> None:
    if filekind.kind_of(path) != filekind.JSON or not is_history(path):
        raise filekind.other_kind(path, "artifact")
    found.metrics.append(path)
    found.identities[path] = file_content_id(path)


_READERS = {
    filekind.STORE: _store,
    filekind.CHECKPOINT: _checkpoint,
    filekind.REPORT: _report,
    **dict.fromkeys(filekind.MANIFESTS.values(), _manifest),
}


def is_history(path: Path) -> bool:
    """Whether a file has lines of metrics by step or epoch."""
    with path.open("rb") as stream:
        first = stream.readline(LONGEST_LINE)
    line = parsed(first)
    return path.name.endswith(METRICS_SUFFIX) and ("step" in line or "epoch" in line)


def history(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics of a training, without damaged ones, and without a last one that is not
    yet whole."""
    training = Followed(path.with_name(path.name.removesuffix(METRICS_SUFFIX)))
    return [line.values for line in training.news()[0]]
