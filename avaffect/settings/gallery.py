"""Settings of `gallery`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Seeded, argument, option


@dataclass(frozen=True, kw_only=True)
class GallerySettings(Seeded):
    """A picture with a row for each of some queries, chosen evenly over the labels: a frame of the
    query's face, then frames of its retrieved clips, with similarities. An utterance without a face
    is shown as a spectrogram of its sound. If the pool's gold labels are known, a green border
    marks a label that equals the query's, a red border another."""

    examples: ClassVar[str] = """
    avaffect gallery retrieval.jsonl -o gallery.png
    # With the gold labels of the pool
    avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 |
      avaffect gallery --gold vox-labels.jsonl -o gallery.png
    """

    retrieval: Path = argument(
        "Retrieval manifest; - (the default): standard input.",
        default=Path("-"),
        metavar="RETRIEVAL",
    )
    output: Path = option(MISSING, "Picture to write, a .png.", "-o", "--output", role="output")
    queries: int = option(8, "Number of queries.", "--queries", at_least=1)
    retrieved: int = option(6, "Number of retrieved clips per query.", "--retrieved", at_least=1)
    gold: tuple[Path, ...] = option(
        (), "Gold labels of the pool by id: a store or a corpus manifest. Default: those in the "
        "pool's stores. Repeatable.", "--gold", role="input", metavar="GOLD",
    )  # fmt: skip
    label: str | None = option(
        None, "Name of the label in GOLD. Default: the label of the queries.", "--label",
        metavar="NAME",
    )  # fmt: skip
    tile: int = option(
        96, "Side of a face in the picture, in pixels.", "--tile", at_least=32, at_most=512
    )
