"""Items of predictions that are scored, and whether their classifier was trained on them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from avaffect.core.errors import DataError
from avaffect.core.headers import ManifestHeader
from avaffect.core.near import meant
from avaffect.data.manifest import Item, Manifest
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.settings.scores import SHARED_DISTANCE

OF_CLASSES = ("class", "distribution")


# Fields of predicted classes that scores are made of; there may be a prediction for each frame of
# many films.
_READ = (
    "id", "speaker", "target", "prediction", "gold", "gold_scores", "split", "fold", "run", "seen",
    SHARED_DISTANCE,
)  # fmt: skip


def needed(
    item: Item, given: bool, fields: Collection[str] = (), probabilities: bool = False
) -> Item:
    """An item of predictions with what `eval-class` reads; another item as it is.

    given: whether the gold, which may be votes, is of another file; fields: further ones;
    probabilities: whether calibration needs those of classes. A mean of distances tells the
    parts of a recording apart, and shares of classes are compared with votes alone.
    """
    if "prediction" not in item:
        return item
    names = [*dict.fromkeys((*_READ, *fields))]
    names += ["start", "end"] if SHARED_DISTANCE in item else []
    names += ["scores"] if given or probabilities or "gold_scores" in item else []
    return {name: item[name] for name in names if name in item}


def kinds_of(header: ManifestHeader) -> dict[str, str]:
    """Label -> class, distribution or scalar, from a header of predictions; empty for versions that
    had classes alone."""
    return {name: facts.kind or "" for name, facts in (header.targets or {}).items()}


def of_label(found: Manifest, wanted: str | None, kinds: Collection[str]) -> Manifest:
    """The predictions of one label: the wanted one, else the first of these kinds.

    Where a manifest holds several, the header is that of the label alone. Raises DataError where it
    holds the wanted label in another kind, or none of these.
    """
    known = kinds_of(found.header)
    fitting = [name for name, kind in known.items() if kind in kinds]
    if not known:
        return found
    if wanted is not None and wanted not in known:
        raise DataError(
            f"{found.name} predicts {', '.join(known)}, and no label {wanted!r}"
            f"{meant(wanted, known)}"
        )
    if (wanted or next(iter(fitting), None)) not in fitting:
        label = wanted or next(iter(known))
        command = "eval-ccc" if known[label] == "scalar" else "eval-class"
        raise DataError(f"{found.name}: {label} is a {known[label]}; score it with {command}")
    label = wanted or fitting[0]
    classes = (found.header.targets or {})[label].classes
    header = replace(found.header, target=label, classes=classes)
    items = [item for item in found.items if item.get("target", label) == label]
    return replace(found, header=header, items=items)


def training_statuses(
    found: Manifest, items: Collection[Item], scored: Collection[str]
) -> dict[str, int] | None:
    """How many of the scored utterances were used in the classifier's training, by status, in any
    run; None where predictions never recorded it. A filter may have dropped it from items."""
    if not found.header.seen and not any("seen" in item for item in found.items):
        return None
    statuses: dict[str, str | None] = {}
    for item in items:
        if item["id"] in scored:
            status = item.get("seen", training_speakers.UNKNOWN)
            statuses[item["id"]] = training_speakers.worst([status, statuses.get(item["id"])])
    return training_speakers.counted(statuses.values())


def shared_distances(items: Collection[Item]) -> dict[RunName, float]:
    """Run -> the mean over utterances of the distance that `predict --shared-distance` wrote; of
    the runs that have any. An utterance that lacks a stream has none."""
    found: dict[RunName, dict[tuple[Any, ...], float]] = {}
    for item in items:
        distance = item.get(SHARED_DISTANCE)
        if isinstance(distance, (int, float)):
            # It is the same for each label, and another for each part of a recording.
            of = (item["id"], item.get("start"), item.get("end"))
            found.setdefault(item.get("run", 0), {})[of] = float(distance)
    return {run: sum(of.values()) / len(of) for run, of in found.items()}


def of_split(found: Manifest, wanted: str | None) -> tuple[list[Item], str | None]:
    """The items to score, and their split (None: all of them).

    Each fold tests utterances that it was not trained on, so that predictions of folds are all
    scored.
    """
    splits = sorted({str(item["split"]) for item in found.items if item.get("split")})
    folds = any(item.get("fold") is not None for item in found.items)
    if wanted is None:
        wanted = "test" if len(splits) > 1 and not folds else "all"
    if wanted == "all":
        whole = len(splits) == 1 and all(item.get("split") for item in found.items)
        return found.items, splits[0] if whole else None
    chosen = [item for item in found.items if item.get("split") == wanted]
    if not chosen:
        have = ", ".join(splits) or "none"
        raise DataError(
            f"{found.name}: no prediction is of the split {wanted!r} (there are: {have}); select "
            f"with --split, or --split all{meant(wanted, splits)}"
        )
    return chosen, wanted
