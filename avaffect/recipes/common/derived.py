"""Manifests derived from another manifest: the output of split, select and seal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, provenance
from avaffect.data import manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.recipes.common import publishing, work
from avaffect.settings.base import Common, permissions


def write(
    command: str,
    settings: Common,
    facts: dict[str, Any],
    source: Manifest,
    items: list[Item],
    progress: Progress,
    *,
    further_inputs: tuple[dict[str, Any], ...] = (),
    filtered: tuple[str, ...] = (),
) -> int:
    """Write `items` under `source`'s header, with the provenance of `command`; returns their count.

    facts are the settings that affect the result; filtered: of the header, where it is set anew.
    Unknown keys of header and items are copied. Paths are unchanged, with a new `base` for the new
    folder.
    Raises OutputExistsError where the output was made from other inputs or settings.
    """
    record = _record(command, settings, facts, source, further_inputs)
    if publishing.is_done(settings, record, progress, f"write {count_of(len(items), 'item')}"):
        return len(items)
    base = manifest.base_for(settings.output, source.folder)
    fresh = replace(
        source.header,
        base=base,
        provenance=record,
        filtered=filtered or source.header.filtered,
    )
    return manifest.write(settings.output, fresh, items)


def is_current(
    command: str,
    settings: Common,
    facts: dict[str, Any],
    source: Manifest,
    further_inputs: tuple[dict[str, Any], ...],
    progress: Progress,
) -> bool:
    """Whether `write` would find its output up to date, whatever the items: for commands whose
    items take long to find. Raises as `write` does."""
    record = _record(command, settings, facts, source, further_inputs)
    return publishing.is_current(settings, record, progress)


def _record(
    command: str,
    settings: Common,
    facts: dict[str, Any],
    source: Manifest,
    further_inputs: tuple[dict[str, Any], ...],
) -> Provenance:
    inputs = [work.manifest_input("manifest", source, settings.output), *further_inputs]
    return provenance(command, facts, inputs, permissions(settings))
