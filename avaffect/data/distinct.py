"""Whether ids are unique across stores, with a number of 8 bytes for each in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.store.reader import Store

# Odd constants of SplitMix64 (Steele et al., 2014), which mix all bits of a word.
MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
WORD = 8


def check_distinct(stores: Sequence[Store]) -> None:
    """Raise DataError, with the id and both stores, if two of the stores have the same id."""
    if len(stores) < 2:
        return
    numbers = np.empty(sum(store.count for store in stores), dtype=np.uint64)
    end = 0
    for _, block in _blocks(stores):
        begin, end = end, end + len(block)
        numbers[begin:end] = hashes(block)
    numbers.sort()
    twice = numbers[1:][numbers[1:] == numbers[:-1]]
    if not len(twice):
        return
    # Ids of one number need not be one id.
    owner: dict[bytes, Store] = {}
    for store, block in _blocks(stores):
        for identifier in block[np.isin(hashes(block), twice)].tolist():
            if identifier in owner:
                raise DataError(
                    f"the id {identifier.decode()} is in {owner[identifier].path} and in "
                    f"{store.path}; ids are unique across the stores of a role"
                )
            owner[identifier] = store


def hashes(texts: np.ndarray) -> np.ndarray:
    """(N,) uint64 of (N,) bytes; NULs at the end do not count."""
    fixed = np.asarray(texts, dtype=np.bytes_)
    words = -(-fixed.dtype.itemsize // WORD)
    padded = np.zeros((len(fixed), words * WORD), dtype=np.uint8)
    content = np.ascontiguousarray(fixed).view(np.uint8).reshape(len(fixed), -1)
    padded[:, : content.shape[1]] = content
    found = np.zeros(len(fixed), dtype=np.uint64)
    for number, word in enumerate(padded.view(np.uint64).T):
        # A sum, to which words that are zero add nothing: stores pad ids to different lengths.
        place = np.uint64((2 * number + 1) * 0x9E3779B97F4A7C15 % 2**64)
        found += np.where(word == 0, np.uint64(0), _mixed(word ^ place))
    return found


def _mixed(words: np.ndarray) -> np.ndarray:
    for shift, factor in zip((30, 27), MIXERS):
        words = (words ^ (words >> np.uint64(shift))) * factor
    return words ^ (words >> np.uint64(31))


def _blocks(stores: Sequence[Store]) -> Iterator[tuple[Store, np.ndarray]]:
    for store in stores:
        for block in store.id_blocks():
            yield store, block
