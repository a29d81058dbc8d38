"""`merge`: join several stores, or several manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import MB, SILENT, Progress, counted
from avaffect.core.provenance import Reference, provenance, reference
from avaffect.data import artifacts, manifest
from avaffect.data.joining import joined, joined_shards
from avaffect.data.manifest import Manifest
from avaffect.data.store.layout import Contents, Ragged, write_store
from avaffect.data.store.merging import merged
from avaffect.data.store.reader import Store
from avaffect.recipes.common import publishing, shard_order, work
from avaffect.settings.base import semantic
from avaffect.settings.merge import MergeSettings
from avaffect.settings.outputs import check_suffix

# Inputs of a store that `adapt` and lineages need.
PARENT_ROLES = ("media", "model")


def merge(settings: MergeSettings, progress: Progress = SILENT) -> Path:
    """Join stores or manifests in the order given; returns the path of the result.

    Raises DataError if ids collide or streams, labels or pooled vectors differ in kind.
    """
    output = settings.output
    if any(output.exists() and path.exists() and path.samefile(output) for path in settings.stores):
        raise UsageError(f"{output} is one of the files to merge; give another output")
    kinds = {artifacts.kind_of(path, "store or manifest"): path for path in settings.stores}
    if list(kinds) == ["manifest"]:
        check_suffix(output, "manifest")
        return _merge_manifests(settings, progress)
    if list(kinds) != ["store"]:
        said = " and ".join(f"{path} is a {kind}" for kind, path in kinds.items())
        raise UsageError(f"{said}: merge joins stores with stores, or manifests with manifests")
    check_suffix(output, "store")
    stores = _in_order([Store(path) for path in settings.stores], progress)
    inputs = [reference("store", store.path, store.content_id, output) for store in stores]
    inputs += _parents(stores, output)
    record = provenance("merge", semantic(settings), inputs)
    if publishing.is_current(settings, record, progress):
        return output
    contents = merged(stores)
    _warn_of_alike({name: spec.classes for name, (spec, _) in contents.labels.items()}, progress)
    losses = _losses(stores)
    if losses:
        record["losses"] = losses
        if losses["found"] and not contents.ids:
            raise DataError(
                f"all {count_of(losses['found'], 'utterance')} of these stores were lost"
            )
    words = f"{count_of(len(contents.ids), 'utterance')} of {count_of(len(stores), 'store')}"
    if publishing.is_dry(settings, progress, f"write {words}"):
        return output
    size = sum(store.path.stat().st_size for store in stores)
    with progress.task(f"writing {output}", size / MB, "MB"):
        write_store(output, _counted(contents, progress), record)
    progress.say(f"{output}: {words}")
    return output


def _counted(contents: Contents, progress: Progress) -> Contents:
    """The same contents; what is read of their streams counts in the current task."""

    def watched(values: Ragged) -> Ragged:
        return replace(values, blocks=lambda: counted(values.blocks(), progress))

    streams = {name: (spec, watched(values)) for name, (spec, values) in contents.streams.items()}
    return replace(contents, streams=streams)


def _merge_manifests(settings: MergeSettings, progress: Progress) -> Path:
    """Join corpora one after the other, predictions as further runs, and their shards in order."""
    output = settings.output
    manifests, of_one_run = _in_shards([manifest.read(path) for path in settings.stores], progress)
    inputs = [work.manifest_input("manifest", source, output) for source in manifests]
    record = provenance("merge", semantic(settings), inputs)
    header, items = joined_shards(manifests) if of_one_run else joined(manifests)
    labels = header.labels or {}
    _warn_of_alike({name: spec.classes or () for name, spec in labels.items()}, progress)
    plan = f"write {count_of(len(items), 'item')} of {count_of(len(manifests), 'manifest')}"
    if publishing.is_done(settings, record, progress, plan):
        return output
    base = manifest.base_for(output, manifests[0].folder)
    manifest.write(output, replace(header, base=base, provenance=record), items)
    progress.say(
        f"{output}: {count_of(len(items), 'item')} of {count_of(len(manifests), 'manifest')}"
    )
    return output


def _in_shards(given: list[Manifest], progress: Progress) -> tuple[list[Manifest], bool]:
    """Shards of predictions in their order, and whether the manifests are that.

    Raises DataError where some are shards, but not all of one run: they are no runs of their own.
    """
    records = [source.header.provenance or {} for source in given]
    order = shard_order.order_of([Path(source.name) for source in given], records, progress)
    if order is not None:
        return [given[place] for place in order], True
    shards = [s.name for s, record in zip(given, records) if shard_order.is_shard(record)]
    if shards:
        raise DataError(
            f"{len(shards)} of {count_of(len(given), 'manifest is', 'manifests are')} shards, and "
            f"not all of one run: {work.some_of(shards)}; merge the shards of each run first"
        )
    return given, False


def _warn_of_alike(labels: Mapping[str, Sequence[str]], progress: Progress) -> None:
    for name, classes in labels.items():
        work.warn_of_alike(name, classes, progress)


def _parents(stores: Sequence[Store], output: Path) -> list[Reference]:
    """The recordings and models of the stores, each once, relative to the output.

    Artifacts made from a store find them in it, whether or not it was merged from shards.
    """
    found: dict[tuple[str, str], Reference] = {}
    for store in stores:
        for parent in store.provenance.get("inputs", []):
            if parent["role"] in PARENT_ROLES:
                path = store.path.resolve().parent / parent["path"]
                key = parent["role"], parent["content_id"]
                found[key] = reference(parent["role"], path, parent["content_id"], output)
    return list(found.values())


def _in_order(stores: Sequence[Store], progress: Progress) -> list[Store]:
    """Shards of one run in their order, other stores as they come; see `order_of`."""
    records = [store.provenance for store in stores]
    order = shard_order.order_of([store.path for store in stores], records, progress)
    return list(stores) if order is None else [stores[place] for place in order]


def _losses(stores: Sequence[Store]) -> dict[str, Any]:
    """The unusable items of all stores, counted; empty if no store counts them."""
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
