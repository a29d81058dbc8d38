"""`merge`: several stores become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import provenance, reference
from avaffect.data import artifacts
from avaffect.data.layout import write_store
from avaffect.data.merging import merged
from avaffect.data.store import Store
from avaffect.settings.base import semantic
from avaffect.settings.merge import MergeSettings


def merge(settings: MergeSettings, progress: Progress = SILENT) -> Path:
    """Join stores in the order given; returns the path of the result.

    Raises DataError where ids collide or streams, labels or pooled vectors differ in kind.
    """
    output = settings.output
    if any(output.exists() and path.exists() and path.samefile(output) for path in settings.stores):
        raise UsageError(f"{output} is one of the stores to merge; name another output")
    stores = [Store(path) for path in settings.stores]
    inputs = [reference("store", store.path, store.content_id, output) for store in stores]
    record = provenance("merge", semantic(settings), inputs)
    if artifacts.is_current(output, record, settings.force, progress):
        return output
    contents = merged(stores)
    losses = _losses(stores)
    if losses:
        record["losses"] = losses
    words = f"{len(contents.ids)} utterances of {len(stores)} stores"
    if settings.dry_run:
        progress.say(f"would write {words} to {output}")
        return output
    write_store(output, contents, record)
    progress.say(f"{output}: {words}")
    return output


def _losses(stores: Sequence[Store]) -> dict[str, Any]:
    """What the stores' makers lost, summed up; empty where none of them counted."""
    counted = [store.provenance["losses"] for store in stores if "losses" in store.provenance]
    if not counted:
        return {}
    lost: Counter[str] = Counter()
    for losses in counted:
        lost.update(losses["lost"])
    return {
        "found": sum(losses["found"] for losses in counted),
        "kept": sum(losses["kept"] for losses in counted),
        "lost": dict(sorted(lost.items())),
    }
