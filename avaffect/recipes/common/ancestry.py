"""What artifacts were made from, back to the first inputs: each file once, parents first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avaffect.core import filekind, headers, plain_json
from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.provenance import Provenance, Reference
from avaffect.data import artifacts
from avaffect.data.artifacts import Artifact
from avaffect.recipes.common.verification import FOREIGN_ROLES

# Kinds of ancestors beside store, checkpoint and manifest.
REPORT, STREAM, FOREIGN, MISSING = "report", "stream", "foreign", "missing"


@dataclass(frozen=True)
class Parent:
    """An input: its role, and the key of the ancestor."""

    role: str
    key: str


@dataclass(frozen=True)
class Ancestor:
    """An artifact of a lineage, or an input that is none.

    key      of the ancestor in its lineage
    path     from the current folder; "" of a stream
    kind     store, checkpoint, manifest or report; stream (a manifest that went through a pipe),
             foreign (recordings, tables, weights), missing
    content  what a checkpoint or manifest holds: encoder, corpus, ...; else ""
    record   its provenance; parents: its inputs, in the order of the record
    options  of the record, with paths from the current folder
    missing  why it was not found; base: folder of a manifest's media, from the current folder
    """

    key: str
    path: str
    kind: str
    content: str = ""
    record: Provenance | None = None
    parents: tuple[Parent, ...] = ()
    missing: str = ""
    base: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """That made it; "" where it is not known."""
        return str((self.record or {}).get("command") or "")

    @property
    def settings(self) -> dict[str, Any]:
        return dict((self.record or {}).get("settings") or {})


def parent_of(reference: Reference, child: Path) -> Artifact:
    """The artifact that an input of the file `child` names.

    Raises DataError where it is not found, was changed, or is the child itself.
    """
    parent = artifacts.describe(artifacts.locate_parent(reference, child))
    if _key(parent.path) == _key(child):
        raise DataError(f"{parent.path} names itself as its input")
    return parent


def _key(path: Path) -> str:
    """Of a file: merging a single store gives another with its content id."""
    return os.path.realpath(path)


def ancestry(paths: Iterable[Path]) -> list[Ancestor]:
    """The artifacts and reports at `paths` and all that they were made from, parents first.

    An input that is not found is an ancestor of the kind `missing`. Raises DataError where one of
    `paths` is neither an artifact nor a report.
    """
    found = _Found()
    for path in paths:
        found.given(path)
    return list(found.ancestors.values())


class _Found:
    """Ancestors by key, in the order in which they are complete."""

    def __init__(self) -> None:
        self.ancestors: dict[str, Ancestor] = {}
        self._open: set[str] = set()

    def given(self, path: Path) -> None:
        if filekind.kind_of(path) != filekind.REPORT:
            self._artifact(artifacts.describe(path))
            return
        report = Ancestor(_key(path), os.path.relpath(path), REPORT)
        self._add(report, record_of_report(path), path)

    def _artifact(self, artifact: Artifact) -> str:
        key, header = _key(artifact.path), artifact.header
        content = str(getattr(header, "content", "") or "")
        if artifact.kind == "checkpoint":
            content = headers.read_named(artifact.path).kind
        base = getattr(header, "base", None)
        if base is not None:
            base = os.path.relpath(artifact.path.resolve().parent / base)
        made = Ancestor(key, os.path.relpath(artifact.path), artifact.kind, content, base=base)
        self._add(made, artifact.provenance, artifact.path)
        return key

    def _add(self, ancestor: Ancestor, record: Provenance, path: Path) -> None:
        key = ancestor.key
        if key in self.ancestors:
            return
        if key in self._open:
            raise DataError(f"{path} is among the inputs of its inputs")
        self._open.add(key)
        inputs = record.get("inputs", [])
        media = next((e["path"] for e in inputs if e.get("role") == "recordings"), None)
        base = ancestor.base if media is None else os.path.relpath(path.resolve().parent / media)
        parents = tuple(self._parent(entry, path, base) for entry in inputs)
        self._open.discard(key)
        options = {
            name: _from_here(value, path) for name, value in (record.get("options") or {}).items()
        }
        self.ancestors[key] = replace(ancestor, record=record, parents=parents, options=options)

    def _parent(self, entry: dict[str, Any], child: Path, base: str | None) -> Parent:
        role = str(entry.get("role", "input"))
        named = str(entry.get("path") or "")
        if not named:
            return Parent(role, self._stream(entry, child, base))
        place = os.path.relpath(child.resolve().parent / named)
        if role.partition(":")[0] == REPORT:
            return Parent(role, self._by_bytes(entry, child, place))
        if role in FOREIGN_ROLES:
            return Parent(role, self._leaf(place, FOREIGN))
        try:
            return Parent(role, self._artifact(parent_of(entry, child)))
        except DataError as error:
            # Noise, lists of ids and rooms may be artifacts or not: what is there, is there.
            kind = FOREIGN if _is_foreign(place) else MISSING
            words = "" if kind == FOREIGN else str(error)
            return Parent(role, self._leaf(place, kind, words))

    def _by_bytes(self, entry: dict[str, Any], child: Path, place: str) -> str:
        """The key of what `compare` read: a report, an artifact or a table, by its bytes."""
        places = artifacts.places_of(Path(entry["path"]), child.resolve().parent)
        path = next((p for p in places if file_content_id(p) == entry.get("content_id")), None)
        if path is None:
            words = f"{place} is no longer the file that {child} was made from"
            return self._leaf(place, MISSING, words)
        if artifacts.is_table(path):
            return self._leaf(os.path.relpath(path), FOREIGN)
        self.given(path)
        return _key(path)

    def _stream(self, entry: dict[str, Any], child: Path, base: str | None) -> str:
        key = f"stream:{entry.get('content_id')}"
        # The references of a stream start from the folder that it was piped in.
        self._add(
            Ancestor(key, "", STREAM, "corpus", base=base), entry.get("provenance") or {}, child
        )
        return key

    def _leaf(self, place: str, kind: str, missing: str = "") -> str:
        key = f"{kind}:{place}"
        self.ancestors.setdefault(key, Ancestor(key, place, kind, missing=missing))
        return key


def _from_here(value: Any, child: Path) -> Any:
    """The value of an option in the record of a file, with paths from the current folder."""
    if isinstance(value, list):
        return [_from_here(one, child) for one in value]
    if isinstance(value, dict):
        return os.path.relpath(child.resolve().parent / str(value.get("path", "")))
    return value


def _is_foreign(place: str) -> bool:
    try:
        artifacts.kind_of(Path(place))
    except DataError:
        return Path(place).exists()
    return False


def record_of_report(path: Path) -> Provenance:
    """The provenance of the reports in a file: that of the first, with the inputs of all.

    Raises DataError where one of them is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        records = [found["provenance"] for _, found in plain_json.values(text)]
        every = [entry for record in records for entry in record["inputs"]]
        # A comparison may have a file twice, under two names.
        inputs = {(entry["role"], entry["path"]): entry for entry in every}
        return {**records[0], "inputs": list(inputs.values())}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"{path} is a damaged report ({error!r}); make it again") from error
