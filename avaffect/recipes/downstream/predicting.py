"""Applying the classifier in `predict`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avaffect.core.headers import ClassifierHeader
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.store.reader import Store
from avaffect.recipes.downstream import prediction_items, prediction_traces
from avaffect.recipes.downstream.predicted_labels import PredictedLabel
from avaffect.recipes.downstream.prediction_data import utterances_of
from avaffect.recipes.downstream.prediction_items import Predicted
from avaffect.recipes.downstream.prediction_passes import Prediction
from avaffect.settings.predict import PredictSettings
from avaffect.training import checkpoint


def run(
    settings: PredictSettings,
    stores: list[Store],
    features: Mapping[str, Store],
    labels: Sequence[PredictedLabel],
    made: Provenance,
    progress: Progress,
    collect: bool = False,
) -> Predicted | None:
    """Write a manifest of predicted labels of utterances, or a store of predicted traces.

    collect: return what the manifest would hold instead.

    Raises DataError where no utterance is in the split, the folds of the classifier are unknown, or
    the features of the stores are not those that it was trained on.
    """
    header, tensors = checkpoint.read(settings.model, ClassifierHeader)
    utterances = utterances_of(settings, stores, features, header, labels, progress)
    prediction = Prediction(settings, header, tensors, labels, made, utterances, progress)
    if collect:
        return prediction_items.collected(prediction)
    if labels[0].over_time:
        prediction_traces.write(prediction)
    else:
        prediction_items.write(prediction)
    return None
