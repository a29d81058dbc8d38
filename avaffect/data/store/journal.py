"""The utterances of an unfinished store, kept on disk until the store is complete.

A folder beside the output holds the spool files of the writer, which grow, and a journal: one line
for each finished item of the source, with the utterances that it gave (ids, labels, fields, lengths
and digests) and facts of the command. A line counts if it is whole, and if the digests of its
utterances are those of the spool files: what a crash of the machine left is computed again. What
was spooled behind the last line that counts is cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from avaffect.core.kept import JOURNAL, SPOOL, Kept

# Seconds of finished work that a killed process loses at most.
INTERVAL_S = 1.0
READ_BYTES = 1 << 21


@dataclass(frozen=True)
class Entry:
    """A finished item of the source: its utterances, as the writer describes them, and facts."""

    utterances: list[dict[str, Any]]
    facts: Any


class Journal:
    """The journal of a writer with these spool files, by their `forms` (group, name, type, shape).

    Before anything is added, the entries of an earlier process are taken up.
    """

    def __init__(self, kept: Kept, forms: Sequence[Any], step_bytes: Sequence[int]) -> None:
        self._kept = kept
        self._path = kept.folder / JOURNAL
        self._head = _line(list(forms))
        self._pending: list[bytes] = []
        self._written = time.monotonic()
        kept.folder.mkdir(parents=True, exist_ok=True)
        clear_scratch(kept.folder)
        kept.folder.mkdir(exist_ok=True)
        self.files: list[BinaryIO] = [
            open(os.open(self._spool(n), os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: SIM115
            for n in range(len(step_bytes))
        ]
        self._step_bytes = step_bytes
        self._size = 0

    def _spool(self, number: int) -> Path:
        return self._kept.folder / f"{number}{SPOOL}"

    def take_up(self) -> Iterator[Entry]:
        """The entries of an earlier process that count; then the spool files hold their utterances
        and nothing else, and more can be added."""
        ends = [0] * len(self.files)
        size = len(self._head)
        for line in self._lines():
            entry = _parsed(line)
            if entry is None or not self._holds(entry):
                break
            size += len(line)
            ends = [file.tell() for file in self.files]
            self._size = size
            yield entry
        for file, end in zip(self.files, ends):
            file.seek(end)
            file.truncate()
        if not self._size:
            self._path.unlink(missing_ok=True)

    def _lines(self) -> Iterator[bytes]:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as stream:
            if stream.readline() == self._head:
                yield from stream

    def _holds(self, entry: Entry) -> bool:
        """Whether the spool files go on with the values of an entry's utterances."""
        for utterance in entry.utterances:
            spooled = zip(self.files, self._step_bytes, utterance["spooled"])
            for file, size, (steps, digest) in spooled:
                state, rest = hashlib.sha256(), steps * size
                while rest and (block := file.read(min(rest, READ_BYTES))):
                    state.update(block)
                    rest -= len(block)
                if rest or state.hexdigest() != digest:
                    return False
        return True

    def add(self, entry: Entry) -> None:
        """A finished item, whose values are spooled; written at the latest after INTERVAL_S.

        Raises Preempted or Interrupted after a signal, without this item: libraries that call back
        into Python suppress exceptions, and it may lack what came after one.
        """
        if self._kept.flag:
            self.write()
            self._kept.flag.stop()
        self._pending.append(_line([entry.utterances, entry.facts]))
        if time.monotonic() - self._written >= INTERVAL_S:
            self.write()

    def write(self) -> None:
        """Keep all that is finished."""
        if not self._pending:
            return
        self._kept.check()
        with self._kept.flag.steps():
            for file in self.files:
                file.flush()
            content = b"".join(self._pending)
            if not self._size:
                content = self._head + content
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o666), "wb") as stream:
                # Over what an interrupted process left of a line.
                stream.truncate(self._size)
                stream.seek(self._size)
                stream.write(content)
            self._size += len(content)
            self._pending = []
            self._written = time.monotonic()


def clear_scratch(folder: Path) -> None:
    """Remove all that is not kept; all of it, and the folder, where no item was finished."""
    if not (folder / JOURNAL).exists():
        for path in folder.glob(f"*{SPOOL}"):
            path.unlink()
    for path in folder.iterdir():
        if path.name != JOURNAL and path.suffix != SPOOL:
            path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _line(content: Any) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> Entry | None:
    """The entry of a line; None where it was cut short or damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    utterances, facts = json.loads(text)
    return Entry(utterances, facts)
