"""`merge`: join several stores, or several manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import canonical_json
from avaffect.core.launch import ARRAY_TASK, Shard, parse_shard
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Reference, provenance, reference
from avaffect.data import artifacts, manifest
from avaffect.data.joining import joined
from avaffect.data.store.layout import write_store
from avaffect.data.store.merging import merged
from avaffect.data.store.reader import Store
from avaffect.recipes.common import publishing, work
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
    words = f"{len(contents.ids)} utterances of {len(stores)} stores"
    if publishing.is_dry(settings, progress, f"write {words}"):
        return output
    write_store(output, contents, record)
    progress.say(f"{output}: {words}")
    return output


def _merge_manifests(settings: MergeSettings, progress: Progress) -> Path:
    """Join corpora one after the other, and predictions as further runs."""
    output = settings.output
    manifests = [manifest.read(path) for path in settings.stores]
    inputs = [work.manifest_input("manifest", source, output) for source in manifests]
    record = provenance("merge", semantic(settings), inputs)
    header, items = joined(manifests)
    labels = header.labels or {}
    _warn_of_alike({name: spec.classes or () for name, spec in labels.items()}, progress)
    plan = f"write {len(items)} items of {len(manifests)} manifests"
    if publishing.is_done(settings, record, progress, plan):
        return output
    base = manifest.base_for(output, manifests[0].folder)
    manifest.write(output, replace(header, base=base, provenance=record), items)
    progress.say(f"{output}: {len(items)} items of {len(manifests)} manifests")
    return output


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
    """Shards of one run in their order, however a pattern of the shell sorts them (part.10 before
    part.2); other stores as they come.

    Warns of missing shards and of those of another run. Raises DataError for one that is there
    twice.
    """
    named = [store.provenance.get("settings", {}).get("shard") for store in stores]
    if None in named or not named:
        return list(stores)
    shards = [_shard(name) for name in named]
    for store, name, shard in zip(stores, named, shards):
        if shard is None:
            progress.warn(
                f"{store.path} records the shard {name!r}, which is not of the form I/N: check "
                "that all shards are given, in order"
            )
    known = [shard for shard in shards if shard is not None]
    if len(known) < len(stores):
        return list(stores)
    runs = [(shard.count, _run_of(store)) for store, shard in zip(stores, known)]
    usual = Counter(runs).most_common(1)[0][0]
    foreign = [store.path.name for store, run in zip(stores, runs) if run != usual]
    if foreign:
        progress.warn(
            f"{len(foreign)} of {len(stores)} shards are of another run (other settings, inputs or "
            f"number of shards): {work.some_of(foreign)}; all stay in the order given"
        )
        return list(stores)
    places: dict[int, Store] = {}
    for store, shard in zip(stores, known):
        if shard.index in places:
            raise DataError(
                f"{places[shard.index].path} and {store.path} are the same shard, {shard}; give "
                "each once"
            )
        places[shard.index] = store
    count = known[0].count
    missing = [str(Shard(index, count)) for index in range(count) if index not in places]
    if missing:
        progress.warn(f"{len(missing)} of {count} shards are missing: {work.some_of(missing)}")
    return [places[index] for index in sorted(places)]


def _run_of(store: Store) -> str:
    """What the shards of one run share, as a text: command, settings and inputs."""
    record = store.provenance
    settings = {k: v for k, v in record.get("settings", {}).items() if k != "shard"}
    inputs = [(each["role"], each["content_id"]) for each in record.get("inputs", [])]
    return canonical_json([record.get("command"), settings, inputs])


def _shard(name: object) -> Shard | None:
    """A shard as a store records it; None where it is not I/N, as `slurm` of version 1.0."""
    try:
        return parse_shard(name) if isinstance(name, str) and name != ARRAY_TASK else None
    except UsageError:
        return None


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
