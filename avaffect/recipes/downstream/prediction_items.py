"""Predicted labels of utterances as a manifest: an item for each label, utterance and run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from avaffect.core.headers import Run
from avaffect.data import manifest
from avaffect.evaluation import distributions
from avaffect.recipes.downstream import heads
from avaffect.recipes.downstream.predicted_labels import PredictedLabel
from avaffect.recipes.downstream.prediction_data import PredictedUtterances
from avaffect.recipes.downstream.prediction_passes import Prediction
from avaffect.recipes.downstream.training_speakers import worst

DECIMALS, DIGITS = 6, 7


def write(prediction: Prediction) -> None:
    """A manifest of items, run by run."""
    settings, header = prediction.settings, prediction.header
    utterances = prediction.utterances
    facts = _facts(prediction.labels)
    facts["runs"] = header.run_count
    facts["seen"] = True
    if utterances.folder is not None:
        facts["base"] = manifest.base_for(settings.output, utterances.folder)
    statuses: dict[str, str | None] = {}
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for part, dataset in prediction.passes():
        outputs = heads.utterance_scores(part.group, dataset)
        for place, number in enumerate(part.numbers):
            found[number] = part.rows, outputs[:, place]
    with manifest.writer(
        settings.output, manifest.new_header("predictions", **facts, provenance=prediction.made)
    ) as sink:
        for number in sorted(found):
            rows, outputs = found[number]
            for label in prediction.labels:
                for item in _items(utterances, rows, outputs, label, header.runs[number], number):
                    statuses[item["id"]] = worst([item["seen"], statuses.get(item["id"])])
                    sink.item(item)
    utterances.report(sink.count, statuses.values(), prediction.progress)


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
    utterances: PredictedUtterances,
    rows: np.ndarray,
    outputs: np.ndarray,
    label: PredictedLabel,
    run: Run,
    number: int,
) -> Iterator[manifest.Item]:
    """outputs (rows, columns) of the run at `number`."""
    outputs = outputs[:, label.columns]
    values = distributions.softmax(outputs) if label.classes else outputs
    gold = utterances.gold[label.name]
    for index, row in zip(rows.tolist(), values):
        item: manifest.Item = {
            "id": utterances.dataset.ids[index],
            "media": utterances.media[index],
            "split": utterances.splits[index] or None,
            "speaker": utterances.speakers[index] or None,
            "target": label.name,
            **_said(label, row, gold[index]),
            "run": run.run,
            "seen": utterances.status(number, index),
        }
        if run.fold is not None:
            item["fold"] = run.fold
        yield item


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
