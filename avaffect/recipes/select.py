"""`select`: the items of a manifest that match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import content_id
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import reference
from avaffect.core.seeds import generator
from avaffect.data import filtering, manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.recipes import derived
from avaffect.settings.base import semantic
from avaffect.settings.select import SelectSettings


def select(settings: SelectSettings, progress: Progress = SILENT) -> int:
    """Write the manifest of the items that match; returns their number.

    Raises UsageError for a condition that is none, DataError for a field that no item has.
    """
    conditions = [filtering.Condition.parse(text) for text in settings.where]
    for flag, number in (("--limit", settings.limit), ("--sample", settings.sample)):
        if number is not None and number < 0:
            raise UsageError(f"{flag} {number}: a number of items is not negative")
    if settings.limit is not None and settings.sample is not None:
        raise UsageError("--limit and --sample exclude each other")
    source = manifest.read(settings.source)
    items = source.items
    for condition in conditions:
        filtering.require_field(source, condition)
        items = [item for item in items if condition.holds(item)]
    inputs: tuple[dict[str, Any], ...] = ()
    if settings.ids is not None:
        wanted = _listed(settings.ids)
        inputs = (
            dict(reference("ids", settings.ids, content_id(sorted(wanted)), settings.output)),
        )
        _warn_unknown(source, settings.ids, wanted, progress)
        items = [item for item in items if filtering.identifier_of(item) in wanted]
    items = _fewer(items, settings, progress)
    nothing = "; none left: an empty manifest" if not items else ""
    progress.say(f"kept {len(items)} of {len(source)} items{nothing}")
    return derived.write(
        "select", settings, semantic(settings), source, items, progress, further_inputs=inputs
    )


def _listed(path: Path) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of ids ({error})") from error
    return {line.strip() for line in lines if line.strip()}


def _warn_unknown(source: Manifest, path: Path, wanted: set[str], progress: Progress) -> None:
    unknown = sorted(wanted - {filtering.identifier_of(item) for item in source.items})
    if unknown:
        shown = ", ".join(unknown[:5])
        progress.warn(f"{len(unknown)} ids of {path} are not in {source.name}: {shown}")


def _fewer(items: list[Item], settings: SelectSettings, progress: Progress) -> list[Item]:
    if settings.limit is not None:
        return items[: settings.limit]
    if settings.sample is None:
        return items
    if settings.sample > len(items):
        progress.warn(f"--sample {settings.sample}: only {len(items)} items match; all are kept")
        return items
    drawn = generator(settings.seed, "select").permutation(len(items))[: settings.sample]
    return [items[position] for position in sorted(drawn.tolist())]
