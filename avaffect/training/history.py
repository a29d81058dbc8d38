"""The metrics of a run as JSON Lines, appended during training."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from avaffect.core.writing import writing


class History:
    """Writes to `path` (None: nowhere); every line begins with `tags`.

    If seconds of recordings are added, a line has `times_real_time`, the speed since the last line.

    length: bytes of this run and of earlier ones in the file; `digest()`: a hash of them. A resumed
    run removes the lines that were written after its state was saved, as it writes them again.
    """

    def __init__(self, path: Path | None, tags: dict[str, Any]) -> None:
        self.path, self.tags = path, tags
        self.length = path.stat().st_size if path is not None and path.exists() else 0
        self._hash = hashlib.sha256(self._held(self.length))
        self.started = self.since = time.monotonic()
        self.seconds = 0.0

    def add_seconds(self, seconds: float) -> None:
        """Add seconds of recordings that were used in training."""
        self.seconds += seconds

    def write(self, line: dict[str, Any]) -> None:
        if self.path is None:
            return
        now = time.monotonic()
        whole = {**self.tags, **line, "seconds": round(now - self.started, 3)}
        if self.seconds:
            whole["times_real_time"] = round(self.seconds / max(now - self.since, 1e-9), 2)
            self.seconds, self.since = 0.0, now
        text = json.dumps(whole)
        with writing(self.path), self.path.open("ab") as stream:
            stream.write(text.encode() + b"\n")
            self.length = stream.tell()
        self._hash.update(text.encode() + b"\n")

    def digest(self) -> str:
        """A hash of the lines so far."""
        return "sha256:" + self._hash.hexdigest()

    def cut(self, length: int, digest: str | None = None) -> bool:
        """Cut the file to its earlier length; False if these bytes have changed. A state of version
        1.0 has no digest."""
        whole = length <= self.length
        self.length = min(length, self.length)
        self._hash = hashlib.sha256(self._held(self.length))
        if self.path is not None and self.path.exists():
            with self.path.open("ab") as stream:
                stream.truncate(self.length)
        return self.path is None or (whole and digest in (None, self.digest()))

    def _held(self, length: int) -> bytes:
        if self.path is None or not self.path.exists():
            return b""
        with self.path.open("rb") as stream:
            return stream.read(length)
