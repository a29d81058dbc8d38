"""The command line that made an artifact, from its provenance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from avaffect.models.heads.registry import HEADS, options_of
from avaffect.recipes.common.ancestry import STREAM, Ancestor
from avaffect.settings.by_command import settings_of
from avaffect.settings.head_options import FittedOptions
from avaffect.settings.spelled import is_repeated, words_of

# Role of an input -> the fields that may hold it where they are not called as the role.
_FIELDS = {
    "manifest": ("source", "stores"),
    "store": ("stores",),
    "retrieval": ("grown", "manifest", "predictions"),
    "rooms": ("room_store",),
    "noise": ("noise_store",),
    "text-encoder": ("model",),
    "media": ("store",),
    "vectors": ("stores",),
    "report": ("reports",),
}
# Roles of inputs that a command finds by itself, through its other inputs.
_FOUND = {
    "adapt": ("query", "pool", "projector", "quantiser"),
    "explore": ("recordings",),
    "preprocess": ("recordings",),
    "pretrain-hubert": ("quantiser",),
    "manifest": ("corpus", "table"),
}

# Of these commands, the roles of inputs that are given; the others are those of the classifier.
_GIVEN = {"bundle": ("classifier", "scores"), "merge-lora": ("classifier",)}


class Unknown(Exception):
    """A command line that the provenance does not hold; its text says why."""


def arguments(ancestor: Ancestor, lineage: Mapping[str, Ancestor]) -> list[str]:
    """The arguments of `avaffect` that make this artifact again, without the output.

    lineage: all ancestors by key; paths are relative to the current folder. Raises Unknown where
    the provenance does not say them.
    """
    command = ancestor.command
    settings_class = settings_of(command) if command else None
    if settings_class is None:
        raise Unknown(f"the command {command!r} is not known" if command else "no provenance")
    fields = {item.name: item for item in dataclasses.fields(settings_class)}
    further = {name: _path(value) for name, value in ancestor.options.items() if name in fields}
    given = {**_given(ancestor, lineage, fields), **_named(ancestor, lineage), **further}
    hints = get_type_hints(settings_class)
    positional: list[str] = []
    options: list[str] = []
    for item in fields.values():
        if item.name not in given or item.name == "output":
            continue
        value, in_place = given[item.name], item.metadata["positional"]
        if in_place and isinstance(value, list) and not is_repeated(hints[item.name]):
            # Files that lie beside the first are found there, as a configuration of weights.
            value = value[0]
        words = words_of(item, hints[item.name], value)
        (positional if in_place else options).extend(words)
    return [command, *positional, *options]


def _given(
    ancestor: Ancestor, lineage: Mapping[str, Ancestor], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Field -> value: settings that are not the defaults, and the paths of inputs."""
    given: dict[str, Any] = {
        name: value
        for name, value in ancestor.settings.items()
        if name in fields and _is_set(value) and value != _plain(fields[name].default)
    }
    if _is_fitted(ancestor):
        # Recorded as 0, and of no use to it.
        given = {name: value for name, value in given.items() if value}
    # Of `split --list`, the content ids of the files that follow as inputs, in this order.
    parts = given.pop("lists", None) if isinstance(given.get("lists"), dict) else None
    of_parts = iter(parts or ())
    found_by_itself = _FOUND.get(ancestor.command, ())
    for parent in ancestor.parents:
        role, _, name = parent.role.partition(":")
        if role in found_by_itself or role not in _GIVEN.get(ancestor.command, (role,)):
            continue
        names = (role.replace(" ", "_"), *_FIELDS.get(role, ()))
        if (ancestor.command, role) == ("import-features", "files"):
            # Its option of this name is a pattern.
            names = ("source",)
        if parts is not None and role == "ids":
            names, name = ("lists",), next(of_parts, "")
        field = next((n for n in names if n in fields), None)
        if field is None:
            raise Unknown(f"which option names its {role} is not known")
        path = path_of(lineage[parent.key])
        value = f"{name}={path}" if name else path
        given.setdefault(field, []).append(value)
    return given


def _is_fitted(ancestor: Ancestor) -> bool:
    """Whether it is a classifier with a head that is fitted at once."""
    head = str(ancestor.settings.get("head"))
    return (
        ancestor.command == "finetune"
        and head in HEADS
        and issubclass(options_of(head), FittedOptions)
    )


def path_of(ancestor: Ancestor) -> str:
    """The path of a file, which is no option; `-` of a stream."""
    if ancestor.kind == STREAM:
        return "-"
    return _path(ancestor.path)


def _path(value: Any) -> Any:
    """A text that is no option."""
    if isinstance(value, list):
        return [_path(one) for one in value]
    return f"./{value}" if isinstance(value, str) and value.startswith("-") else value


def _named(ancestor: Ancestor, lineage: Mapping[str, Ancestor]) -> dict[str, Any]:
    """What some commands record under other names, or not at all."""
    if ancestor.command == "synth":
        # Its folder is where the manifest finds the recordings.
        if ancestor.base is None:
            raise Unknown("the folder of its recordings is not recorded")
        return {"folder": ancestor.base}
    if ancestor.command == "manifest":
        corpus = ancestor.settings.get("corpus")
        role = "table" if corpus == "table" else "corpus"
        source = next((p.key for p in ancestor.parents if p.role == role), None)
        if source is None:
            raise Unknown(f"its {role} is not recorded")
        return {"corpus": corpus, "source": path_of(lineage[source])}
    if ancestor.command == "extract" and "front_end" in ancestor.settings:
        return {"model": ancestor.settings["front_end"]}
    if ancestor.command == "split":
        # Not recorded, as it changes nothing but whether earlier splits are refused.
        return {"replace": True}
    if ancestor.command == "seal":
        raise Unknown("a filter stood before it that is not recorded")
    return {}


def _plain(value: Any) -> Any:
    """As provenance records it."""
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _is_set(value: Any) -> bool:
    return value is not None and value != []
