"""`predict`: apply a classifier to stores."""

from __future__ import annotations

from collections.abc import Sequence

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import ClassifierHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import unique_ids
from avaffect.recipes.common import publishing, work
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.downstream.predicted_labels import PredictedLabel, predicted_labels
from avaffect.settings.feature_stores import parse_features
from avaffect.settings.outputs import AS_TABLE, TABLES, check_suffix
from avaffect.settings.predict import PredictSettings
from avaffect.settings.windows import check_windows


def predict(settings: PredictSettings, progress: Progress = SILENT) -> None:
    """Write a manifest of predicted labels of utterances, or a store of predicted traces.

    Raises DataError where no utterance is in the split, a split is named for a classifier of folds,
    its folds are unknown, or the features of the stores are not those that it was trained on;
    UsageError where the output's name is that of another kind of file.
    """
    header = headers.read(settings.model, ClassifierHeader)
    labels = predicted_labels(header, settings.label)
    over_time = _over_time(settings, labels)
    _check_windows(settings, header, labels, over_time)
    _check_output(settings, over_time)
    if settings.split not in (None, "all") and header.of_folds:
        raise DataError(
            f"--split {settings.split}: {settings.model} is of folds, and each utterance "
            "is predicted by the fold that tests it, whatever its split; leave --split out"
        )
    stores = open_stores(settings.media)
    features = {n: open_stores([p])[0] for n, p in parse_features(settings.features).items()}
    unique_ids(stores)
    made = work.record(
        "predict",
        settings,
        work.store_inputs("media", stores),
        work.feature_inputs(features),
        work.file_inputs("model", [settings.model], "classifier"),
        work.file_inputs("annotations", [settings.annotations], "corpus"),
    )
    if publishing.is_done(settings, made, progress, f"predict with {settings.model}"):
        return
    from avaffect.recipes.downstream import predicting

    predicting.run(settings, stores, features, labels, made, progress)


def _over_time(settings: PredictSettings, labels: Sequence[PredictedLabel]) -> bool:
    """Whether traces are predicted. Raises UsageError for traces together with labels of
    utterances, which go to files of different kinds."""
    kinds = {label.over_time: label for label in labels}
    if len(kinds) > 1:
        raise UsageError(
            f"{settings.model} predicts {kinds[True].name}, a trace, which goes to a store, and "
            f"{kinds[False].name}, which goes to a manifest: choose one kind with --label"
        )
    return True in kinds


def _check_windows(
    settings: PredictSettings,
    header: ClassifierHeader,
    labels: Sequence[PredictedLabel],
    over_time: bool,
) -> None:
    """Windows are for traces, and not further apart than they are long."""
    if over_time and header.traces is not None:
        check_windows(settings.window or header.traces.window_s, settings.step)
        return
    for flag in ("window", "step", "mask_absent"):
        if getattr(settings, flag):
            name = flag.replace("_", "-")
            what = "classes" if labels[0].classes else "numbers"
            raise UsageError(f"--{name} goes with traces; {settings.model} predicts {what}")


def _check_output(settings: PredictSettings, over_time: bool) -> None:
    """Traces go to a store, labels of utterances to a manifest: the suffix must match."""
    if over_time:
        if settings.output is None:
            raise UsageError("traces are written to a store: name it with -o P.h5")
        check_suffix(settings.output, "store", "a store of traces")
    elif settings.output is not None and settings.output.suffix.lower() in TABLES:
        raise UsageError(
            f"-o {settings.output}: classes are written to a manifest, not a table; for a table: "
            f"avaffect predict ... | {AS_TABLE} > {settings.output}"
        )
    else:
        check_suffix(settings.output, "manifest", "a manifest of classes")
