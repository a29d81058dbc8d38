"""The settings class of a command, by the command's name."""

from __future__ import annotations

import importlib
from typing import Any


def reference_of(command: str) -> str:
    """`module:name` of the settings of one of our commands: `pretrain-apc` has
    `PretrainApcSettings` in `settings/pretrain_apc.py`."""
    module = module_of(command)
    title = "".join(part.title() for part in command.split("-"))
    return f"avaffect.settings.{module}:{title}Settings"


def module_of(command: str) -> str:
    """The module of a command in `settings` and in `recipes`."""
    return command.replace("-", "_") + "_" * (command == "import")


def settings_of(command: str) -> type | None:
    """The settings class of one of our commands; None for another name, as a file may hold any."""
    module, _, name = reference_of(command).partition(":")
    if not command.replace("-", "").isalnum():
        return None
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) else None
