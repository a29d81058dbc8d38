"""The header of a checkpoint file, read without torch; see avaffect-checkpoint(5).

A safetensors file starts with the length of its JSON header (8 bytes, little-endian). One metadata
key, `avaffect`, holds sorted JSON: the model and its provenance.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from avaffect.core import filekind, plain_json
from avaffect.core.errors import DataError
from avaffect.core.hashing import canonical_json, content_id, has_digest
from avaffect.core.nouns import count_of
from avaffect.core.progress import MB, followed

FORMAT = "avaffect-checkpoint"
VERSION = "1.1"
METADATA_KEY = "avaffect"
DIGEST_KEY = "header_digest"
# safetensors itself refuses headers over 100 MB.
LARGEST_HEADER = 100_000_000

# Keys of the content id; provenance, metrics and lineage are not part of it.
SEMANTIC_KEYS = (
    "format", "kind", "model", "encoder", "mode", "adapters", "inputs", "features", "layers",
    "labels", "distributions", "scalars", "traces", "classes",
    "preprocessing", "normalisation", "pretext", "prediction", "objective",
)  # fmt: skip

Header = dict[str, Any]
Buffer = bytes | memoryview


def read_header(path: Path, *expected: str) -> Header:
    """The `avaffect` header of a checkpoint.

    expected: the allowed kinds of checkpoint; by default all. Raises DataError if the file is
    missing, truncated, no checkpoint of avaffect, of another major version or of another kind, or
    if its header was changed.
    """
    check_kind(path, *expected)
    with path.open("rb") as stream:
        return header_in(path, stream, *expected)


def check_kind(path: Path, *expected: str) -> None:
    """Raises DataError, with the kind of the file, unless it starts like a checkpoint."""
    # A file of unknown kind may be a truncated checkpoint.
    if filekind.kind_of(path) not in (filekind.CHECKPOINT, filekind.UNKNOWN):
        raise filekind.other_kind(path, " or ".join(expected) or "checkpoint")


def header_in(path: Path, stream: BinaryIO, *expected: str) -> Header:
    """`read_header` of an open file. path: its name in messages."""
    needed = " or ".join(expected) or "checkpoint"
    structure = _structure(path, stream)
    text = structure.get("__metadata__", {}).get(METADATA_KEY)
    if text is None:
        raise filekind.as_other_kind(filekind.WEIGHTS, str(path), needed)
    try:
        header = plain_json.parse(text)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise DataError(f"{path} is damaged: its header is not a JSON object; make it again")
    version = str(header.get("version"))
    if header.get("format") != FORMAT or version.split(".")[0] != VERSION.split(".")[0]:
        raise DataError(
            f"{path} is a checkpoint of version {version}; this program reads version "
            f"{VERSION.split('.')[0]}.x"
        )
    if has_digest(version) or DIGEST_KEY in header:
        table = [[n, e.get("dtype"), e.get("shape")] for n, e in _tensors(structure).items()]
        if header_digest(header, table) != header.get(DIGEST_KEY):
            raise DataError(
                f"{path} is damaged: its header was changed (its digest differs); make it again"
            )
    if expected and header.get("kind") not in expected:
        found = filekind.WORDS.get(str(header.get("kind")), filekind.CHECKPOINT)
        raise filekind.as_other_kind(found, str(path), needed)
    return header


def is_later(header: Header) -> bool:
    """Whether a later minor version wrote it: its content id may be of more than is known here."""
    minor = str(header["version"]).partition(".")[2]
    return minor.isdecimal() and int(minor) > int(VERSION.partition(".")[2])


def file_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a safetensors file; DataError for another file."""
    with path.open("rb") as stream:
        return _structure(path, stream).get("__metadata__", {})


def header_digest(header: Header, tensors: Iterable[list[Any]]) -> str:
    """The digest of a header, and of the names, types and shapes of the weights.

    tensors: [name, safetensors dtype, shape] of each, in any order.
    """
    rest = {key: value for key, value in header.items() if key != DIGEST_KEY}
    return content_id([rest, sorted(tensors)])


def tensor_table(path: Path) -> dict[str, dict[str, Any]]:
    """name -> {dtype, shape, data_offsets} of every tensor in the file."""
    with path.open("rb") as stream:
        return _tensors(_structure(path, stream))


def _tensors(structure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: entry for name, entry in structure.items() if name != "__metadata__"}


def checkpoint_content_id(
    header: Header, tensors: Iterable[tuple[str, str, list[int], Buffer]]
) -> str:
    """Hash of a checkpoint's content: its kind, model, labels, preprocessing and weights.

    tensors: (name, safetensors dtype, shape, little-endian bytes), sorted by name. Provenance,
    metrics and references to parents are not part of the content.
    """
    semantic = {key: header[key] for key in SEMANTIC_KEYS if key in header}
    if "runs" in header:
        semantic["runs"] = [
            {key: value for key, value in run.items() if key != "metrics"} for run in header["runs"]
        ]
    state = hashlib.sha256(canonical_json(semantic).encode())
    for name, dtype, shape, content in followed(tensors, "hash weights", None, "MB", _megabytes):
        state.update(canonical_json([name, dtype, shape]).encode())
        state.update(content)
    return "sha256:" + state.hexdigest()


def _megabytes(tensor: tuple[str, str, list[int], Buffer]) -> float:
    return len(memoryview(tensor[3]).cast("B")) / MB


def check_content(
    path: Path, header: Header, tensors: Iterable[tuple[str, str, list[int], Buffer]]
) -> None:
    """Raises DataError where a header's content id is not that of the content.

    tensors: as `checkpoint_content_id` takes them.
    """
    if checkpoint_content_id(header, tensors) != header.get("content_id"):
        raise DataError(
            f"{path} is damaged: its content does not match its content id; make it again, or copy "
            "it again"
        )


def verify(path: Path) -> Header:
    """Recompute the content id from the bytes in the file; DataError if it differs."""
    check_kind(path)
    with path.open("rb") as stream:
        header = header_in(path, stream)
        start = stream.tell()
        stream.seek(0)
        table = _tensors(_structure(path, stream))

        def tensors() -> Iterable[tuple[str, str, list[int], bytes]]:
            for name in sorted(table):
                entry = table[name]
                first, last = entry["data_offsets"]
                stream.seek(start + first)
                yield name, entry["dtype"], entry["shape"], stream.read(last - first)

        check_content(path, header, tensors())
    return header


def _structure(path: Path, stream: BinaryIO) -> dict[str, Any]:
    size = os.fstat(stream.fileno()).st_size
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > min(size - 8, LARGEST_HEADER):
        raise DataError(f"{path} is not a safetensors file, or is cut short")
    try:
        structure = plain_json.parse(stream.read(length))
    except ValueError as error:
        raise DataError(f"{path} is not a safetensors file") from error
    try:
        ends = [_end(e) for n, e in structure.items() if n != "__metadata__"]
        structure.get("__metadata__", {}).get(METADATA_KEY)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged: its table of weights is invalid; make it again"
        ) from error
    whole = 8 + length + max(ends, default=0)
    if size < whole:
        raise DataError(f"{path} is cut short: weights are missing; make or download it again")
    if size > whole:
        raise DataError(
            f"{path} is damaged: {count_of(size - whole, 'byte follows', 'bytes follow')} its "
            "weights; make it again"
        )
    return structure


def _end(entry: dict[str, Any]) -> int:
    """Where a tensor ends. Raises ValueError, KeyError or TypeError for an entry that is none."""
    first, last = entry["data_offsets"]
    for number in (first, last, *entry["shape"]):
        if type(number) is not int or number < 0:
            raise ValueError(f"{number!r} is no number of bytes or elements")
    if first > last or not isinstance(entry["dtype"], str):
        raise ValueError(f"{entry!r} is no tensor")
    return int(last)
