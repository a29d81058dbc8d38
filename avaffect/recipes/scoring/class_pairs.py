"""Predicted classes paired with gold ones, by run and utterance."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data import artifacts, manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.evaluation import bootstrap
from avaffect.evaluation.bootstrap import Confusions
from avaffect.recipes.scoring import (
    class_tables,
    gold_labels,
    scored_items,
    table_columns,
    vote_scores,
)
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.recipes.scoring.scored_items import OF_CLASSES, of_label, of_split
from avaffect.recipes.scoring.table_columns import TablePredictions
from avaffect.recipes.scoring.vote_scores import Gold, true_classes
from avaffect.settings.class_map import ClassMap
from avaffect.settings.eval_class import EvalClassSettings

# run -> id -> (gold class, predicted class)
Pairs = Mapping[RunName, Mapping[str, tuple[str, str]]]
SPEAKERS, UTTERANCES = "speakers", "utterances"
SPEAKER = "speaker"


@dataclass(frozen=True)
class PairedClasses:
    """name: of the file; items: that are scored, of `split` (None: all), and those without a gold
    class, whose ids are `missing`; gold: of --gold; found: the whole manifest, of one label."""

    name: str
    label: str
    split: str | None
    classes: tuple[str, ...]
    pairs: Pairs
    missing: frozenset[str]
    items: Sequence[Item]
    gold: Gold | None
    found: Manifest

    def utterances(self) -> frozenset[str]:
        """Ids that are scored, in any run."""
        return frozenset().union(*self.pairs.values())


def read(path: Path, settings: EvalClassSettings) -> Manifest:
    """A manifest of predictions or of a retrieval, or a table of predictions as one."""
    if not artifacts.is_table(path):
        given = bool(settings.gold)
        return manifest.read(
            path,
            ("predictions", "retrieval"),
            lambda item: scored_items.needed(item, given, settings.by, settings.calibration),
        )
    name, other = gold_labels.label_names(settings.label)
    return class_tables.predictions(
        path,
        name,
        other,
        gold_labels.DEFAULT_LABEL,
        bool(settings.gold),
        settings.id_column,
        (SPEAKER, *settings.by),
        settings.calibration,
    )


def paired(found: Manifest, settings: EvalClassSettings, progress: Progress) -> PairedClasses:
    """Raises DataError where no item has a gold class, an utterance is predicted twice in a run, or
    a class is none of those to score."""
    name, other = gold_labels.label_names(settings.label)
    found = of_label(found, name, OF_CLASSES)
    label = name or found.header.target or gold_labels.DEFAULT_LABEL
    if isinstance(found, TablePredictions):
        label = found.header.target or label
    gold = None
    if settings.gold:
        gold = gold_labels.read(settings.gold, other or name, label, settings.id_column)
        found = table_columns.matched(found, gold, progress)
    items, split = of_split(found, settings.split)
    pairs, missing = _pairs(found, items, settings.class_map, gold)
    classes = tuple(_classes(found, settings.class_map, pairs))
    _check(found.name, pairs, classes)
    return PairedClasses(
        found.name, label, split, classes, pairs, frozenset(missing), items, gold, found
    )


def _pairs(
    found: Manifest, items: Sequence[Item], classes: ClassMap, gold: Gold | None
) -> tuple[dict[RunName, dict[str, tuple[str, str]]], set[str]]:
    """The pairs, and the ids without a gold class."""
    known = None if gold is None else true_classes(gold, classes)
    pairs: dict[RunName, dict[str, tuple[str, str]]] = {}
    missing: set[str] = set()
    for item in items:
        identifier, predicted = item.get("id"), item.get("prediction")
        if not isinstance(identifier, str) or not isinstance(predicted, str) or not predicted:
            raise DataError(
                f"{found.name}: an item has no id or no predicted class: {json.dumps(item)[:120]}"
            )
        true = classes.renamed(item.get("gold")) if known is None else known.get(identifier)
        if true is None:
            missing.add(identifier)
            continue
        run = pairs.setdefault(item.get("run", 0), {})
        if identifier in run:
            raise DataError(
                f"{found.name}: {identifier} is predicted twice in run {item.get('run', 0)}"
            )
        run[identifier] = (true, classes.renamed(predicted) or predicted)
    if not pairs:
        tied = sum(vote_scores.votes_of(item, gold) is not None for item in items)
        why = (
            f"the votes of {tied} are tied, and the others have none"
            if tied
            else "name a store or a corpus manifest with --gold"
        )
        raise DataError(
            f"{found.name}: none of its {count_of(len(items), 'prediction')} has a gold class to "
            "be scored by; " + why
        )
    return pairs, missing


def _classes(found: Manifest, chosen: ClassMap, pairs: Pairs) -> list[str]:
    """The classes in order: those of --classes, else the classifier's, else all that occur."""
    if chosen:
        return list(chosen.names)
    if found.header.classes:
        return list(found.header.classes)
    occurring = {name for run in pairs.values() for pair in run.values() for name in pair}
    return gold_labels.in_order(occurring)


def _check(file: str, pairs: Pairs, classes: Sequence[str]) -> None:
    known = set(classes)
    for run in pairs.values():
        for identifier, pair in run.items():
            for what, of in zip(("gold class", "prediction"), pair):
                if of not in known:
                    raise DataError(
                        f"{file}: {of!r}, the {what} of {identifier}, is none of the classes "
                        f"({', '.join(classes)}); choose or merge classes with --classes"
                    )


@dataclass(frozen=True)
class Units:
    """What a bootstrap draws: `count` speakers, or utterances. place: id -> 0 to count - 1."""

    over: str
    count: int
    place: Mapping[str, int]

    def matrices(
        self, runs: Sequence[Mapping[str, tuple[str, str]]], classes: Sequence[str]
    ) -> tuple[Confusions, np.ndarray | None]:
        """Confusion matrices of each run, and how many there are of each: of speakers one, of
        utterances those that are predicted alike."""
        index = {of: place for place, of in enumerate(classes)}
        if self.over == SPEAKERS:
            first, *others = (self._of_speakers(run, index) for run in runs)
            return first.beside(*others), None
        codes = np.full((len(runs), self.count), len(classes) ** 2)
        for row, run in enumerate(runs):
            for identifier, (true, predicted) in run.items():
                codes[row, self.place[identifier]] = index[true] * len(classes) + index[predicted]
        return bootstrap.distinct(codes, len(classes))

    def _of_speakers(
        self, run: Mapping[str, tuple[str, str]], index: Mapping[str, int]
    ) -> Confusions:
        return bootstrap.grouped(
            [index[true] for true, _ in run.values()],
            [index[predicted] for _, predicted in run.values()],
            [self.place[identifier] for identifier in run],
            len(index), self.count,
        )  # fmt: skip


def units(of: PairedClasses) -> Units:
    """Those of the scored utterances."""
    return units_of(dict.fromkeys(i for run in of.pairs.values() for i in run), of.items)


def units_of(ids: Iterable[str], items: Iterable[Item]) -> Units:
    """Speakers where the items name one for each of these utterances, otherwise utterances."""
    scored = dict.fromkeys(ids)
    speakers = {item["id"]: item.get(SPEAKER) for item in items if item["id"] in scored}
    over = SPEAKERS if all(speakers.values()) else UTTERANCES
    unit_of = speakers if over == SPEAKERS else dict(zip(scored, scored))
    places = {unit: place for place, unit in enumerate(dict.fromkeys(unit_of.values()))}
    return Units(over, len(places), {i: places[unit] for i, unit in unit_of.items()})
