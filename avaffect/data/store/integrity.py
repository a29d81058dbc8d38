"""Digests of what a store holds, compared where it is read: values of each utterance at its first
reading, columns as a whole. Of an utterance of more than LONG_BYTES, such as a film, a part is
compared block by block, so that a crop does not read all of it.

SHA-256 takes half a second a gigabyte where the processor has instructions for it, less than any
use of the values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.store import schema

# Of a long utterance, so much is hashed at a time, and not kept in memory.
BLOCK_BYTES = 1 << 24
# A longer utterance has digests of its blocks, of about so many bytes each.
LONG_BYTES = 1 << 24
PART_BYTES = 1 << 20


def ragged_digests(lengths: np.ndarray, blocks: Iterable[np.ndarray]) -> np.ndarray:
    """(N, 32) SHA-256 of each utterance, recomputed from blocks of any length."""
    hashes = RowHashes(lengths)
    found = [digest for block in blocks for digest in hashes.update(block)]
    found += hashes.finish()
    return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(len(found), 32)


class RowHashes:
    """SHA-256 of each utterance, from blocks of steps of any length."""

    def __init__(self, lengths: np.ndarray) -> None:
        self._ends = np.cumsum(lengths).tolist()
        self._row = self._position = 0
        self._state = hashlib.sha256()

    def update(self, block: np.ndarray) -> list[bytes]:
        """The next steps; returns the digests of the utterances that end within them."""
        found, done = [], 0
        stop = self._position + len(block)
        while self._row < len(self._ends) and self._ends[self._row] <= stop:
            end = self._ends[self._row] - self._position
            self._state.update(schema.little_endian(block[done:end]))
            found.append(self._next())
            done = end
        self._state.update(schema.little_endian(block[done:]))
        self._position = stop
        return found

    def finish(self) -> list[bytes]:
        """The digests of the utterances that are left: those without steps, at the end."""
        return [self._next() for _ in range(self._row, len(self._ends))]

    def _next(self) -> bytes:
        found, self._state = self._state.digest(), hashlib.sha256()
        self._row += 1
        return found


def block_steps(step_bytes: int) -> int:
    """Steps of a block of a stream that has digests of its blocks."""
    return max(1, PART_BYTES // max(step_bytes, 1))


def is_long(size: int) -> bool:
    """Whether an utterance of so many bytes is compared block by block."""
    return size > LONG_BYTES


def block_lengths(steps: int, each: int) -> np.ndarray:
    """Lengths of the blocks of all steps of a stream: `each`, and the rest."""
    return np.diff(np.append(np.arange(0, steps, each), steps))


class StreamBlocks:
    """The blocks of a stream that have not been compared with their digests yet.

    digests: (M, 32) uint8; each: steps of a block.
    """

    def __init__(self, path: Path, what: str, digests: np.ndarray, each: int) -> None:
        self.path, self.what, self.digests, self.each = path, what, digests, each
        self._verified = bytearray(len(digests))

    def verify(self, values: np.ndarray, start: int, stop: int, name: str) -> None:
        """Compare the blocks of all values of the stream (sum T, ...) that hold start to stop, of
        the utterance `name`. Raises DataError for one that is not as it was written."""
        for number in range(start // self.each, -(-stop // self.each)):
            if self._verified[number]:
                continue
            block = values[number * self.each : (number + 1) * self.each]
            found = hashlib.sha256(schema.little_endian(block)).digest()
            if found != self.digests[number].tobytes():
                raise _changed(self.path, self.what, name)
            self._verified[number] = 1


def _changed(path: Path, what: str, name: str) -> DataError:
    return DataError(f"{path} is damaged: {what} of {name} was changed; make it again")


class Rows:
    """The utterances of a stream or trace that have not been compared with their digests yet.

    what: its name in messages; digests: (N, 32) uint8; name: of an utterance, by its row; release:
    called with values that are done.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        digests: np.ndarray,
        name: Callable[[int], str],
        release: Callable[[np.ndarray], None],
    ) -> None:
        self.path, self.what, self.digests = path, what, digests
        self._name, self._release = name, release
        self.verified = bytearray(len(digests))

    def verify(self, row: int, values: np.ndarray) -> None:
        """Raises DataError if the values of a row, (T, ...), are not those that were written."""
        state = hashlib.sha256()
        step = max(1, BLOCK_BYTES // max(values[:1].nbytes, 1))
        for start in range(0, len(values), step):
            state.update(schema.little_endian(values[start : start + step]))
            if values.nbytes > BLOCK_BYTES:
                self._release(values[start : start + step])
        self._compare(row, state.digest())
        self.verified[row] = 1

    def verified_blocks(
        self, lengths: np.ndarray, blocks: Iterable[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """The blocks, of all utterances in order. Raises DataError as `verify` does."""
        hashes, row = RowHashes(lengths), 0
        for block in blocks:
            for found in hashes.update(block):
                self._compare(row, found)
                row += 1
            yield block
        for found in hashes.finish():
            self._compare(row, found)
            row += 1

    def _compare(self, row: int, found: bytes) -> None:
        if found != self.digests[row].tobytes():
            raise _changed(self.path, self.what, self._name(row))


class ColumnHash:
    """The digest of a whole dataset (`schema.array_digest`), from its blocks.

    expected: hexadecimal, of the dataset at `path` with this dtype and shape.
    """

    def __init__(
        self, path: Path, name: str, expected: str | None, dtype: np.dtype, shape: tuple[int, ...]
    ) -> None:
        self.path, self.name, self.expected = path, name, expected
        self._state = schema.array_digest_start(dtype.newbyteorder("<").str, shape)

    def update(self, block: np.ndarray) -> None:
        self._state.update(schema.little_endian(block))

    def check(self) -> None:
        """After all blocks. Raises DataError if the digest is not the expected one."""
        if self._state.hexdigest() != self.expected:
            raise DataError(
                f"{self.path} is damaged: {self.name} was changed (its digest differs); make it "
                "again"
            )
