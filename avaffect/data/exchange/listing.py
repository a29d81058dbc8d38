"""Utterances of a corpus, or predictions, as the formats of other programs take them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data import items
from avaffect.data.exchange.recorded import Recorded, recorded
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store.schema import LabelSpec

Plain = str | int | float
# Of what a prediction says, and what has a label of its own here.
_OF_PREDICTIONS = ("target", "gold", "gold_scores", "prediction", "scores")
PREDICTED, SCORES = "_predicted", "_scores"


@dataclass(frozen=True)
class Utterance:
    """media: path of its recording from the listing's folder, "" where it names none; other: path
    of its separate video; start, end: seconds in the recording, None for its end; fields: what else
    is known of it; labels: those that it has, a distribution by class, a trace as it is listed."""

    id: str
    media: str
    other: str
    start: float
    end: float | None
    fields: dict[str, Plain]
    labels: dict[str, Any]

    @property
    def is_part(self) -> bool:
        """Whether it has a time in its recording."""
        return self.start > 0 or self.end is not None


@dataclass
class Listing:
    """name: of the corpus; folder: that paths start from; labels: all, by name; output: where the
    format is written to in the end; embeds: whether it shall contain the recordings; lost: what the
    format cannot hold -> the ids that have it."""

    name: str
    folder: Path
    utterances: list[Utterance]
    labels: dict[str, LabelSpec]
    output: Path = Path()
    embeds: bool = False
    lost: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _recorded: dict[str, Recorded] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @cached_property
    def fields(self) -> list[str]:
        """Names of the fields, in the order in which they occur."""
        return list(dict.fromkeys(name for one in self for name in one.fields))

    def path(self, utterance: Utterance) -> Path:
        """The absolute path of its recording. Raises DataError where it names none."""
        if not utterance.media:
            raise DataError(f"{utterance.id} names no recording, which this format needs")
        return (self.folder / utterance.media).resolve()

    def recorded(self, utterance: Utterance) -> Recorded:
        """Rate and length of its recording. Raises DataError where it cannot be read."""
        if utterance.media not in self._recorded:
            self._recorded[utterance.media] = recorded(self.path(utterance))
        return self._recorded[utterance.media]

    def span(self, utterance: Utterance) -> tuple[float, float]:
        """Start and end in seconds. Raises DataError where the recording is too short for it."""
        if utterance.end is not None:
            return utterance.start, utterance.end
        seconds = self.recorded(utterance).seconds
        if seconds <= utterance.start:
            raise DataError(
                f"{utterance.id} starts at {utterance.start:g} s, but {utterance.media} has "
                f"{seconds:g} s"
            )
        return utterance.start, seconds

    def names(self) -> dict[str, str]:
        """Recording -> its name: the file's without suffix; with its folders where two are the
        same. Raises DataError where two have the same name with their folders."""
        paths = list(dict.fromkeys(one.media for one in self if one.media))
        stems: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            stems[PurePosixPath(path).stem].append(path)
        found = {}
        for stem, same in stems.items():
            for path in same:
                parts = [part for part in PurePosixPath(path).parts[:-1] if part not in ("..", "/")]
                found[path] = "_".join([*parts, PurePosixPath(path).name]) if same[1:] else stem
        of_name: dict[str, str] = {}
        for path, name in found.items():
            other = of_name.setdefault(name, path)
            if other != path:
                raise DataError(f"{other} and {path} would both be called {name}: rename one")
        return found

    def by_recording(self) -> dict[str, list[Utterance]]:
        """Path of each recording -> its utterances by their start. Those without one are lost."""
        found: dict[str, list[Utterance]] = defaultdict(list)
        for one in self:
            if one.media:
                found[one.media].append(one)
            else:
                self.lost["utterances without a recording"].append(one.id)
        return {path: sorted(own, key=lambda u: u.start) for path, own in found.items()}

    def plain_labels(self, *, distributions: bool = False) -> list[str]:
        """Names of the labels that are one text or number an utterance, and with `distributions` of
        those; others are lost."""
        kept = ("class", "scalar") + ("distribution",) * distributions
        for name, spec in self.labels.items():
            if spec.kind not in kept:
                have = [one.id for one in self if name in one.labels]
                self.lost[f"label {name} (a {spec.kind})"] += have
        return [name for name, spec in self.labels.items() if spec.kind in kept]

    def lose_names(self, taken: str) -> None:
        """Labels and fields are lost whose whole name the pattern `taken` matches."""
        for name in [*self.fields, *self.labels]:
            if re.fullmatch(taken, name, re.DOTALL):
                have = [o.id for o in self if name in o.fields or name in o.labels]
                self.lost[f"the name {name!r}"] += have
                self.labels.pop(name, None)
                for one in self:
                    one.fields.pop(name, None)
                    one.labels.pop(name, None)
        del self.fields

    def lose_fields(self, *kept: str) -> None:
        """Fields but `kept` are lost."""
        for name in self.fields:
            if name not in kept:
                self.lost[f"field {name}"] += [one.id for one in self if name in one.fields]

    def lose_videos(self) -> None:
        """Separate videos are lost: the format has one file an utterance."""
        for one in self:
            if one.other:
                self.lost["separate video files"].append(one.id)


def steps_of(trace: np.ndarray) -> list[Any]:
    """The values of a trace, (T,) or (T, raters), None where they are unknown."""
    steps = trace.astype(object)
    steps[np.isnan(trace)] = None
    return list(steps.tolist())


def of_manifest(found: Manifest, run: int | None = None) -> Listing:
    """The utterances of a corpus, or predictions. run: of predictions, one of several.

    Of predictions the label TARGET is the gold, TARGET_predicted the prediction and TARGET_scores
    the shares of the classes.
    Raises DataError for labels that are not as declared, and for predictions of several runs
    without `run`.
    """
    if found.content == "predictions":
        return _of_predictions(found, run)
    specs = items.label_specs(found)
    listing = Listing(found.header.corpus or "corpus", found.folder, [], specs)
    for item in found:
        values = items.labels_of(item, specs)
        labels = {
            name: _with_classes(value, specs[name])
            for name, value in values.items()
            if value is not None
        }
        listing.utterances.append(_utterance(listing, item, labels))
    return listing


def _with_classes(value: Any, spec: LabelSpec) -> Any:
    if spec.kind != "distribution":
        return value
    return {name: share for name, share in zip(spec.classes, value) if share == share}


def _utterance(
    listing: Listing, item: Item, labels: dict[str, Any], known: Iterable[str] = ()
) -> Utterance:
    fields: dict[str, Plain] = {}
    for name, value in item.items():
        if name in items.RESERVED or name in known or value is None:
            continue
        if name in listing.labels:
            listing.lost[f"field {name} (a label has this name)"].append(item["id"])
        elif isinstance(value, (str, int, float)):
            fields[name] = value
        else:
            listing.lost[f"field {name} (no text or number)"].append(item["id"])
    audio, video = items.audio_of(item), items.video_of(item)
    return Utterance(
        item["id"], audio or video, video if audio and video != audio else "",
        _time(item, "start") or 0.0, _time(item, "end"), fields, labels,
    )  # fmt: skip


def _time(item: Item, key: str) -> float | None:
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise DataError(f"{item['id']}: its {key} is {value!r}, which is not a time in seconds")
    return float(value)


def _of_predictions(found: Manifest, run: int | None) -> Listing:
    chosen = [item for item in found if run is None or item.get("run") == run]
    if run is not None and not chosen:
        runs = sorted({item["run"] for item in found if "run" in item})
        raise DataError(f"{found.name} has no run {run}; it has {', '.join(map(str, runs))}")
    by_id: dict[str, dict[str, Item]] = defaultdict(dict)
    for item in chosen:
        target = item.get("target") or found.header.target or "prediction"
        if target in by_id[item["id"]]:
            raise DataError(
                f"{found.name}: {item['id']} has several predictions of {target}, of several runs "
                "or folds; choose one with --run"
            )
        by_id[item["id"]][target] = item
    listing = Listing(found.header.corpus or "predictions", found.folder, [], {})
    for targets in by_id.values():
        labels: dict[str, Any] = {}
        for target, item in targets.items():
            labels |= _predicted(listing, target, item)
        first = next(iter(targets.values()))
        listing.utterances.append(_utterance(listing, first, labels, _OF_PREDICTIONS))
    return listing


def _predicted(listing: Listing, target: str, item: Item) -> dict[str, Any]:
    found: dict[str, Any] = {}
    values = (target, item.get("gold")), (target + PREDICTED, item.get("prediction"))
    for name, value in values:
        if value is not None:
            found[name] = value
            kind = "class" if isinstance(value, str) else "scalar"
            classes = listing.labels[name].classes if name in listing.labels else ()
            new = (value,) if kind == "class" and value not in classes else ()
            listing.labels[name] = LabelSpec(kind, (*classes, *new))
    if item.get("scores"):
        found[target + SCORES] = item["scores"]
        listing.labels[target + SCORES] = LabelSpec("distribution", tuple(item["scores"]))
    return found
