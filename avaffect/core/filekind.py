"""The kind of a file from its first bytes, and the command that converts it to another kind."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from avaffect.core import faults
from avaffect.core.errors import DataError, ForeignError
from avaffect.core.inputs import STANDARD_INPUT, named
from avaffect.core.near import meant_file

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
BOM = b"\xef\xbb\xbf"
START_BYTES = 4096
# Kinds of files, as they are called in messages.
STORE = "an HDF5 store"
CHECKPOINT = "a checkpoint"
JSON = "JSON, but not a manifest"
REPORT = "a report of scores"
FOLDER = "a folder"
DEVICE = "a device or a pipe, not a file"
EMPTY = "empty (0 bytes)"
BLANK = "empty (blanks alone)"
RECORDING = "a recording"
WEIGHTS = "a file of weights that was not written by avaffect"
ARRAY = "a NumPy array"
TABLE = "a table or other text"
PICTURE = "a picture"
ZIP = "a zip archive"
UNKNOWN = "of a kind that avaffect does not read"
COMPRESSED = {
    b"\x1f\x8b": ("compressed by gzip", "gunzip -k"),
    b"BZh": ("compressed by bzip2", "bunzip2 -k"),
    b"\xfd7zXZ": ("compressed by xz", "unxz -k"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unzstd"),
}
# Suffixes of text tables of other programs.
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".arff")
# First bytes of AVI and WAV, AIFF, FLAC, Ogg, Matroska and WebM, and MP3.
_RECORDINGS = (b"RIFF", b"FORM", b"fLaC", b"OggS", b"\x1aE\xdf\xa3", b"ID3", b"\xff\xfb")
# The first keys of a report (recipes/scoring/reports/base.py).
_REPORT = re.compile(rb'\s*\{("file": ?"([^"\\]|\\.)*", ?)?"content": ?"\w+", ?"')
_WEIGHTS = (".pt", ".pth", ".bin", ".ckpt")
# One way to make each kind of input.
MADE_BY = {
    "corpus": "avaffect manifest CORPUS DIR -o M.jsonl",
    "retrieval": "avaffect retrieve --query A.h5 --pool B.h5 -o R.jsonl",
    "predictions": "avaffect predict MEDIA.h5 --model ER.safetensors -o P.jsonl",
    "store": "avaffect preprocess M.jsonl -o MEDIA.h5",
    "encoder": "avaffect import WEIGHTS.pt -o X.safetensors, or one of the pre-training commands",
    "quantiser": "avaffect cluster MEDIA.h5 -o kmeans.safetensors",
    "projector": "avaffect train-projector MEDIA.h5 --encoder X.safetensors -o P.safetensors",
    "classifier": "avaffect finetune MEDIA.h5 --encoder X.safetensors -o ER.safetensors",
}  # fmt: skip
WORDS = {
    "corpus": "a manifest of a corpus",
    "retrieval": "a manifest of a retrieval",
    "predictions": "a manifest of predictions",
    "manifest": "a manifest (.jsonl)",
    "store": "a store (.h5)",
    "recording": "a recording (audio or video)",
    "encoder": "the checkpoint of an encoder",
    "quantiser": "the checkpoint of a quantiser",
    "projector": "the checkpoint of a projector",
    "classifier": "the checkpoint of a classifier",
    "checkpoint": "a checkpoint (.safetensors)",
    "artifact": "a store, a checkpoint or a manifest",
    "weights": "a file of weights (.pt, .pth, .bin, .safetensors)",
    "ids": "a list of ids (text, one a line)",
    "noise": "a recording, a folder of recordings or a store",
    "report": "a report of eval-class or eval-ccc (-o R.json)",
    "traces": "a store, a manifest, or a table of traces (.csv, .arff)",
}
# Files of a folder that a message names.
NAMED = 3
MANIFESTS = {name: WORDS[name] for name in ("corpus", "retrieval", "predictions")}


def kind_of(path: Path) -> str:
    """One of the words above; DataError where there is no such file, or it cannot be read."""
    if path.is_dir():
        return FOLDER
    if path == STANDARD_INPUT:
        # Where it may be standard input, it is read before it comes here.
        raise DataError(f"{named(path)} cannot be read here: name a file")
    if not path.exists():
        raise DataError(f"{path}: no such file{meant_file(path)}")
    if not path.is_file():
        return DEVICE
    try:
        with path.open("rb") as stream:
            start = stream.read(START_BYTES)
    except OSError as error:
        faults.check_machine(path, error)
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    found = kind_of_bytes(start)
    return WEIGHTS if found in (ZIP, UNKNOWN) and path.suffix.lower() in _WEIGHTS else found


def kind_of_bytes(start: bytes) -> str:
    """The kind of a file by its first bytes; some kinds can be told apart only by suffix."""
    if not start.strip():
        return EMPTY if not start else BLANK
    if HDF5_SIGNATURE.startswith(start[:8]):
        return STORE
    if start[8:9] == b"{" and start[4:8] == bytes(4):
        return CHECKPOINT
    if start.removeprefix(BOM).lstrip()[:1] in (b"{", b"["):
        return _kind_of_json(start.split(b"\n", 1)[0])
    for magic, (words, _) in COMPRESSED.items():
        if start.startswith(magic):
            return words
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return PICTURE
    if start.startswith(_RECORDINGS) or start[4:8] == b"ftyp":
        return RECORDING
    if start.startswith(b"PK\x03\x04"):
        return ZIP
    if start.startswith(b"\x93NUMPY"):
        return ARRAY
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return WEIGHTS
    return TABLE if _is_text(start) else UNKNOWN


def _kind_of_json(line: bytes) -> str:
    if _REPORT.match(line):
        return REPORT
    content = re.search(rb'"content"\s*:\s*"(\w+)"', line)
    if b'"avaffect-manifest"' not in line or content is None:
        return JSON
    return MANIFESTS.get(content[1].decode(), JSON)


def _is_text(start: bytes) -> bool:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    # In any encoding, text has no other control characters.
    return not any(byte < 32 and byte not in b"\t\n\f\r" for byte in start)


def other_kind(path: Path, needed: str) -> DataError:
    """The error for a `path` of another kind than needed: its kind, and the command to use.

    needed: a key of MADE_BY, several joined by " or ", "manifest", "checkpoint" or "artifact".
    Raises DataError itself if there is no such file.
    """
    return as_other_kind(kind_of(path), str(path), needed)


def as_other_kind(found: str, name: str, needed: str) -> DataError:
    """`other_kind` for an input of known kind, such as a pipe."""
    if found in (EMPTY, BLANK):
        return DataError(
            f"{name} is {found}, and {_words(needed)} is needed: the command that wrote it failed, "
            "or was stopped; make it again"
        )
    advice = _advice(found, name, needed)
    return ForeignError(
        f"{name} is {found}, and {_words(needed)} is needed" + (advice and f": {advice}")
    )


def _words(needed: str) -> str:
    return " or ".join(WORDS[part] for part in needed.split(" or "))


def _inside(folder: Path, needed: str) -> list[str]:
    """Files of a needed kind in a folder, such as that of `train`, quoted for a shell."""
    kinds: set[str] = set()
    for part in needed.split(" or "):
        if part in ("manifest", "artifact", *MANIFESTS):
            kinds |= {MANIFESTS[part]} if part in MANIFESTS else {*MANIFESTS.values()}
        if part in ("store", "artifact"):
            kinds.add(STORE)
        if part == "artifact" or "checkpoint" in WORDS[part]:
            kinds.add(CHECKPOINT)
    try:
        return [
            shlex.quote(str(path)) for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".") and kind_of(path) in kinds
        ]  # fmt: skip
    except (DataError, OSError):
        return []


def _advice(found: str, name: str, needed: str) -> str:
    """The command to use."""
    quoted = "-" if name == named(STANDARD_INPUT) else shlex.quote(name)
    needed = needed.removesuffix(" or recording")
    for words, command in COMPRESSED.values():
        if found == words:
            return f"unpack it first: {command} {quoted}"
    inside = _inside(Path(name), needed) if found == FOLDER else []
    if inside:
        more = f" and {len(inside) - NAMED} more" if len(inside) > NAMED else ""
        return f"it holds {', '.join(inside[:NAMED])}{more}"
    listing = _listing(found, quoted) if needed in ("corpus", "manifest", "store") else ""
    if listing:
        return listing + ("; then: avaffect preprocess M.jsonl -o MEDIA.h5" * (needed == "store"))
    if found == MANIFESTS["corpus"] and needed == "store":
        return f"decode its recordings first: avaffect preprocess {quoted} -o MEDIA.h5"
    if found == STORE and needed == "corpus":
        return f"its recordings are decoded already; avaffect info {quoted} shows its manifest"
    if found == CHECKPOINT and needed == "store":
        return f"apply it to a store: avaffect extract MEDIA.h5 --model {quoted} -o F.h5"
    if found == WEIGHTS and needed in ("encoder", "checkpoint", "artifact"):
        return f"import it first: avaffect import {quoted} -o X.safetensors"
    if found == REPORT:
        return f"it is JSON; avaffect compare {quoted} shows it" if needed == "artifact" else ""
    if found == STORE and needed == "report":
        return f"score the traces in it first: avaffect eval-ccc {quoted} --gold GOLD -o R.json"
    first = "corpus" if needed == "manifest" else needed.split(" or ")[0]
    made = f"make one with: {MADE_BY[first]}" if first in MADE_BY else ""
    if found == WORDS["classifier"] and first == "encoder":
        made += f"; the one that it trained: avaffect merge-lora {quoted} -o X.safetensors"
    return made


def _listing(found: str, quoted: str) -> str:
    if found == FOLDER:
        return (
            f"list its recordings first: avaffect manifest CORPUS {quoted} -o M.jsonl (CORPUS: see "
            "avaffect manifest --help)"
        )
    if found == TABLE:
        return f"list its rows first: avaffect manifest table {quoted} --media COLUMN -o M.jsonl"
    if found == RECORDING:
        return (
            "list recordings in a table with a column of their paths first: avaffect manifest "
            "table TABLE.csv --media COLUMN -o M.jsonl"
        )
    return ""
