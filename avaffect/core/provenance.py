"""Provenance of an artifact: the command, its settings and its inputs by content id.

A reference names another artifact by the role it played, a path relative to the file that holds the
reference, and the content id by which the file is recognised wherever it was moved to. Nothing
here knows the time, the host or an absolute path: equal work has equal provenance.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from avaffect import __version__
from avaffect.core.hashing import content_id

Reference = dict[str, str]
Provenance = dict[str, Any]


def reference(role: str, path: Path, content: str, relative_to: Path | None) -> Reference:
    """A reference to `path` as seen from the folder of the file `relative_to`.

    With `relative_to` None (a manifest on standard output) the path is relative to the current
    folder, which the stream's header names as its base.
    """
    folder = Path.cwd() if relative_to is None else relative_to.resolve().parent
    return {
        "role": role,
        "path": Path(os.path.relpath(path.resolve(), folder)).as_posix(),
        "content_id": content,
    }


def provenance(command: str, settings: dict[str, Any], inputs: list[Reference]) -> Provenance:
    """The record that every artifact carries: settings that affect the result, and the inputs."""
    return {
        "program": "avaffect",
        "version": __version__,
        "command": command,
        "settings": settings,
        "inputs": inputs,
    }


def identity(record: Provenance) -> str:
    """Equal for two runs that must give the same result: paths and version are left out."""
    return content_id(
        {
            "command": record.get("command"),
            "settings": record.get("settings"),
            "inputs": [[r["role"], r["content_id"]] for r in record.get("inputs", [])],
        }
    )


def of_role(record: Provenance, role: str) -> list[Reference]:
    """The inputs that played `role`, in order."""
    return [r for r in record.get("inputs", []) if r["role"] == role]
