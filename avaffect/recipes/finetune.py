"""`finetune`: a head on an encoder, in one run or several."""

from __future__ import annotations

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes import common, training
from avaffect.recipes.downstream import scores_of, task_of
from avaffect.recipes.finetune_defaults import completed, tell_folds
from avaffect.recipes.fractions import check_fraction
from avaffect.recipes.stores import open_stores
from avaffect.settings.finetune import FinetuneSettings


def finetune(settings: FinetuneSettings, progress: Progress = SILENT) -> None:
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were seen before, or there is nothing to learn.
    """
    check_fraction(settings.fraction)
    stores = open_stores(settings.media)
    asked = settings.folds
    settings = completed(settings, stores, scores_of(stores, settings))
    made = common.record(
        "finetune",
        settings,
        [
            *common.store_inputs("media", stores),
            *common.file_inputs("encoder", [settings.encoder], "encoder"),
            *common.file_inputs("annotations", [settings.annotations], "corpus"),
        ],
    )
    if training.is_done(settings, made, progress, f"train {settings.runs} classifiers"):
        return
    tell_folds(settings, asked, stores, progress)
    task = task_of(stores, settings, progress)
    from avaffect.recipes import finetuning

    finetuning.run(settings, stores, task, made, progress)
