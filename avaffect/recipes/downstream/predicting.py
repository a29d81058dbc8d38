"""Applying the classifier in `predict`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avaffect.core.headers import ClassifierHeader
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.store.reader import Store
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.downstream import prediction_items, prediction_traces
from avaffect.recipes.downstream.predicted_labels import PredictedLabel
from avaffect.recipes.downstream.prediction_data import utterances_of
from avaffect.recipes.downstream.prediction_items import Predicted
from avaffect.recipes.downstream.prediction_passes import Prediction
from avaffect.settings.predict import PredictSettings
from avaffect.training import checkpoint


def prediction_of(
    settings: PredictSettings,
    header: ClassifierHeader,
    stores: list[Store],
    features: Mapping[str, Store],
    labels: Sequence[PredictedLabel],
    made: Provenance,
    progress: Progress,
    work: Work,
) -> Prediction:
    """header: of the classifier; work: keeps what is computed.

    Raises DataError where no utterance is in the split, or the features of the stores are not those
    that the classifier was trained on.
    """
    # One header is enough: it lists all training utterances.
    tensors = checkpoint.read(settings.model, ClassifierHeader)[1]
    utterances = utterances_of(settings, stores, features, header, labels, progress)
    return Prediction(settings, header, tensors, labels, made, utterances, progress, work)


def write(prediction: Prediction) -> None:
    """Write a manifest of predicted labels of utterances, or a store of predicted traces.

    Raises DataError where the folds of the classifier are unknown.
    """
    if prediction.labels[0].over_time:
        prediction_traces.write(prediction)
    else:
        prediction_items.write(prediction)


def collected(prediction: Prediction) -> Predicted:
    """What the manifest of labels of utterances would hold.

    Raises DataError where the folds of the classifier are unknown.
    """
    return prediction_items.collected(prediction)
