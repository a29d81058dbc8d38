"""Provenance of an artifact: the command, its settings and its inputs by content id.

A reference names another artifact by its role, a path relative to the file that contains the
reference, and the content id, by which the file is recognised if it was moved. There is no time,
host or absolute path: equal work has equal provenance.
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
    """A reference to `path`, relative to the folder of the file `relative_to`.

    With `relative_to` None (a manifest on standard output) the path is relative to the current
    folder, which is the base in the header of the manifest.
    """
    return {"role": role, "path": relative(path, relative_to), "content_id": content}


def relative(path: Path, relative_to: Path | None) -> str:
    """The path of a reference, as `reference` has it."""
    folder = Path.cwd() if relative_to is None else relative_to.resolve().parent
    return Path(os.path.relpath(path.resolve(), folder)).as_posix()


def provenance(
    command: str,
    settings: dict[str, Any],
    inputs: list[Reference],
    options: dict[str, Any] | None = None,
) -> Provenance:
    """The provenance of an artifact: settings that change the result, and the inputs.

    options: those that change nothing in the result, but without which the command may refuse: what
    is allowed, and paths, as `path_option` has them. They are no part of the identity.
    """
    record = {
        "program": "avaffect",
        "version": __version__,
        "command": command,
        "settings": settings,
        "inputs": inputs,
    }
    return {**record, "options": options} if options else record


def path_option(path: Path, relative_to: Path | None) -> dict[str, str]:
    """The path of an option, relative as in a reference."""
    return {"path": relative(path, relative_to)}


def identity(record: Provenance) -> str:
    """The provenance without paths, options and version: equal for runs that must give the same
    result."""
    return content_id(
        {
            "command": record.get("command"),
            "settings": record.get("settings"),
            "inputs": [[r["role"], r["content_id"]] for r in record.get("inputs", [])],
        }
    )


def of_role(record: Provenance, role: str) -> list[Reference]:
    """The inputs of a role, in order."""
    return [r for r in record.get("inputs", []) if r["role"] == role]
