"""Prints the content of artifacts: lines, or JSON."""

from __future__ import annotations

import json
from typing import Any

from avaffect.core.progress import Progress
from avaffect.settings.info import InfoSettings


def show(settings: InfoSettings, progress: Progress) -> None:
    from avaffect.recipes.info import info

    for path in settings.files:
        found = info(path, settings.lineage)
        if settings.json:
            print(json.dumps(found, ensure_ascii=False))
        else:
            _lines(found)


def _lines(value: dict[str, Any], indent: str = "") -> None:
    """Key, value lines; nested ones indented: readable, and easy to grep."""
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            print(f"{indent}{key}:")
            _lines(entry, indent + "  ")
        elif isinstance(entry, list) and entry and isinstance(entry[0], dict):
            for part in entry:
                print(f"{indent}{key}:")
                _lines(part, indent + "  ")
        elif entry not in (None, {}, []):
            print(f"{indent}{key}: {entry}")
