"""Tables of features as other tools write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

IMPORT = "import-features"


def table(
    path: Path, names: Sequence[str], rows: Iterable[Sequence[object]], mark: str = ","
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [mark.join(names), *(mark.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
