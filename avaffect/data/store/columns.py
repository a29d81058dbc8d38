"""Columns of a store, read when they are used: ids and fields of millions of utterances take more
memory than their embeddings do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

# Bytes of UTF-8 that may begin or be a control character: `shown.is_plain` decides.
_DOUBTFUL = np.zeros(256, dtype=bool)
_DOUBTFUL[[*range(1, 32), 0x7F, 0xC2, 0xE2]] = True


class Columns(Mapping[str, Any]):
    """Named columns; each is read at its first use, and kept."""

    def __init__(self, names: tuple[str, ...], read: Callable[[str], Any]) -> None:
        self._names, self._read = names, read
        self._kept: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._kept:
            self._kept[name] = self._read(name)
        return self._kept[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def is_doubtful(texts: np.ndarray) -> bool:
    """Whether a text of an array of bytes, padded with NUL, may have a control character or a NUL
    within. Ten times as fast as decoding them."""
    if texts.dtype.kind != "S":
        return True
    signs = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), texts.itemsize)
    inner = (signs[:, :-1] == 0) & (signs[:, 1:] != 0)
    return bool(_DOUBTFUL[signs].any() or inner.any())
