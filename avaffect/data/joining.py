"""Joining manifests: corpora one after the other, predictions as further runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError
from avaffect.data.manifest import Item, Manifest


def joined(manifests: Sequence[Manifest]) -> tuple[dict[str, Any], list[Item]]:
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


def _corpora(manifests: Sequence[Manifest]) -> tuple[dict[str, Any], list[Item]]:
    owner: dict[str, Manifest] = {}
    items = []
    for manifest in manifests:
        for item in manifest.items:
            if item["id"] in owner:
                raise DataError(
                    f"{owner[item['id']].name} and {manifest.name} both have the id {item['id']}; "
                    "ids are unique in a manifest: leave one out, or make one with another prefix"
                )
            owner[item["id"]] = manifest
            items.append(_rebased(item, manifest, manifests[0]))
    names = [str(manifest.header.get("corpus", manifest.name)) for manifest in manifests]
    return {"corpus": "+".join(dict.fromkeys(names)), "labels": _labels(manifests)}, items


def _rebased(item: Item, manifest: Manifest, first: Manifest) -> Item:
    """The item with media paths relative to the first manifest's base."""
    media = item.get("media")
    if manifest.folder == first.folder or media is None:
        return item

    def moved(path: str) -> str:
        there = (manifest.folder / path).resolve()
        return Path(os.path.relpath(there, first.folder.resolve())).as_posix()

    if isinstance(media, str):
        return {**item, "media": moved(media)}
    return {**item, "media": {stream: moved(path) for stream, path in media.items()}}


def _labels(manifests: Sequence[Manifest]) -> dict[str, dict[str, Any]]:
    """The labels of all manifests, with their classes joined in order."""
    labels: dict[str, dict[str, Any]] = {}
    for manifest in manifests:
        for name, spec in manifest.header.get("labels", {}).items():
            known = labels.setdefault(name, dict(spec))
            if known["kind"] != spec["kind"]:
                raise DataError(
                    f"{manifest.name}: the label {name} is a {spec['kind']}, elsewhere a "
                    f"{known['kind']}"
                )
            if "classes" in spec:
                known["classes"] = list(dict.fromkeys([*known["classes"], *spec["classes"]]))
    return labels


def _predictions(manifests: Sequence[Manifest]) -> tuple[dict[str, Any], list[Item]]:
    first = manifests[0].header
    items: list[Item] = []
    runs = 0
    for manifest in manifests:
        if any(manifest.header.get(key) != first.get(key) for key in ("target", "classes")):
            raise DataError(
                f"{manifests[0].name} and {manifest.name} predict different labels or classes"
            )
        moved = (_rebased(item, manifest, manifests[0]) for item in manifest.items)
        items += [{**item, "run": runs + item.get("run", 0)} for item in moved]
        runs += manifest.header.get("runs", 1)
    return {"target": first.get("target"), "classes": first.get("classes"), "runs": runs}, items
