"""The common table of faults: what was tried, how often all was well, and what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Line:
    """One fault. tries: how often; bad: what went wrong -> how often, of which an example is kept;
    note: what else is to be known."""

    fault: str
    tries: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def survived(self) -> int:
        return self.tries - self.bad.total()

    def add(self, wrong: str | None, example: str = "") -> None:
        """One try; wrong: what went wrong, None where all was well."""
        self.tries += 1
        if wrong is not None:
            self.bad[wrong] += 1
            self.examples.setdefault(wrong, example)


def show(lines: Sequence[Line], examples: bool = False) -> None:
    """The table on standard output; examples: with one command for all that went wrong."""
    cells = [("fault", "tries", "survived", "lost")]
    for line in lines:
        lost = ", ".join(f"{count} {what}" for what, count in line.bad.most_common()) or "nothing"
        lost += f"; {line.note}" * bool(line.note)
        cells.append((line.fault, f"{line.tries:,}", f"{line.survived:,}", lost))
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    for fault, tries, survived, lost in cells:
        print(f"{fault:<{widths[0]}}  {tries:>{widths[1]}}  {survived:>{widths[2]}}  {lost}")
    for line in lines if examples else ():
        for what, example in line.examples.items():
            print(f"\n{line.fault}: {what}\n  {example}")
