"""Joining manifests: corpora one after the other, predictions as further runs or in shards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.core.headers.manifest import DescribedLabel, ManifestHeader
from avaffect.core.progress import followed
from avaffect.data.manifest import Item, Manifest


def joined(manifests: Sequence[Manifest]) -> tuple[ManifestHeader, list[Item]]:
    """Header keys and items of manifests of one content, in order; paths are relative to the first.

    Raises DataError if contents differ, ids of corpora collide, labels differ in kind, or
    predictions have different targets.
    """
    contents = {manifest.content for manifest in manifests}
    if len(contents) > 1 or contents == {"retrieval"}:
        raise DataError(
            f"{manifests[0].name} and {manifests[-1].name}: only corpora, or only predictions, can "
            "be joined"
        )
    return _corpora(manifests) if contents == {"corpus"} else _predictions(manifests)


def joined_shards(manifests: Sequence[Manifest]) -> tuple[ManifestHeader, list[Item]]:
    """Predictions of the shards of one run, in order, as the run itself would have written them: by
    run, fold and label, then by utterance.

    Raises DataError where they are no predictions.
    """
    first = manifests[0]
    if first.content != "predictions":
        raise DataError(f"{first.name}: no predictions; only these have shards")
    labels = {name: place for place, name in enumerate(first.header.targets or {})}
    items = [item for manifest in manifests for item in _rebased(manifest, first)]

    def place(item: Item) -> tuple[int, int, int]:
        target = item.get("target", "")
        return item.get("run", 0), item.get("fold", 0), labels.get(target, 0)

    return first.header, sorted(items, key=place)


def _corpora(manifests: Sequence[Manifest]) -> tuple[ManifestHeader, list[Item]]:
    owner: dict[str, Manifest] = {}
    items = []
    for manifest in manifests:
        for item in _rebased(manifest, manifests[0]):
            if item["id"] in owner:
                raise DataError(
                    f"{owner[item['id']].name} and {manifest.name} both have the id {item['id']}; "
                    "ids are unique in a manifest: leave one out, or make one with another prefix"
                )
            owner[item["id"]] = manifest
            items.append(item)
    names = "+".join(dict.fromkeys(m.header.corpus or m.name for m in manifests))
    return ManifestHeader(content="corpus", corpus=names, labels=_labels(manifests)), items


def _rebased(manifest: Manifest, first: Manifest) -> Iterator[Item]:
    """The items with media paths relative to the first manifest's base."""
    here, folder = manifest.folder, first.folder.resolve()

    def moved(path: str) -> str:
        return Path(os.path.relpath((here / path).resolve(), folder)).as_posix()

    is_moved = here != first.folder
    for item in followed(manifest.items, f"join {manifest.name}", len(manifest.items)):
        media = item.get("media")
        if not is_moved or media is None:
            yield item
        elif isinstance(media, str):
            yield {**item, "media": moved(media)}
        else:
            yield {**item, "media": {stream: moved(path) for stream, path in media.items()}}


def _labels(manifests: Sequence[Manifest]) -> dict[str, DescribedLabel]:
    """The labels of all manifests, with their classes joined in order."""
    labels: dict[str, DescribedLabel] = {}
    for manifest in manifests:
        for name, spec in (manifest.header.labels or {}).items():
            known = labels.setdefault(name, spec)
            if known.kind != spec.kind:
                raise DataError(
                    f"{manifest.name}: the label {name} is a {spec.kind}, elsewhere a {known.kind}"
                )
            if spec.classes is not None:
                united = dict.fromkeys([*(known.classes or ()), *spec.classes])
                labels[name] = replace(known, classes=tuple(united))
    return labels


def _predictions(manifests: Sequence[Manifest]) -> tuple[ManifestHeader, list[Item]]:
    first = manifests[0].header
    items: list[Item] = []
    runs = 0
    for manifest in manifests:
        header = manifest.header
        if (header.target, header.classes) != (first.target, first.classes):
            raise DataError(
                f"{manifests[0].name} and {manifest.name} predict different labels or classes"
            )
        moved = _rebased(manifest, manifests[0])
        items += [{**item, "run": runs + item.get("run", 0)} for item in moved]
        runs += 1 if header.runs is None else header.runs
    joined = ManifestHeader(
        content="predictions", target=first.target, classes=first.classes, runs=runs
    )
    return joined, items
