"""Settings of `report`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Seeded, argument, option

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, kw_only=True)
class ReportSettings(Seeded):
    """Writes one HTML page that needs no other file and no network: pictures and sound are within
    it. It has a section for everything that the artifacts hold, and for what they were made from:
    lineage, data, training, scores, retrieval, traces, embeddings. The order of the artifacts does
    not matter."""

    examples: ClassVar[str] = """
    avaffect report media.h5 er.safetensors predictions.jsonl -o report.html
    # A retrieval with the pool's true labels, and its adaptation
    avaffect report retrieval.jsonl adapted.safetensors --gold vox-labels.jsonl \\
      -o report.html
    # Runs side by side
    avaffect report frozen.jsonl adapted.jsonl --baseline frozen -o report.html
    """

    artifacts: tuple[Path, ...] = argument(
        "Stores, checkpoints, manifests, reports of scores (.json) and histories of training "
        "(.metrics.jsonl).", metavar="ARTIFACT",
    )  # fmt: skip
    output: Path = option(MISSING, "Page to write, a .html.", "-o", "--output", role="output")
    title: str = option("", "Title of the page. Default: its output's name.", "--title")
    gold: tuple[Path, ...] = option(
        (), "Gold labels by id, of retrieved utterances and of predicted traces: a store or a "
        "corpus manifest. Default: those in the stores behind the artifacts. Repeatable.",
        "--gold", role="input", metavar="GOLD",
    )  # fmt: skip
    label: str | None = option(
        None, "Name of the label of retrieved utterances in GOLD. Default: the label of the "
        "queries.", "--label", metavar="NAME",
    )  # fmt: skip
    by: tuple[str, ...] = option(
        (), "What colours and separates embeddings: a class label, or a field such as speaker. "
        "Default: the first class label. Repeatable.", "--by", metavar="NAME",
    )  # fmt: skip
    baseline: str | None = option(
        None, "Baseline of the comparison, by name or file. Default: the first.", "--baseline",
        metavar="NAME",
    )  # fmt: skip
    queries: int = option(8, "Number of queries in the gallery.", "--queries", at_least=1)
    retrieved: int = option(6, "Number of retrieved clips per query.", "--retrieved", at_least=1)
    faces: int = option(48, "Number of faces in a contact sheet.", "--faces", at_least=0)
    traces: int = option(4, "Number of recordings with traces.", "--traces", at_least=0)
    listen: bool = option(
        False, "Show levels, noise, near-duplicates and outliers of the sound, as `explore` does: "
        "slow for a large corpus.", "--listen",
    )  # fmt: skip
    points: int = option(600, "Utterances of a projection at most.", "--points", at_least=10)
    perplexity: float = option(
        30.0, "Perplexity of t-SNE, at most a third of the utterances.", "--perplexity", above=0,
        at_most=1000,
    )  # fmt: skip
    megabytes: float = option(
        16.0, "Size of all pictures and sound in the page at most, in MB; what goes beyond is left "
        "out and counted.", "--megabytes", at_least=0, at_most=500,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"-o {self.output}: a page is written; name it {self.output.stem}.html"
            )
