"""Items of a corpus manifest, converted for a store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.headers.manifest import DescribedLabel
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store import schema
from avaffect.data.store.schema import LabelSpec
from avaffect.data.tables.numerals import LARGEST

# Keys that are elsewhere in a store, or do not describe the utterance.
RESERVED = ("kind", "id", "media", "labels", "start", "end", "lost")
# Traces whose length differs by more, in seconds and as a share, may belong to another recording.
APART_S = 1.0
APART_SHARE = 0.1


def label_specs(manifest: Manifest) -> dict[str, LabelSpec]:
    """The labels of a manifest, by its header, otherwise by the values of its items.

    Raises DataError for an unknown kind of label in the header, and for values of several kinds.
    """
    specs = described_labels(manifest)
    found: dict[str, set[Any]] = {}
    for item in manifest.items:
        for name, value in (item.get("labels") or {}).items():
            if name not in specs and value is not None:
                found.setdefault(name, set()).add(_hashable(value))
    for name, values in found.items():
        if all(isinstance(value, str) for value in values):
            specs[name] = LabelSpec("class", tuple(sorted(values)))
        elif all(isinstance(value, (int, float)) for value in values):
            specs[name] = LabelSpec("scalar")
        else:
            raise DataError(f"{manifest.name}: describe label {name} in the header's labels: its "
                            "values are neither all strings nor all numbers")  # fmt: skip
    return specs


def described_labels(manifest: Manifest) -> dict[str, LabelSpec]:
    """The labels that a manifest's header describes.

    Raises DataError for an unknown kind of label.
    """
    return {
        name: _described(manifest, name, facts)
        for name, facts in (manifest.header.labels or {}).items()
    }


def _described(manifest: Manifest, name: str, facts: DescribedLabel) -> LabelSpec:
    kind = facts.kind
    if kind not in ("class", "scalar", "distribution", "trace"):
        raise DataError(f"{manifest.name}: label {name} is of the kind {kind!r}; it must be "
                        "class, scalar, distribution or trace")  # fmt: skip
    if kind != "trace":
        classes = facts.classes or ()
        if "" in classes:
            raise DataError(f"{manifest.name}: a class of label {name} has an empty name")
        return LabelSpec(kind, classes)
    rate, raters = facts.rate_hz, facts.raters or ()
    if rate is None or not _is_number(rate) or rate <= 0:
        raise DataError(f"{manifest.name}: the trace {name} has the rate_hz {rate!r}; it must be "
                        "a number above 0")  # fmt: skip
    return LabelSpec("trace", facts.classes or (), float(rate), len(raters))


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a number within the range of float32."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (
        abs(value) <= LARGEST
    )  # fmt: skip


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else repr((value,)).encode()


def labels_of(item: Item, specs: dict[str, LabelSpec]) -> dict[str, Any]:
    """The labels of one item for `StoreWriter.add`; NaN counts as missing.

    A trace is (T,) or (T, raters) float32, NaN for null; a trace without values is missing.

    Raises DataError, with the item, for a value that is not of the label's kind.
    """
    given = item.get("labels") or {}
    return {name: _label(item, name, spec, given.get(name)) for name, spec in specs.items()}


def lasts_otherwise(labels: dict[str, Any], specs: dict[str, LabelSpec], duration_s: float) -> bool:
    """Whether a trace of `labels_of` does not fit its recording; see `fits`."""
    return any(
        specs[name].kind == "trace"
        and values is not None
        and not fits(len(values), specs[name].rate_hz, duration_s)
        for name, values in labels.items()
    )


def fits(steps: int, rate_hz: float, duration_s: float) -> bool:
    """Whether a trace of so many steps is longer or shorter than its recording by at most a second,
    a tenth of it, or a step."""
    most = max(APART_S, APART_SHARE * duration_s, 1 / rate_hz)
    return abs(steps / rate_hz - duration_s) <= most


def _label(item: Item, name: str, spec: LabelSpec, value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if spec.kind == "trace" and isinstance(value, list):
        return _trace(item, name, spec, value)
    if spec.kind == "class" and isinstance(value, str) and value:
        return value
    if spec.kind == "scalar" and _is_number(value):
        return value
    if spec.kind == "distribution":
        if isinstance(value, dict) and value.keys() <= set(spec.classes):
            value = [value.get(label, 0) for label in spec.classes]
        if (
            isinstance(value, list)
            and len(value) == len(spec.classes)
            and all(votes is None or (_is_number(votes) and votes >= 0) for votes in value)
        ):
            return [math.nan if votes is None else votes for votes in value]
    raise DataError(f"{item['id']}: label {name} is {value!r}, which is not a {spec.kind}")


def _trace(item: Item, name: str, spec: LabelSpec, steps: list[Any]) -> np.ndarray | None:
    """Raises DataError, with the item, for the first step that is not a value, or one a rater."""
    for number, step in enumerate(steps):
        where = f"{item['id']}: value {number} (from 0) of the trace {name}"
        if spec.raters and (not isinstance(step, list) or len(step) != spec.raters):
            raise DataError(f"{where} is {step!r}; expected a list of {spec.raters}, one for each "
                            "rater in the header")  # fmt: skip
        for value in step if spec.raters else [step]:
            if value is not None and not _is_number(value):
                raise DataError(f"{where} is {value!r}, neither a finite number nor null")
    return np.array(steps, dtype=np.float32) if steps else None


def audio_of(item: Item) -> str:
    """The path of an item's audio in the manifest; "" without audio."""
    return _named(item, "audio", "video")


def video_of(item: Item) -> str:
    """The path of an item's video in the manifest; "" without video."""
    return _named(item, "video")


def _named(item: Item, *roles: str) -> str:
    media = item.get("media")
    if isinstance(media, dict):
        media = next((media[role] for role in roles if role in media), None)
    return media if isinstance(media, str) else ""


def channels_of(item: Item) -> tuple[int, ...]:
    """The audio channels of an item, from 0; () if it does not list them.

    Raises ValueError for a value that is not a list of channels.
    """
    value = item.get("audio_channels")
    if value is None or value == "":
        return ()
    return parse_channels(value)


def parse_channels(value: Any) -> tuple[int, ...]:
    """Channels from 0: a number, a list of numbers, or a string of numbers separated by commas.

    Raises ValueError for other values, and for duplicates.
    """
    parts = value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, list) else [parts]
    try:
        found = tuple(int(part) for part in parts)
        right = found and all(number == float(part) for number, part in zip(found, parts))
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right or min(found) < 0 or len(set(found)) < len(found):
        raise ValueError(f"{value!r}; expected numbers of channels, from 0, such as 0 or 0,2")
    return found


def meta_fields(items: Sequence[Item]) -> dict[str, list[Any]]:
    """The plain fields of all items, each a list of strings, of ints or of floats.

    Types are those of the whole manifest, so that all shards have the same.
    """
    names = {
        name
        for item in items
        for name, value in item.items()
        if name not in RESERVED and isinstance(value, (str, int, float))
    }
    return {name: list(schema.column([_plain(i.get(name)) for i in items])) for name in names}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else None
