"""Predicted labels of utterances as a manifest: an item for each label, utterance and run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.headers import ManifestHeader, Run
from avaffect.core.nouns import count_of
from avaffect.data import manifest
from avaffect.data.dataset import Dataset
from avaffect.data.tables.reader import of_part
from avaffect.evaluation import distributions
from avaffect.recipes.downstream import heads, modalities
from avaffect.recipes.downstream.predicted_labels import PredictedLabel
from avaffect.recipes.downstream.prediction_data import PredictedUtterances
from avaffect.recipes.downstream.prediction_passes import Pass, Prediction
from avaffect.recipes.downstream.sections import Times, sections_of
from avaffect.recipes.downstream.training_speakers import worst

DECIMALS, DIGITS = 6, 7
T = TypeVar("T")


@dataclass(frozen=True)
class Predicted:
    """The header of a manifest of predictions, and its items."""

    header: ManifestHeader
    items: list[manifest.Item]


@dataclass(frozen=True)
class _Outputs:
    """What a run gives of utterances or their sections: rows (M,), indices of the utterances;
    values (M, columns); times: see `Sections`; made_from: modality of each, of a head on two
    streams; distances (M,): of its shared embeddings, NaN without both."""

    rows: np.ndarray
    values: np.ndarray
    times: list[Times] | None
    made_from: list[str] | None
    distances: np.ndarray | None


def write(prediction: Prediction) -> None:
    """A manifest of items, run by run."""
    found = _computed(prediction)
    counted = _Counted()
    with manifest.writer(prediction.settings.output, _header(prediction)) as sink:
        for item in counted.of(_all(prediction, found)):
            sink.item(item)
    prediction.utterances.report(sink.count, counted.statuses.values(), prediction.progress)


def collected(prediction: Prediction) -> Predicted:
    """The header and the items of that manifest, which is not written."""
    counted = _Counted()
    items = list(counted.of(_all(prediction, _computed(prediction))))
    prediction.utterances.report(len(items), counted.statuses.values(), prediction.progress)
    return Predicted(_header(prediction), items)


def _computed(prediction: Prediction) -> dict[int, _Outputs]:
    """Run -> its outputs."""
    settings = prediction.settings
    found: dict[int, _Outputs] = {}
    for part, dataset in prediction.passes():
        sections = sections_of(dataset, settings.window, settings.step)
        chosen = np.flatnonzero(sections.dataset.is_chosen)
        found_in = modalities.made_from(part.group.form, part.group.inputs, sections.dataset)
        if found_in is not None:
            modalities.check_trained(part.group, found_in, settings.model)
        outputs = _over_views(prediction, part, sections.dataset)
        rows = part.rows[sections.rows[chosen]]
        times = _those(sections.times, chosen)
        made_from = _those(found_in, chosen)
        apart = None
        if settings.shared_distance:
            apart = modalities.distances(part.group, sections.dataset, settings.model)
        for place, number in enumerate(part.numbers):
            own = None if apart is None else apart[:, place]
            found[number] = _Outputs(rows, outputs[:, place], times, made_from, own)
    _report_unlearned(prediction, found)
    if settings.shared_distance:
        modalities.report_distances(
            [f.distances for f in found.values() if f.distances is not None], prediction.progress
        )
    return found


def _those(values: list[T] | None, chosen: np.ndarray) -> list[T] | None:
    return None if values is None else [values[place] for place in chosen.tolist()]


def _report_unlearned(prediction: Prediction, found: dict[int, _Outputs]) -> None:
    """Warn of predictions that are left out, as their label was never learned with what an
    utterance has. Raises DataError where that leaves none of a label."""
    for label in prediction.labels:
        left = kept = 0
        lacking: set[str] = set()
        for number, outputs in found.items():
            own = _unlearned(prediction.header.runs[number], label)
            without = sum(modality in own for modality in outputs.made_from or ())
            left, kept = left + without, kept + len(outputs.rows) - without
            lacking |= own & set(outputs.made_from or ())
        if not left:
            continue
        words = (
            f"{prediction.settings.model} never learned {label.name} from utterances that have "
            f"{' or '.join(modalities.has_words(m) for m in sorted(lacking))}"
        )
        if not kept and prediction.settings.shard is None:
            raise DataError(f"{words}, and the {left} here do; choose other labels with --label")
        prediction.progress.warn(f"{words}: {count_of(left, 'prediction')} of it left out")


def _unlearned(run: Run, label: PredictedLabel) -> set[str]:
    return set((run.unlearned or {}).get(label.name, ()))


def _over_views(prediction: Prediction, part: Pass, dataset: Dataset) -> np.ndarray:
    """(M, heads, columns): means over the views of each section."""
    count = prediction.settings.views
    found = []
    for number in range(count):
        kept = prediction.work.rows(f"{part.name}-view-{number}", prediction.progress)
        view = replace(dataset, view=(number, count))
        found.append(heads.utterance_scores(part.group, view, kept))
    return np.mean(found, axis=0)


def _header(prediction: Prediction) -> ManifestHeader:
    facts = _facts(prediction.labels)
    facts["runs"] = prediction.header.run_count
    facts["seen"] = True
    if prediction.utterances.folder is not None:
        facts["base"] = manifest.base_for(prediction.settings.output, prediction.utterances.folder)
    return manifest.new_header("predictions", **facts, provenance=prediction.made)


def _all(prediction: Prediction, found: dict[int, _Outputs]) -> Iterator[manifest.Item]:
    for number in sorted(found):
        for label in prediction.labels:
            run = prediction.header.runs[number]
            yield from _items(prediction.utterances, found[number], label, run, number)


class _Counted:
    """statuses: id -> the most serious of its items."""

    def __init__(self) -> None:
        self.statuses: dict[str, str | None] = {}

    def of(self, items: Iterable[manifest.Item]) -> Iterator[manifest.Item]:
        for item in items:
            known = self.statuses.get(item["id"])
            self.statuses[item["id"]] = worst([item["seen"], known])
            yield item


def _facts(labels: Sequence[PredictedLabel]) -> dict[str, Any]:
    """Data of the manifest's header: of the first label, and of all."""
    described: dict[str, dict[str, Any]] = {}
    for label in labels:
        described[label.name] = {"kind": label.kind}
        if label.classes:
            described[label.name]["classes"] = list(label.classes)
    facts: dict[str, Any] = {"target": labels[0].name, "targets": described}
    if labels[0].classes:
        facts["classes"] = list(labels[0].classes)
    return facts


def _items(
    utterances: PredictedUtterances, outputs: _Outputs, label: PredictedLabel, run: Run, number: int
) -> Iterator[manifest.Item]:
    """Of the run at `number`."""
    columns = outputs.values[:, label.columns]
    values = distributions.softmax(columns) if label.classes else columns
    gold = utterances.gold[label.name]
    times: Sequence[Times | None] = outputs.times or [None] * len(values)
    unlearned = _unlearned(run, label)
    for place, (index, row, part) in enumerate(zip(outputs.rows.tolist(), values, times)):
        if outputs.made_from is not None and outputs.made_from[place] in unlearned:
            continue
        identifier = utterances.dataset.ids[index]
        item: manifest.Item = {
            "id": identifier if part is None else of_part(identifier, part),
            "media": utterances.media[index],
            **(own._asdict() if (own := utterances.places.part(index)) is not None else {}),
            **({} if part is None else {"start": part[0], "end": part[1]}),
            "split": utterances.splits[index] or None,
            "speaker": utterances.speakers[index] or None,
            "target": label.name,
            **_said(label, row, gold[index]),
            **({} if outputs.made_from is None else {"modality": outputs.made_from[place]}),
            **_distance(outputs, place),
            "run": run.run,
            "seen": utterances.status(number, index),
        }
        if run.fold is not None:
            item["fold"] = run.fold
        yield item


def _distance(outputs: _Outputs, place: int) -> dict[str, float | None]:
    if outputs.distances is None:
        return {}
    found = outputs.distances[place]
    return {"shared_distance": None if np.isnan(found) else _rounded(found)}


def _said(label: PredictedLabel, row: np.ndarray, gold: Any) -> dict[str, Any]:
    """gold, prediction and scores: of votes both sides' most frequent class, and their shares."""
    if label.kind == "scalar":
        right = None if gold is None else _significant(gold)
        return {"gold": right, "prediction": _significant(row[0])}
    found: dict[str, Any] = {"gold": gold}
    if label.kind == "distribution":
        most = -1 if gold is None else int(distributions.majority(gold[None])[0])
        found["gold"] = label.classes[most] if most >= 0 else None
        found["gold_scores"] = None if gold is None else _by_class(label, gold)
    found["prediction"] = label.classes[int(row.argmax())]
    found["scores"] = _by_class(label, row)
    return found


def _by_class(label: PredictedLabel, row: np.ndarray) -> dict[str, float]:
    return {name: _rounded(value) for name, value in zip(label.classes, row)}


def _rounded(share: float) -> float:
    return round(float(share), DECIMALS)


def _significant(value: float) -> float:
    """As many digits as float32 has, whatever the unit."""
    return float(f"{value:.{DIGITS}g}")
