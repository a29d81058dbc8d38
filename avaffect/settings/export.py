"""Settings of `export`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.core.near import meant
from avaffect.settings.base import Seeded, argument, option

# Of manifests, as `data.exchange` registers them.
LISTS = (
    "audformat", "csv", "elan", "huggingface", "kaldi", "lhotse", "rttm", "textgrid", "vtt",
)  # fmt: skip
# Of vectors and frames in stores.
VECTORS = ("csv", "npy", "parquet")
# Of checkpoints.
MODELS = ("onnx", "transformers")
FORMATS = tuple(dict.fromkeys((*LISTS, *VECTORS, *MODELS)))
# Formats of one file -> its suffixes; others are folders.
SUFFIXES = {
    "csv": (".csv",), "onnx": (".onnx",), "parquet": (".parquet",), "rttm": (".rttm",),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Seeded):
    """Writes an artifact in a format of other programs. A manifest of a corpus or of predictions
    becomes a database of audformat, a Kaldi data folder, manifests of lhotse, a data set of Hugging
    Face (huggingface: Parquet), annotations of ELAN (elan), Praat (textgrid), RTTM or WebVTT (vtt),
    or a table (csv). Recordings stay where they are: the output names them. Vectors and frames of a
    store become arrays (npy) or tables (csv, parquet). A checkpoint becomes ONNX, an encoder or a
    classifier with its encoder; an encoder becomes a folder that transformers loads. Both are
    compared with the checkpoint before they are written.

    Warnings name what the format cannot hold. Lists but csv are read again by `manifest`, csv by
    `manifest table`, npy by `import-features`, transformers by `import`. An output folder is new,
    or one that `export` wrote."""

    examples: ClassVar[str] = """
    avaffect export emodb.jsonl --to lhotse -o emodb-lhotse
    avaffect export emodb-split.jsonl --to kaldi -o emodb-kaldi
    # Predictions as tiers beside the recordings' names, to look at in ELAN
    avaffect predict talk.wav --model er.safetensors --window 2 -o p.jsonl
    avaffect export p.jsonl --to elan -o annotations
    # A model for onnxruntime, compared with torch on a recording
    avaffect export er.safetensors --to onnx --speech talk.wav -o er.onnx
    """

    artifact: Path = argument(
        "Manifest, store or checkpoint; - (the default): a manifest from standard input.",
        default=Path("-"),
        metavar="ARTIFACT",
    )  # fmt: skip
    to: str = option(
        MISSING, "Format: " + ", ".join(FORMATS) + ".", "--to", choices=FORMATS, metavar="FORMAT"
    )
    output: Path = option(
        MISSING,
        "Folder to write, or the file of csv, onnx, parquet and rttm.",
        "-o",
        "--output",
        role="output",
    )
    run: int | None = option(
        None, "Run of several, of predictions, or of a classifier as onnx.", "--run", at_least=0
    )
    stream: str | None = option(
        None, "Vectors, stream or trace of a store. Default: its only vectors, or else its "
        "features.",
        "--stream", metavar="NAME",
    )  # fmt: skip
    speech: tuple[Path, ...] = option(
        (),
        "Recording or store on which onnx or transformers is compared with the checkpoint; of a "
        "store its first 20 utterances. Default: noise. Repeatable.",
        "--speech",
        role="input",
        metavar="FILE",
    )
    embed: bool = option(
        False, "Recordings inside the Parquet files of huggingface, in place of their paths.",
        "--embed",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.to not in FORMATS:
            raise UsageError(
                f"--to {self.to}: no format; known: {', '.join(FORMATS)}{meant(self.to, FORMATS)}"
            )
        if self.embed and self.to != "huggingface":
            raise UsageError("--embed is for --to huggingface")
