"""Labels as commands use them: annotations of a manifest override those of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.data import manifest
from avaffect.data.items import described_labels, labels_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.traces import Traces, resample


@dataclass(frozen=True)
class Annotations:
    """Annotations of utterances in a manifest, by id; they override those of a store.

    specs: the labels that its header describes.
    """

    items: dict[str, manifest.Item]
    specs: dict[str, LabelSpec] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None, stores: Sequence[Store] = ()) -> Annotations:
        """The annotations of a manifest; DataError where they name no utterance of the stores."""
        if path is None:
            return cls({})
        whole = manifest.read(path, expect="corpus")
        found = cls({item["id"]: item for item in whole.items}, described_labels(whole))
        if stores and not any(i in found.items for store in stores for i in store.ids):
            example = next((i for store in stores for i in store.ids), "none")
            raise DataError(
                f"{path} annotates no utterance of {stores[0].path}: it has other ids than "
                f"{example}"
            )
        return found

    def field(self, store: Store, name: str) -> list[str]:
        """A field of meta (speaker, session, split, fold), one text per utterance, "" missing."""
        column = store.meta.get(name)
        found = [""] * store.count if column is None else [_text(value) for value in column]
        for row, identifier in enumerate(store.ids):
            item = self.items.get(identifier, {})
            if item.get(name) is not None:
                found[row] = _text(item[name])
        return found

    def names(self, store: Store, label: str) -> list[str | None]:
        """The class name of each utterance, None where missing.

        Raises DataError where neither the store nor the annotations have the label.
        """
        found: list[str | None] = [None] * store.count
        spec = self._own(store, label, "class")
        known = label in store.labels
        if spec is not None:
            found = [spec.classes[v] if v >= 0 else None for v in store.label(label).tolist()]
        for row, identifier in enumerate(store.ids):
            labels = self.items.get(identifier, {}).get("labels", {})
            if label in labels:
                known = True
                found[row] = labels[label]
                if found[row] == "" or not isinstance(found[row], (str, type(None))):
                    raise DataError(f"{identifier}: its annotation {label} is no class")
        if not known:
            raise self._no_label(store, label)
        return found

    def scalars(self, store: Store, label: str) -> np.ndarray:
        """(N,) float32 of a scalar label, NaN where missing; DataError as `distributions`."""
        _, rows = self._numbers(store, label, "scalar")
        missing = np.full(store.count, np.nan, np.float32)
        own = self._own(store, label, "scalar")
        found = missing if own is None else np.array(store.label(label), np.float32)
        for row, value in rows.items():
            found[row] = np.nan if value is None else value
        return found

    def distributions(self, store: Store, label: str) -> tuple[tuple[str, ...], np.ndarray]:
        """Classes, and (N, classes) float32 votes for each, a row of NaN where missing.

        Raises DataError where neither the store nor the annotations have the label, it is of
        another kind, or they name other classes.
        """
        spec, rows = self._numbers(store, label, "distribution")
        found = np.full((store.count, len(spec.classes)), np.nan, np.float32)
        own = self._own(store, label, "distribution")
        if own is not None:
            if set(own.classes) != set(spec.classes):
                raise DataError(
                    f"label {label!r} has the classes {', '.join(spec.classes)} in the "
                    f"annotations, but {', '.join(own.classes)} in {store.path}"
                )
            found[:] = store.label(label)[:, [own.classes.index(name) for name in spec.classes]]
        for row, value in rows.items():
            found[row] = np.nan if value is None else value
        return spec.classes, found

    def _numbers(self, store: Store, label: str, kind: str) -> tuple[LabelSpec, dict[int, Any]]:
        """The description of a label of this kind, and its annotations by row."""
        own, over = self._own(store, label, kind), self.specs.get(label)
        annotated = self._annotated(store, label)
        if annotated and over is None and kind == "scalar":
            over = LabelSpec(kind)
        if annotated and (over is None or over.kind != kind):
            raise DataError(
                f"the annotations do not describe {label!r} as a {kind} in their header"
            )
        is_overridden = own is None and label in store.labels
        spec = over if annotated or is_overridden else own
        if spec is None:
            raise self._no_label(store, label)
        return spec, {r: labels_of(item, {label: spec})[label] for r, item in annotated.items()}

    def _described(self, label: str) -> LabelSpec | None:
        """The description of a label that any utterance is annotated with; None without one."""
        is_used = any(label in item.get("labels", {}) for item in self.items.values())
        return self.specs.get(label) if is_used else None

    def _own(self, store: Store, label: str, kind: str) -> LabelSpec | None:
        """A store's label of this kind; None where it has none, or where it has another kind, which
        the annotations override. Raises DataError where they do not."""
        own, over = store.labels.get(label), self._described(label)
        if own is None or own.kind == kind:
            return own
        if over is None or over.kind != kind:
            raise DataError(f"{store.path}: label {label!r} is a {own.kind}, not a {kind}")
        return None

    def _annotated(self, store: Store, label: str) -> dict[int, manifest.Item]:
        """The annotations that have a label, by row of the store."""
        return {
            row: self.items[identifier]
            for row, identifier in enumerate(store.ids)
            if label in self.items.get(identifier, {}).get("labels", {})
        }

    def kind(self, stores: Sequence[Store], label: str) -> str:
        """Kind of a label: class, distribution, scalar or trace; class where it is not described.

        Annotations that describe the label override the stores. Raises DataError where stores
        disagree, or nobody has the label.
        """
        over = self._described(label)
        specs = [over] if over else [store.labels.get(label) for store in stores]
        kinds = dict.fromkeys(spec.kind for spec in specs if spec is not None)
        if len(kinds) > 1:
            raise DataError(f"label {label!r} is of several kinds: {' and '.join(kinds)}")
        if not kinds:
            annotated = [item["labels"][label] for item in self.items.values()
                         if label in item.get("labels", {})]  # fmt: skip
            if not annotated:
                raise self._no_label(stores[0], label)
            if any(isinstance(value, (int, float)) for value in annotated):
                return "scalar"
        return next(iter(kinds), "class")

    def traces(self, store: Store, label: str) -> Traces:
        """A trace label of each utterance.

        Where any utterance of the store is annotated, the rate is that of the annotations, and the
        store's own traces are resampled to it. Raises DataError where neither has the label, or it
        is of another kind or of another number of raters.
        """
        own, over = self._own(store, label, "trace"), self.specs.get(label)
        annotated = self._annotated(store, label)
        if annotated and (over is None or over.kind != "trace"):
            raise DataError(f"the annotations do not describe {label!r} as a trace in their header")
        is_overridden = own is None and label in store.labels
        spec = over if annotated or is_overridden else own
        if spec is None:
            raise self._no_label(store, label)
        if own is not None and own.raters != spec.raters:
            raise DataError(
                f"label {label!r} has {count_of(spec.raters, 'rater')} in the annotations, but "
                f"{own.raters} in {store.path}"
            )
        values = []
        for row in range(store.count):
            found = None
            if row in annotated:
                found = labels_of(annotated[row], {label: spec})[label]
            elif own is not None:
                found = np.asarray(store.trace(label, row))
                if own.rate_hz != spec.rate_hz:
                    found = resample(found, own.rate_hz, spec.rate_hz)
            values.append(np.empty((0, *spec.step_shape), np.float32) if found is None else found)
        return Traces(spec.rate_hz, spec.raters, values)

    def _no_label(self, store: Store, label: str) -> DataError:
        own = ", ".join(store.labels) or "none"
        given = {name for item in self.items.values() for name in item.get("labels", {})}
        over = f"; the annotations have: {', '.join(sorted(given))}" if given else ""
        return DataError(
            f"{store.path} has no label {label!r} (it has: {own}{over})"
            f"{meant(label, {*store.labels, *given})}"
        )


def _text(value: object) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return "" if value is None else str(value)
