"""Settings of `select`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Seeded, argument, option


@dataclass(frozen=True, kw_only=True)
class SelectSettings(Seeded):
    """Keeps an item if every --where holds. Fields are keys of the item (split, speaker, id) or its
    labels (emotion); operators are =, !=, <, <=, > and >=. If no item is left, the output is a
    valid, empty manifest."""

    examples: ClassVar[str] = """
    avaffect select emodb.jsonl --where emotion=anger,happiness \\
      --where 'recognised>=80' -o clear.jsonl
    avaffect select split.jsonl --where split=train --where speaker!=emodb_03 |
      avaffect preprocess - -o a.h5
    # Near-frontal faces
    avaffect select lrw.jsonl --poses lrw.h5 --within 10 -o near-frontal.jsonl
    """

    source: Path = argument(
        "Manifest; - (the default): standard input.", default=Path("-"), metavar="M.jsonl"
    )
    where: tuple[str, ...] = option(
        (),
        "Condition: FIELD=VALUE[,VALUE...], FIELD!=VALUE or FIELD>=NUMBER. Repeatable.",
        "--where",
        metavar="CONDITION",
    )
    ids: Path | None = option(
        None, "Text file of the ids to keep, one per line.", "--ids", role="input",
        metavar="FILE",
    )  # fmt: skip
    poses: Path | None = option(
        None,
        "Head poses that select near-frontal faces: a store with landmarks (preprocess --faces "
        "yunet), or a table of id or file, yaw, pitch and roll in degrees.",
        "--poses",
        role="input",
        metavar="STORE.h5|TABLE.csv",
    )
    within: float | None = option(
        None, "Largest angle of --poses in degrees. Default: 10.", "--within", metavar="DEGREES",
        at_least=0,
    )  # fmt: skip
    limit: int | None = option(
        None, "Number of items to keep, the first ones.", "--limit", metavar="N", at_least=0
    )
    sample: int | None = option(
        None,
        "Number of items to keep, drawn by --seed, in their order.",
        "--sample",
        metavar="N",
        at_least=0,
    )
