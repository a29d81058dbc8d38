"""`predict`: apply a classifier to recordings or stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import ClassifierHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import unique_ids
from avaffect.data.recordings import media_content_id
from avaffect.data.store.reader import Store
from avaffect.recipes.common import publishing, training_run, work
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.downstream import prediction_tables
from avaffect.recipes.downstream.predicted_labels import (
    VECTORS,
    PredictedLabel,
    input_models,
    modalities,
    predicted_labels,
    reads_both,
)
from avaffect.recipes.media.listing import Listed, listed
from avaffect.settings.feature_stores import parse_features
from avaffect.settings.outputs import TABLES, check_suffix
from avaffect.settings.predict import PredictSettings
from avaffect.settings.windows import check_windows

if TYPE_CHECKING:
    from avaffect.recipes.downstream.prediction_items import Predicted

Inputs = tuple[list[Store], Mapping[str, Store]]


def predict(
    settings: PredictSettings, progress: Progress = SILENT, for_people: bool = False
) -> Predicted | None:
    """Write a manifest of predicted labels of utterances, or a store of predicted traces.

    With --format csv or table, or of recordings `for_people`, without an output, the predictions
    are returned. Raises DataError where no utterance is in the split, a split is named for a
    classifier of folds, its folds are unknown, the features of the stores are not those that it was
    trained on, or recordings do not give what it reads; UsageError where the output's name is that
    of another kind of file, or recordings stand beside stores.
    """
    header = headers.read(settings.model, ClassifierHeader)
    _check_streams(settings, header)
    labels = predicted_labels(header, settings.label)
    over_time = _over_time(settings, labels)
    _check_windows(settings, header, labels, over_time)
    _check_output(settings, over_time)
    if settings.split not in (None, "all") and header.of_folds:
        raise DataError(
            f"--split {settings.split}: {settings.model} is of folds, and each utterance "
            "is predicted by the fold that tests it, whatever its split; leave --split out"
        )
    recordings = listed(settings.media, progress)
    if recordings is not None:
        if settings.shard is not None:
            raise UsageError(
                f"--shard {settings.shard} goes with stores: preprocess the recordings in shards"
            )
        _check_parts(settings, header)
    given, inputs = _inputs(settings, header, recordings, progress)
    made = work.record(
        "predict",
        settings,
        *inputs,
        work.file_inputs("model", [settings.model], "classifier"),
        work.file_inputs("annotations", [settings.annotations], "corpus"),
    )
    form = settings.format
    if form is None and for_people and recordings and settings.output is None and not over_time:
        form = "table"
    plan = f"predict with {settings.model}"
    of_manifest = form not in ("csv", "table")
    if of_manifest and training_run.is_done(settings, made, progress, plan):
        return None
    if publishing.is_dry(settings, progress, plan):
        return None
    from avaffect.recipes.downstream import predicting

    keeping = training_run.working(settings, made, progress) if of_manifest else nullcontext(Work())
    with keeping as begun:
        if begun is None:
            return None
        with given as (stores, features):
            prediction = predicting.prediction_of(
                settings, header, stores, features, labels, made, progress, begun
            )
            if of_manifest:
                predicting.write(prediction)
                return None
            found = predicting.collected(prediction)
    if settings.output is None:
        return found
    publishing.publish(
        settings, made, prediction_tables.csv_text(found).encode(), progress,
        plan=plan, differs="holds other predictions",
    )  # fmt: skip
    return None


def _check_streams(settings: PredictSettings, header: ClassifierHeader) -> None:
    """Raises UsageError for options of streams that the classifier does not have."""
    if settings.modality is not None and not (modalities(header) or reads_both(header)):
        raise UsageError(
            f"--modality {settings.modality}: {settings.model} has neither an encoder that was "
            "fine-tuned on audio and video nor a head on two streams, and needs all that it was "
            "trained on"
        )
    _check_withheld(settings, header)
    if settings.shared_distance and not modalities(header):
        raise UsageError(
            f"--shared-distance: the head of {settings.model} does not read two streams, and has "
            "no layers that both go through"
        )


def _check_withheld(settings: PredictSettings, header: ClassifierHeader) -> None:
    """Raises UsageError for features to do without that the classifier does not read beside
    others."""
    names = {*(header.features or {})}
    for name in settings.without_features:
        if name not in names:
            raise UsageError(
                f"--without-features {name}: {settings.model} reads {', '.join(names) or 'none'}"
            )
    if settings.without_features and modalities(header):
        raise UsageError(
            f"--without-features: the head of {settings.model} reads two streams; --modality "
            "chooses one"
        )
    if settings.without_features and not {*input_models(header)} - {*settings.without_features}:
        raise UsageError("--without-features: nothing is left to predict from")


def _inputs(
    settings: PredictSettings,
    header: ClassifierHeader,
    recordings: Listed | None,
    progress: Progress,
) -> tuple[AbstractContextManager[Inputs], list[list[work.Input]]]:
    """The stores that are read, which recordings become while they are used, and the inputs to
    record."""
    if recordings is None:
        for flag, value in (("--jobs", settings.jobs), ("--face-model", settings.face_model)):
            if value is not None:
                raise UsageError(f"{flag} {value}: stores are decoded already; leave it out")
        stores = open_stores(settings.media)
        features = {n: open_stores([p])[0] for n, p in parse_features(settings.features).items()}
        unique_ids(stores)
        listing = [work.store_inputs("media", stores), work.feature_inputs(features)]
        return nullcontext((stores, features)), listing
    if settings.features:
        raise UsageError(
            f"--features {settings.features[0]}: of recordings, features are computed; give stores"
        )
    from avaffect.recipes.downstream import decoded_recordings

    corpus = recordings.corpus
    prepared = decoded_recordings.prepared(
        settings.model, header, settings.face_model, settings.without_features
    )
    given = decoded_recordings.decoded(settings, header, prepared, recordings, progress)
    identity = media_content_id(corpus, corpus.items)
    return given, [[("recordings", corpus.folder, identity)]]


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
    """Windows are not further apart than they are long, and what is read has time; absent faces are
    masked in traces."""
    if over_time and header.traces is not None:
        check_windows(settings.window or header.traces.window_s, settings.step)
        return
    if settings.mask_absent:
        what = "classes" if labels[0].classes else "numbers"
        raise UsageError(f"--mask-absent goes with traces; {settings.model} predicts {what}")
    if settings.step is not None and settings.window is None:
        raise UsageError("--step goes with --window: the length of the windows in seconds")
    inputs = input_models(header).values()
    if settings.window is not None and all(model["name"] == VECTORS for model in inputs):
        raise UsageError(
            f"--window {settings.window:g}: {settings.model} reads one vector an utterance, "
            "without time; leave --window out, or cut the recordings"
        )


def _check_parts(settings: PredictSettings, header: ClassifierHeader) -> None:
    """Recordings have no splits and folds of their own."""
    if settings.annotations is not None:
        return
    if settings.split not in (None, "all"):
        raise UsageError(
            f"--split {settings.split}: recordings have no split; leave it out, or give a manifest "
            "with splits as --annotations"
        )
    if header.of_folds:
        raise DataError(
            f"{settings.model} has a run for each fold, and recordings are in none: train with "
            "--folds 0 to predict them, or give the manifest of `avaffect split --folds` as "
            "--annotations"
        )


def _check_output(settings: PredictSettings, over_time: bool) -> None:
    """Traces go to a store, labels of utterances to a manifest or a table: the suffix must
    match."""
    output, form = settings.output, settings.format
    if over_time:
        if form is not None:
            raise UsageError(f"--format {form} goes with classes and numbers; traces are a store")
        if output is None:
            raise UsageError("traces are written to a store: name it with -o P.h5")
        check_suffix(output, "store", "a store of traces")
    elif form == "table":
        if output is not None:
            raise UsageError(f"-o {output}: a table is printed; write it with --format csv")
    elif form != "csv":
        if output is not None and output.suffix.lower() in TABLES:
            raise UsageError(
                f"-o {output}: classes are written to a manifest, not a table; for a table: "
                "--format csv"
            )
        check_suffix(output, "manifest", "a manifest of classes")
    elif output is not None and output.suffix.lower() not in (*TABLES, ""):
        raise UsageError(
            f"-o {output}: --format csv is written; name it {output.with_suffix('.csv')}"
        )
