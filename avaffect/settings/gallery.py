"""Settings of `gallery`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Seeded, argument, option


@dataclass(frozen=True, kw_only=True)
class GallerySettings(Seeded):
    """A row for each of some queries, chosen evenly over the labels: a frame of its face, then
    frames of what was retrieved for it, with similarities. An utterance without a face shows its
    sound. Where the pool's true labels are known, a green frame says that they agree with the
    query's, a red one that they do not."""

    retrieval: Path = argument(
        "Retrieval manifest; - (the default) is standard input.",
        default=Path("-"),
        metavar="RETRIEVAL",
    )
    output: Path = option(MISSING, "Picture to write, a .png.", "-o", "--output", role="output")
    queries: int = option(8, "How many queries to show.", "--queries")
    retrieved: int = option(6, "How many utterances to show for each.", "--retrieved")
    gold: tuple[Path, ...] = option(
        (), "The pool's true labels, by id: a store or a corpus manifest; by default those in the "
        "pool's stores. Repeatable.", "--gold", role="input", metavar="GOLD",
    )  # fmt: skip
    label: str | None = option(
        None, "The label in GOLD; by default the one that was queried with.", "--label",
        metavar="NAME",
    )  # fmt: skip
    tile: int = option(96, "Height and width of one face in the picture, in pixels.", "--tile")
