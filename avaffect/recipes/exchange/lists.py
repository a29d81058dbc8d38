"""Manifests of corpora and predictions in formats of other programs."""

from __future__ import annotations

from typing import Any

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.exchange import FORMATS, listing
from avaffect.data.exchange.listing import Listing
from avaffect.data.store.schema import LabelSpec
from avaffect.recipes.common import work
from avaffect.recipes.exchange import outputs
from avaffect.settings.base import semantic
from avaffect.settings.export import ExportSettings


def run(settings: ExportSettings, progress: Progress) -> None:
    """Write a manifest in the format of the settings; warn of what it cannot hold."""
    chosen = FORMATS[settings.to].load()
    outputs.check_packages(settings, chosen.NEEDS)
    found = manifest.read(settings.artifact, expect=("corpus", "predictions"))
    listed = listing.of_manifest(found, settings.run)
    listed.output, listed.embeds = settings.output, settings.embed
    listed.lose_names(chosen.TAKEN)
    lost = {what: list(ids) for what, ids in listed.lost.items()}
    inputs = [work.manifest_input("manifest", found, settings.output)]
    made = provenance("export", semantic(settings), inputs)
    with progress.task("writing", unit="utterances"):
        if chosen.FOLDER:
            facts = {
                "labels": {name: _facts(spec) for name, spec in listed.labels.items()},
                "fields": {name: _kind(listed, name) for name in listed.fields},
            }
            written = outputs.write_folder(
                settings, made, progress, lambda folder: chosen.write(listed, folder), facts
            )
        else:
            written = outputs.write_file(
                settings, made, progress, lambda path: chosen.write(_fresh(listed, lost), path)
            )
    if written:
        _report(settings, listed, progress)


def _fresh(listed: Listing, lost: dict[str, list[str]]) -> Listing:
    """With no losses but `lost`: an output may be written again, to be compared."""
    listed.lost.clear()
    listed.lost |= {what: list(ids) for what, ids in lost.items()}
    return listed


def _facts(spec: LabelSpec) -> dict[str, Any]:
    """As a manifest's header describes a label."""
    found: dict[str, Any] = {"kind": spec.kind}
    if spec.classes:
        found["classes"] = list(spec.classes)
    if spec.kind == "trace":
        found["rate_hz"] = spec.rate_hz
    if spec.raters:
        found["raters"] = [f"rater {number}" for number in range(1, spec.raters + 1)]
    return found


def _kind(listed: Listing, name: str) -> str:
    """The type of a field's values: int, float or str."""
    kinds = {type(one.fields[name]).__name__ for one in listed if name in one.fields}
    return kinds.pop() if len(kinds) == 1 else "float" if kinds == {"int", "float"} else "str"


def _report(settings: ExportSettings, listed: Listing, progress: Progress) -> None:
    for what, ids in listed.lost.items():
        if ids:
            progress.warn(f"{settings.to} cannot hold {what}: left out of "
                          f"{count_of(len(ids), 'utterance')}, "
                          f"{work.some_of(ids, 3)}")  # fmt: skip
    progress.say(
        f"{settings.output}: {count_of(len(listed.utterances), 'utterance')} as {settings.to}"
    )
