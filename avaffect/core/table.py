"""Tables of texts, whatever draws them: a terminal, tab-separated lines, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """note: what the reader must know of all cells, "" for nothing."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    @classmethod
    def of(
        cls,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        note: str = "",
    ) -> Table:
        """Columns and rows as lists."""
        return cls(title, tuple(columns), tuple(map(tuple, rows)), note)

    def without_single_file(self, files: int) -> Table:
        """Without its first column, the file, where there is only one."""
        if files > 1:
            return self
        return replace(self, columns=self.columns[1:], rows=tuple(row[1:] for row in self.rows))

    def csv(self) -> str:
        """Columns and rows as lines of CSV."""
        sink = io.StringIO()
        csv.writer(sink, lineterminator="\n").writerows([self.columns, *self.rows])
        return sink.getvalue()


@dataclass(frozen=True)
class Style:
    """How cells are written: for people with three decimals and headings in words, for programs
    with six and names as they are."""

    for_people: bool

    def number(self, value: float | None, spread: float | None = None) -> str:
        """A score, for people with its standard deviation; "" for what is undefined."""
        if value is None:
            return ""
        if isinstance(value, int):
            return str(value)
        if not self.for_people:
            return f"{value:.6f}"
        return f"{value:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")

    def headings(self, names: Sequence[str], words: Mapping[str, str]) -> list[str]:
        """Headings of the columns of these names."""
        return [words.get(name, name) for name in names] if self.for_people else list(names)
