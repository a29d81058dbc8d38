"""Settings of `select`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Seeded, argument, option


@dataclass(frozen=True, kw_only=True)
class SelectSettings(Seeded):
    """An item is kept where every --where holds. Fields are keys of the item (split, speaker, id)
    or its labels (emotion): --where emotion=anger,happiness --where speaker!=emodb_03
    --where recognised>=80. No item left is a valid, empty manifest.
    """

    source: Path = argument("Manifest, - for standard input.", default=Path("-"), metavar="M.jsonl")
    where: tuple[str, ...] = option(
        (), "Keep items for which this holds. Repeatable.", "--where", metavar="CONDITION"
    )
    ids: Path | None = option(
        None, "Keep the ids that this text file lists, one a line.", "--ids", role="input",
        metavar="FILE",
    )  # fmt: skip
    poses: Path | None = option(
        None,
        "Keep items whose faces look ahead, by the landmarks of a store (preprocess --faces yunet) "
        "or by a table of id or file, yaw, pitch and roll in degrees.",
        "--poses",
        role="input",
        metavar="STORE.h5|TABLE.csv",
    )
    within: float | None = option(
        None, "The largest angle of --poses that is kept, 10 unless said.", "--within",
        metavar="DEGREES",
    )  # fmt: skip
    limit: int | None = option(None, "Keep the first N of those.", "--limit", metavar="N")
    sample: int | None = option(
        None, "Keep N of those, drawn by --seed, in their order.", "--sample", metavar="N"
    )
