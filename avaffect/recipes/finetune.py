"""`finetune`: a head on an encoder, in one run or several."""

from __future__ import annotations

from dataclasses import replace

from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.recipes import common, training
from avaffect.recipes.downstream import scores_of, task_of
from avaffect.recipes.fractions import check_fraction
from avaffect.settings.finetune import RECURRENT, FinetuneSettings

# Of the linear head, and of recurrent ones.
DEFAULT_EPOCHS = {"fine-tuned": (5, 5), "scratch": (50, 100), "frozen": (50, 100)}
DEFAULT_RATES = (1e-3, 1e-4)
RECURRENT_SIZE = {"hidden": 256, "layers": 2}


def finetune(settings: FinetuneSettings, progress: Progress = SILENT) -> None:
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were seen before, or there is nothing to learn.
    """
    settings = _completed(settings)
    stores = common.open_stores(settings.media)
    settings = _with_selection(settings, scores_of(stores, settings))
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
    task = task_of(stores, settings, progress)
    from avaffect.recipes import finetuning

    finetuning.run(settings, stores, task, made, progress)


def _completed(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings with those defaults that depend on others.

    Raises UsageError where the linear head is given the size of a recurrent one.
    """
    check_fraction(settings.fraction)
    given = {name: getattr(settings, name) for name in RECURRENT_SIZE}
    for name, value in given.items():
        if value is not None and settings.head not in RECURRENT:
            raise UsageError(f"--{name} goes with --head {' or '.join(RECURRENT)}")
    size = {name: given[name] or default for name, default in RECURRENT_SIZE.items()}
    mode = settings.mode or ("frozen" if settings.encoder is None else "fine-tuned")
    recurrent = settings.head in RECURRENT
    rate = settings.head_learning_rate or DEFAULT_RATES[recurrent]
    settings = replace(settings, mode=mode, head_learning_rate=rate, **size)
    if settings.epochs is None and settings.steps is None:
        settings = replace(settings, epochs=DEFAULT_EPOCHS[mode][recurrent])
    return settings


def _with_selection(settings: FinetuneSettings, scores: tuple[str, ...]) -> FinetuneSettings:
    if settings.select is None:
        return replace(settings, select=scores[0])
    if settings.select not in (*scores, "none"):
        known = ", ".join(scores)
        raise UsageError(
            f"--select {settings.select}: {settings.label[0]} is scored by {known}; or none"
        )
    return settings
