"""Settings of `eval-embeddings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Seeded, argument, option
from avaffect.settings.printed import Printed


@dataclass(frozen=True, kw_only=True)
class EvalEmbeddingsSettings(Printed, Seeded):
    """Davies-Bouldin index of the classes of a label, of speakers or of corpora in one vector an
    utterance: lower is more apart. --plot draws the vectors in two dimensions by t-SNE, such as
    before and after adaptation (SAAML, figure 4).

    The output is a table on a terminal, tab-separated in a pipe, JSON with --json or -o."""

    examples: ClassVar[str] = """
    avaffect extract U.h5 --model pretrained.safetensors --pooled-only \\
      -o before.h5
    avaffect extract U.h5 --model adapted.safetensors --pooled-only -o after.h5
    avaffect eval-embeddings before.h5 after.h5 --by emotion --by speaker \\
      --plot figure4.png
    """

    stores: tuple[Path, ...] = argument("Stores with a vector an utterance.", metavar="STORE.h5")
    by: tuple[str, ...] = option(
        ("emotion",), "What is told apart: a class label, a field such as speaker, or corpus, the "
        "beginning of ids. Repeatable.", "--by", metavar="NAME",
    )  # fmt: skip
    vectors: str | None = option(
        None, "Vectors to read. Default: embedding, mean or the only ones.", "--vectors",
        metavar="NAME",
    )  # fmt: skip
    plot: Path | None = option(
        None, "Picture of t-SNE to draw (.png, .svg, .pdf): a row for each --by, a column for each "
        "store. Needs matplotlib.", "--plot", role="output", metavar="FILE",
    )  # fmt: skip
    points: int = option(
        1000, "Utterances of the picture at most, drawn by --seed.", "--points", at_least=10
    )
    perplexity: float = option(
        30.0, "Perplexity of t-SNE, at most a third of the utterances.", "--perplexity", above=0,
        at_most=1000,
    )  # fmt: skip
    json: bool = option(
        False, "Print one JSON object per file, on a line each.", "--json", role="runtime"
    )
