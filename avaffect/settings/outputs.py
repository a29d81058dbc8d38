"""Suffixes of outputs and their formats."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.errors import UsageError

# The names that each kind of output goes by, the first one in messages.
SUFFIXES = {
    "store": (".h5", ".hdf5"),
    "manifest": (".jsonl", ".json", ".ndjson"),
    "checkpoint": (".safetensors",),
    "report": (".json", ".jsonl"),
}
WORDS = {
    "store": "a store (HDF5)",
    "manifest": "a manifest (JSON Lines)",
    "checkpoint": "a checkpoint (safetensors)",
    "report": "a report (JSON)",
}
# Names that promise something else; any other name is as good as none.
_OTHERS = (
    ".csv", ".tsv", ".xlsx", ".arff", ".txt", ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".npy",
    ".npz", ".parquet", ".png", ".jpg", ".wav", ".flac", ".mp3", ".mp4", ".html", ".gz", ".zip",
)  # fmt: skip
PROMISES = {*_OTHERS, *(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)}
TABLES = (".csv", ".tsv", ".xlsx", ".txt")


def check_suffix(output: Path | None, kind: str, what: str | None = None) -> None:
    """Raises UsageError where an output's name is that of another format than is written.

    kind: a key of SUFFIXES; what: that is written, in words.
    """
    if output is None or output.suffix.lower() not in PROMISES - {*SUFFIXES[kind]}:
        return
    right = output.with_suffix("")
    if right.suffix.lower() not in SUFFIXES[kind]:
        right = output.with_suffix(SUFFIXES[kind][0])
    message = f"-o {output}: {what or WORDS[kind]} is written; name it {right}"
    if kind == "report" and output.suffix.lower() in TABLES:
        message += f", or redirect the table that is printed: > {output}"
    raise UsageError(message)
