"""Labelled utterances of one or more stores: shared by train-projector and finetune."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.data.dataset import unique_ids
from avaffect.data.labels import Annotations, ClassMap
from avaffect.data.store import Store
from avaffect.settings.base import Labelled


@dataclass(frozen=True)
class LabelledUtterances:
    """ids, speakers, splits, folds: one text each; targets (N,) int64 into classes."""

    ids: list[str]
    speakers: list[str]
    splits: list[str]
    folds: list[str]
    targets: np.ndarray
    classes: tuple[str, ...]

    def chosen(self, mask: np.ndarray) -> LabelledUtterances:
        rows = np.flatnonzero(mask).tolist()

        def take(column: list[str]) -> list[str]:
            return [column[row] for row in rows]

        return LabelledUtterances(
            take(self.ids), take(self.speakers), take(self.splits), take(self.folds),
            self.targets[rows], self.classes,
        )  # fmt: skip

    def check_classes(self, what: str) -> None:
        """Raises DataError where there is one class only, or none."""
        present = np.unique(self.targets)
        if len(present) < 2:
            names = ", ".join(self.classes[index] for index in present) or "none"
            raise DataError(f"{what}: one class only ({names}); at least two are needed to learn")


def labelled_utterances(
    stores: Sequence[Store],
    settings: Labelled,
    progress: Progress,
    annotations: Annotations | None = None,
) -> LabelledUtterances:
    """The utterances that have a label in use.

    Raises DataError where a store has no such label, or no utterance is labelled.
    """
    unique_ids(stores)
    known = Annotations.read(settings.annotations, stores) if annotations is None else annotations
    names = [name for store in stores for name in known.names(store, settings.label)]
    if settings.classes is not None:
        chosen = ClassMap.parse(settings.classes)
        classes, index_of = chosen.names, chosen.index_of()
    else:
        classes = _classes_in_use(stores, settings.label, names)
        index_of = {name: index for index, name in enumerate(classes)}
    targets = np.array([index_of.get(name, -1) for name in names], dtype=np.int64)
    everyone = LabelledUtterances(
        [identifier for store in stores for identifier in store.ids],
        *(
            [value for store in stores for value in known.field(store, field)]
            for field in ("speaker", "split", "fold")
        ),
        targets,
        classes,
    )
    left_out = Counter("missing" if n is None else n for n, t in zip(names, targets) if t < 0)
    if left_out:
        words = ", ".join(f"{name} {count}" for name, count in sorted(left_out.items()))
        progress.say(f"{left_out.total()} utterances have no {settings.label} in use ({words})")
    found = everyone.chosen(targets >= 0)
    if not found.ids:
        raise DataError(f"{stores[0].path}: no utterance has a label {settings.label!r} in use")
    return found


def _classes_in_use(
    stores: Sequence[Store], label: str, names: Sequence[str | None]
) -> tuple[str, ...]:
    """Classes that occur, in the order of the stores' own lists."""
    listed = [c for s in stores if label in s.labels for c in s.labels[label].classes]
    occurring = {name for name in names if name is not None}
    return tuple(name for name in dict.fromkeys([*listed, *sorted(occurring)]) if name in occurring)
