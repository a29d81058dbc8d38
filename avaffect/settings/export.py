"""Settings of `export`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Seeded, argument, option

# Of manifests, as `data.exchange` registers them.
LISTS = (
    "audformat", "csv", "elan", "huggingface", "kaldi", "lhotse", "rttm", "textgrid", "vtt",
)  # fmt: skip
FORMATS = LISTS
# Formats of one file -> its suffixes; others are folders.
SUFFIXES = {"csv": (".csv",), "rttm": (".rttm",)}


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Seeded):
    """Writes an artifact in a format of other programs. A manifest of a corpus or of predictions
    becomes a database of audformat, a Kaldi data folder, manifests of lhotse, a data set of Hugging
    Face (huggingface: Parquet), annotations of ELAN (elan), Praat (textgrid), RTTM or WebVTT (vtt),
    or a table (csv). Recordings stay where they are: the output names them.

    Warnings name what the format cannot hold. The formats but csv are read again by `manifest`;
    csv by `manifest table`. An output folder is new, or one that `export` wrote."""

    examples: ClassVar[str] = """
    avaffect export emodb.jsonl --to lhotse -o emodb-lhotse
    avaffect export emodb-split.jsonl --to kaldi -o emodb-kaldi
    # Predictions as tiers beside the recordings' names, to look at in ELAN
    avaffect predict talk.wav --model er.safetensors --window 2 -o p.jsonl
    avaffect export p.jsonl --to elan -o annotations
    """

    artifact: Path = argument(
        "Manifest; - (the default): a manifest from standard input.", default=Path("-"),
        metavar="ARTIFACT",
    )  # fmt: skip
    to: str = option(
        MISSING, "Format: " + ", ".join(FORMATS) + ".", "--to", choices=FORMATS, metavar="FORMAT"
    )
    output: Path = option(
        MISSING, "Folder to write, or the file of csv and rttm.", "-o", "--output", role="output"
    )
    run: int | None = option(
        None, "Run whose predictions are written, of several.", "--run", at_least=0
    )
    embed: bool = option(
        False, "Recordings inside the Parquet files of huggingface, in place of their paths.",
        "--embed",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.to not in FORMATS:
            raise UsageError(f"--to {self.to}: no format; known: {', '.join(FORMATS)}")
        if self.embed and self.to != "huggingface":
            raise UsageError("--embed is for --to huggingface")
