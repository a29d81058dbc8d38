"""A table as CSV, a row an utterance: `manifest table` reads it again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from avaffect.data.exchange.listing import Listing, Utterance

FOLDER = False
TAKEN = ""
NEEDS = ()
TIMES = ("start", "end")


def columns(listing: Listing) -> dict[str, list[Any]]:
    """Name -> values, None where an utterance lacks one: id, media, video, start and end where any
    has them; fields; labels, a distribution as a column NAME.CLASS for each class."""
    found: dict[str, list[Any]] = {"id": [one.id for one in listing]}
    found["media"] = [str(listing.path(one)) if one.media else None for one in listing]
    if any(one.other for one in listing):
        videos = [str((listing.folder / one.other).resolve()) for one in listing]
        found["video"] = [path if one.other else None for one, path in zip(listing, videos)]
    if any(one.is_part for one in listing):
        found |= {"start": [one.start for one in listing], "end": [one.end for one in listing]}
    for name in listing.fields:
        found[_free(name, found)] = [one.fields.get(name) for one in listing]
    for name in listing.plain_labels(distributions=True):
        if listing.labels[name].kind == "distribution":
            for part in listing.labels[name].classes:
                found[_free(f"{name}.{part}", found)] = [_share(one, name, part) for one in listing]
        else:
            found[_free(name, found)] = [one.labels.get(name) for one in listing]
    return found


def write(listing: Listing, output: Path) -> None:
    """Numbers have the digits that they have in the manifest."""
    found = columns(listing)
    with output.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(found)
        rows.writerows(zip(*found.values()))


def _share(one: Utterance, name: str, part: str) -> Any:
    return one.labels.get(name, {}).get(part)


def _free(name: str, taken: dict[str, list[Any]]) -> str:
    """The name of a column that is not taken: a label may be called as a field."""
    while name in taken:
        name += "_label"
    return name
