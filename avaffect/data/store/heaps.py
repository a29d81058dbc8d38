"""HDF5's heaps of texts, checked before the library reads them: it never ends on some damaged ones.

See "Disk Format: Level 1E - Global Heap" in HDF5's File Format Specification; lengths of 8 bytes.
"""

from __future__ import annotations

import os

from avaffect.core.nouns import count_of

SIGNATURE = b"GCOL"
VERSION = b"\x01\0\0\0"
HEAD_BYTES = 16
OBJECT_BYTES = 16
# The library reads a heap by its first 4 KiB; values are read by more.
LARGEST_READ = 1 << 20
# Beyond any text of a store's attributes.
LARGEST_HEAP = 1 << 26


def check_heaps(descriptor: int, position: int, read: memoryview) -> None:
    """Raises ValueError where bytes that were `read` at `position` begin a damaged heap."""
    if len(read) > LARGEST_READ:
        return
    # The signature may have begun in the bytes before.
    start = max(position - len(SIGNATURE) + 1, 0)
    content = os.pread(descriptor, position - start, start) + bytes(read)
    found = content.find(SIGNATURE)
    while found >= 0:
        _check_heap(descriptor, start + found)
        found = content.find(SIGNATURE, found + 1)


def _check_heap(descriptor: int, position: int) -> None:
    head = os.pread(descriptor, HEAD_BYTES, position)
    if head[len(SIGNATURE) : 8] != VERSION or len(head) < HEAD_BYTES:
        # Part of a text, or refused by the library.
        return
    size = int.from_bytes(head[8:], "little")
    if not HEAD_BYTES <= size <= LARGEST_HEAP:
        raise ValueError(f"a heap of its texts has {count_of(size, 'byte')}")
    heap = os.pread(descriptor, size, position)
    at = HEAD_BYTES
    while at + OBJECT_BYTES <= size:
        number = int.from_bytes(heap[at : at + 2], "little")
        length = int.from_bytes(heap[at + 8 : at + OBJECT_BYTES], "little")
        # Object 0 is the space that is left, its own head included.
        step = length if number == 0 else OBJECT_BYTES + -(-length // 8) * 8
        if not 0 < step <= size - at:
            raise ValueError(
                f"object {number} in a heap of its texts has {count_of(length, 'byte')}"
            )
        at += step
