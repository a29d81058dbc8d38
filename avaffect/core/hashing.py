"""Content ids: SHA-256 over canonical bytes, so that equal content has an equal id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from avaffect.core import unchanged


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and without blanks: equal values give equal strings."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(*parts: bytes | memoryview) -> bytes:
    """SHA-256 (32 bytes) of the parts one after the other."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()


def text_digest(texts: Iterable[str]) -> str:
    """Hex SHA-256 of a list of strings, with their lengths."""
    state = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8")
        state.update(len(encoded).to_bytes(8, "little"))
        state.update(encoded)
    return state.hexdigest()


def file_content_id(path: Path) -> str:
    """`sha256:…` of a file's bytes, which is then the file that the command reads."""
    return unchanged.take(path, lambda: _of_bytes(path))


def _of_bytes(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return "sha256:" + state.hexdigest()


def content_id(value: Any) -> str:
    """`sha256:…` of a description in JSON values."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def has_digest(version: str) -> bool:
    """Whether an artifact of this version has a digest of its header: since 1.1."""
    minor = version.partition(".")[2]
    return minor.isdecimal() and int(minor) >= 1
