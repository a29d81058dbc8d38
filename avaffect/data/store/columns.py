"""Columns of a store, read when they are used: ids and fields of millions of utterances take more
memory than their embeddings do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


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
