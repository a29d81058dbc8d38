"""`predict`: apply a classifier to stores."""

from __future__ import annotations

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import ClassifierHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import unique_ids
from avaffect.recipes.common import work
from avaffect.recipes.common.stores import open_stores
from avaffect.settings.outputs import AS_TABLE, TABLES, check_suffix
from avaffect.settings.predict import PredictSettings
from avaffect.settings.windows import check_windows


def predict(settings: PredictSettings, progress: Progress = SILENT) -> None:
    """Write a manifest of predicted classes, or a store of predicted traces.

    Raises DataError where no utterance is in the split, the classifier is of folds and a split is
    named, or its folds are unknown, or the stores hold other features than it was trained on;
    UsageError where the output's name is that of another kind of file.
    """
    header = headers.read(settings.model, ClassifierHeader)
    _check_windows(settings, header)
    _check_output(settings, header)
    if settings.split not in (None, "all") and header.of_folds:
        raise DataError(
            f"--split {settings.split}: {settings.model} is of folds, and each tests itself by the "
            "weights that have not seen it, whatever its split; leave --split out"
        )
    stores = open_stores(settings.media)
    unique_ids(stores)
    made = work.record(
        "predict",
        settings,
        [
            *work.store_inputs("media", stores),
            *work.file_inputs("model", [settings.model], "classifier"),
            *work.file_inputs("annotations", [settings.annotations], "corpus"),
        ],
    )
    if work.is_done(settings, made, progress, f"predict with {settings.model}"):
        return
    from avaffect.recipes.downstream import predicting

    predicting.run(settings, stores, made, progress)


def _check_windows(settings: PredictSettings, header: ClassifierHeader) -> None:
    """Windows are for traces, and not further apart than they are long."""
    if header.traces is not None:
        check_windows(settings.window or header.traces.window_s, settings.step)
        return
    for flag in ("window", "step", "mask_absent"):
        if getattr(settings, flag):
            name = flag.replace("_", "-")
            raise UsageError(f"--{name} goes with traces; {settings.model} predicts classes")


def _check_output(settings: PredictSettings, header: ClassifierHeader) -> None:
    """Traces go to a store, classes to a manifest, and their names end so."""
    if header.traces is not None:
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
