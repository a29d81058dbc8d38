"""Manifests: JSON Lines with a header, items and an end record; see avaffect-manifest(5).

The only artifact for pipes. A manifest without its end record is truncated, and a command that used
a part of it would lose data silently: `read` therefore checks the end record before it returns any
item.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from avaffect.core import filekind, inputs, plain_json, unchanged
from avaffect.core.atomic import atomic_path
from avaffect.core.errors import DataError, ForeignError
from avaffect.core.hashing import has_digest
from avaffect.core.headers.manifest import FORMAT, VERSION, ManifestHeader
from avaffect.core.near import meant_file
from avaffect.core.nouns import count_of
from avaffect.core.progress import MB, followed, megabytes_of
from avaffect.core.writing import writing
from avaffect.data.manifest_content import ContentHash
from avaffect.data.manifest_items import IDS, check_id, check_items

CONTENTS = ("corpus", "retrieval", "predictions")
STANDARD_STREAM = Path("-")
# Many times that of a recording of hours with a value for each of its pictures.
LARGEST_LINE = 1 << 28
SEVERAL_LINES = "a record spans several lines; use jq -c"
# The command before reported the reason: a second explanation would distract from it.
EMPTY_PIPE = "the pipe is empty: the command before it wrote nothing (see its message)"

Item = dict[str, Any]


@dataclass
class Manifest:
    """A complete manifest. `path` is None for a pipe; its paths are relative to `folder`."""

    header: ManifestHeader
    items: list[Item] = field(default_factory=list)
    path: Path | None = None

    def __iter__(self) -> Iterator[Item]:
        """The items in their order."""
        return iter(self.items)

    @property
    def name(self) -> str:
        """Its name in messages."""
        return "standard input" if self.path is None else str(self.path)

    @property
    def content(self) -> str:
        return self.header.content

    @property
    def folder(self) -> Path:
        """The folder to which the manifest's paths are relative.

        In a file, `base` is relative to the file's own folder; in a pipe, to the current folder.
        """
        start = Path.cwd() if self.path is None else self.path.resolve().parent
        return start / (self.header.base or ".")

    @cached_property
    def content_id(self) -> str:
        """Hash of the manifest's content, without the location of its files (base, paths)."""
        content = ContentHash(self.header)
        for item in followed(self.items, f"hash {self.name}", len(self.items)):
            content.add(item)
        return content.content_id

    def __len__(self) -> int:
        return len(self.items)


def new_header(content: str, **facts: Any) -> ManifestHeader:
    """A header for `content` (corpus, retrieval, predictions) from further keys, JSON-able."""
    return ManifestHeader.from_dict({"content": content, **facts})


def base_for(output: Path | None, folder: Path) -> str:
    """The `base` of a manifest that is written to `output`, for paths relative to `folder`.

    In a file it is relative to the file, so that both can be moved together. In a pipe, which has
    no location, it is absolute, as nowhere else.
    """
    if output is None:
        return str(folder.resolve())
    return Path(os.path.relpath(folder.resolve(), output.resolve().parent)).as_posix()


def read(
    source: Path,
    expect: str | tuple[str, ...] | None = None,
    needed: Callable[[Item], Item] | None = None,
) -> Manifest:
    """Read and verify a manifest from a path or `-` (standard input).

    needed: an item with the fields that the caller reads; the others are verified, and count in the
    content id, but are not in memory.

    Raises DataError if it is empty, truncated, malformed, of another major version, or of other
    content than expected.
    """
    is_stream = source == STANDARD_STREAM
    path = None if is_stream else source
    name = inputs.named(source)
    kinds = " or ".join((expect,) if isinstance(expect, str) else expect or ("manifest",))
    try:
        with _open_source(source) as stream:
            check_start(stream, source, kinds)
            manifest = _parse(stream, name, needed)
    except IsADirectoryError as error:
        raise filekind.other_kind(source, kinds) from error
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file{meant_file(source)}") from error
    except PermissionError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from error
    manifest.path = path
    unchanged.check(source)
    if kinds != "manifest" and manifest.content not in kinds.split(" or "):
        raise filekind.as_other_kind(filekind.MANIFESTS[manifest.content], name, kinds)
    check_items(manifest)
    return manifest


def header_of(path: Path) -> ManifestHeader:
    """The header of a manifest file; the rest is not verified."""
    with path.open("rb") as stream:
        return parse_header(next(lines_of(stream, str(path)), b""), str(path))


@contextlib.contextmanager
def writer(output: Path | None, header: ManifestHeader) -> Iterator[ManifestWriter]:
    """Write a manifest to a path (atomically) or, with None, to standard output.

    The end record is written only if the block ends without an exception: the reader of a pipe
    refuses the output of a failed writer.
    """
    if output is None:
        with writing(None):
            sink = ManifestWriter(sys.stdout.buffer, header)
            yield sink
            sink.end()
        return
    with atomic_path(output) as temporary, temporary.open("wb") as stream:
        sink = ManifestWriter(stream, header)
        yield sink
        sink.end()


def write(output: Path | None, header: ManifestHeader, items: Iterable[Item]) -> int:
    """Write a manifest; returns the number of items."""
    if isinstance(items, Sized):
        items = followed(items, f"write {output or 'the manifest'}", len(items))
    with writer(output, header) as sink:
        for item in items:
            sink.item(item)
    return sink.count


class ManifestWriter:
    """Writes one record a line to an open binary stream; `end` closes the manifest.

    The end record has the digest of all lines before; a header of version 1.0, as other programs
    write it, therefore gets the current version.
    """

    def __init__(self, stream: BinaryIO, header: ManifestHeader) -> None:
        self.stream = stream
        self.count = 0
        self._digest = hashlib.sha256()
        fresh = header if has_digest(header.version) else replace(header, version=VERSION)
        self._record(fresh.to_dict())

    def item(self, item: Item) -> None:
        """Raises DataError for an id that a terminal would obey."""
        for key in IDS:
            check_id(item.get(key), "the manifest")
        self._record({"kind": "item", **item})
        self.count += 1

    def end(self) -> None:
        self._record({"kind": "end", "count": self.count, "digest": _named(self._digest)})
        self.stream.flush()

    def _record(self, record: dict[str, Any]) -> None:
        # Keys are not sorted, so that `kind` comes first and people can read the file.
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        line = text.encode("utf-8") + b"\n"
        self._digest.update(line)
        self.stream.write(line)


def _named(state: hashlib._Hash) -> str:
    return "sha256:" + state.hexdigest()


@contextlib.contextmanager
def _open_source(source: Path) -> Iterator[BufferedReader]:
    if source == STANDARD_STREAM:
        yield cast(BufferedReader, sys.stdin.buffer)
    else:
        with source.open("rb") as stream:
            yield stream


def check_start(stream: BufferedReader, source: Path, needed: str = "manifest") -> None:
    """Raises DataError, with the command to use, if the stream does not start with JSON.

    source: path of the stream, `-` for standard input; needed: see `filekind.other_kind`.
    """
    start = stream.peek(filekind.START_BYTES)[: filekind.START_BYTES]
    if not start and is_pipe(stream):
        raise DataError(EMPTY_PIPE)
    found = filekind.kind_of_bytes(start)
    if found in (*filekind.MANIFESTS.values(), filekind.JSON):
        return
    if source.is_file():
        # Its name may say more.
        raise filekind.other_kind(source, needed)
    name = inputs.named(source)
    raise filekind.as_other_kind(found, name, needed)


def check_end(path: Path, version: str) -> None:
    """Raises DataError if the last line feed is missing. Such a manifest is readable, as no content
    is missing, but it is not as it was written."""
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        if has_digest(version) and stream.read(1) != b"\n":
            raise DataError(f"{path} is cut short: its last line feed is missing; make it again")


def is_pipe(stream: BinaryIO | TextIO) -> bool:
    """Whether a stream is the end of a pipe."""
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:
        # A stream in memory.
        return False


def lines_of(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of the manifest `name`. Raises DataError for one that no writer of manifests makes,
    before memory holds all of it."""
    while line := stream.readline(LARGEST_LINE + 1):
        if len(line) > LARGEST_LINE:
            raise DataError(
                f"{name} is damaged or no manifest: a line is longer than {LARGEST_LINE >> 20} MiB"
            )
        yield line


def _parse(stream: BinaryIO, name: str, needed: Callable[[Item], Item] | None = None) -> Manifest:
    """needed: see `read`."""
    lines = lines_of(stream, name)
    first = next(lines, b"")
    header = parse_header(first, name)
    state = hashlib.sha256(first)
    content = None if needed is None else ContentHash(header)
    items: list[Item] = []
    read = followed(lines, f"read {name}", _megabytes(stream), "MB", megabytes_of)
    for number, line in enumerate(read, start=2):
        record = parse_record(line, name, number)
        kind = record.get("kind")
        if kind == "item":
            state.update(line)
            if needed is not None and content is not None:
                content.add(record)
                record = needed(record)
            items.append(_shared(record))
        elif kind == "end":
            if record.get("count") != len(items):
                raise DataError(
                    f"{name}: its end record counts {record.get('count')}, but it "
                    f"has {count_of(len(items), 'item')}; after a filter, close it with `avaffect "
                    "seal`"
                )
            if stream.read(1):
                raise DataError(f"{name}: something follows its end record (line {number})")
            expected = has_digest(header.version) or "digest" in record
            if expected and record.get("digest") != _named(state):
                raise DataError(
                    f"{name} was changed (its digest differs): after a filter or an edit, close it "
                    "with `avaffect seal`; otherwise it is damaged: make it again"
                )
            found = Manifest(header, items)
            if content is not None:
                found.content_id = content.content_id
            return found
        else:
            raise DataError(f"{name}, line {number}: unknown kind of record {kind!r}")
    raise DataError(
        f"{name} is cut short: it has no end record after {count_of(len(items), 'item')}; make it "
        "again, or close a filtered manifest with `avaffect seal`"
    )


def _megabytes(stream: BinaryIO) -> float | None:
    """The size of a file; None of a pipe."""
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        # A stream in memory.
        return None
    return found.st_size / MB if stat.S_ISREG(found.st_mode) else None


def _shared(record: dict[str, Any]) -> dict[str, Any]:
    """The record with one string for all equal names and texts of all records: predictions of every
    frame of a film have few."""
    return {sys.intern(key): _shared_value(value) for key, value in record.items()}


def _shared_value(value: Any) -> Any:
    if isinstance(value, str):
        return sys.intern(value)
    return _shared(value) if isinstance(value, dict) else value


def parse_header(line: bytes, name: str) -> ManifestHeader:
    """The first line of the manifest `name` as a header; DataError if it is not one."""
    if not line.strip():
        raise DataError(f"{name} is empty: a manifest has at least a header and an end record")
    found = parse_record(line, name, 1)
    if found.get("kind") != "header" or found.get("format") != FORMAT:
        filtered = found.get("kind") in ("item", "end")
        raise ForeignError(
            f"{name} is not a manifest: its first line is not a header of {FORMAT}"
            + "; if a filter dropped it: avaffect seal --like ORIGINAL.jsonl" * filtered
        )
    version = str(found.get("version", ""))
    if version.split(".")[0] != VERSION.split(".")[0]:
        raise DataError(
            f"{name} is a manifest of version {version}; this program reads version "
            f"{VERSION.split('.')[0]}.x"
        )
    if found.get("content") not in CONTENTS:
        raise DataError(f"{name}: unknown content {found.get('content')!r}")
    try:
        return ManifestHeader.from_dict(found)
    except DataError as error:
        raise DataError(f"{name}: in its header, {error}") from error


def parse_record(line: bytes, name: str, number: int) -> dict[str, Any]:
    """One line of the manifest `name` as a record; DataError if it is not one."""
    try:
        record = plain_json.parse(line)
        # A lone surrogate is valid in JSON, but cannot be written again.
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        if not line.endswith(b"\n"):
            raise DataError(f"{name} is cut short in line {number}; make it again") from error
        if line.strip() in (b"{", b"["):
            raise DataError(f"{name}: {SEVERAL_LINES}") from error
        raise DataError(f"{name}, line {number}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise DataError(f"{name}, line {number}: not a JSON object")
    return record
