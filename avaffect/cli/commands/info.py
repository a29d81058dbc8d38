"""`avaffect info`."""

from __future__ import annotations

import json
from typing import Any

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.info import InfoSettings


def _call(settings: InfoSettings, progress: Progress) -> None:
    from avaffect.recipes.info import info

    for path in settings.files:
        found = info(path, settings.lineage)
        if settings.json:
            print(json.dumps(found, ensure_ascii=False))
        else:
            _show(found)


def _show(value: dict[str, Any], indent: str = "") -> None:
    """Key, value lines; nested ones indented: readable, and easy to grep."""
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            print(f"{indent}{key}:")
            _show(entry, indent + "  ")
        elif isinstance(entry, list) and entry and isinstance(entry[0], dict):
            for part in entry:
                print(f"{indent}{key}:")
                _show(part, indent + "  ")
        elif entry not in (None, {}, []):
            print(f"{indent}{key}: {entry}")


command = make_command("info", InfoSettings, _call)
