"""`finetune`: a head on an encoder, in one run or several."""

from __future__ import annotations

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.downstream.defaults import completed, tell_folds
from avaffect.recipes.downstream.tasks import scores_of, task_of
from avaffect.settings.finetune import FinetuneSettings


def finetune(settings: FinetuneSettings, progress: Progress = SILENT) -> None:
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were seen before, or there is nothing to learn.
    """
    stores = open_stores(settings.media)
    asked = settings.folds
    settings = completed(settings, stores, scores_of(stores, settings))
    made = work.record(
        "finetune",
        settings,
        [
            *work.store_inputs("media", stores),
            *work.file_inputs("encoder", [settings.encoder], "encoder"),
            *work.file_inputs("annotations", [settings.annotations], "corpus"),
        ],
    )
    if training_run.is_done(settings, made, progress, f"train {settings.runs} classifiers"):
        return
    tell_folds(settings, asked, stores, progress)
    task = task_of(stores, settings, progress)
    from avaffect.recipes.downstream import finetuning

    finetuning.run(settings, stores, task, made, progress)
