"""`extract`: apply any model to a store."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import CheckpointHeader, EncoderHeader, ProjectorHeader, QuantiserHeader
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.data.store.reader import Store
from avaffect.recipes.common import training_run, work
from avaffect.recipes.encoding import choices, dividing
from avaffect.recipes.encoding.front_ends import FRONT_ENDS, is_named
from avaffect.recipes.encoding.labels_over_time import label_of
from avaffect.settings.extract import WITHOUT_OPENSMILE, ExtractSettings

# Checkpoints that are applied to a store.
APPLIED = (EncoderHeader, QuantiserHeader, ProjectorHeader)


def extract(settings: ExtractSettings, progress: Progress = SILENT) -> None:
    """Apply `settings.model` to a store and write the result.

    Raises DataError where the store lacks a stream that the model reads, UsageError where an option
    is for models of another kind.
    """
    _check_together(settings)
    store = Store(settings.media)
    if settings.frames_of is not None:
        label_of(store, settings.frames_of)
    named = is_named(settings.model)
    path = None if named else _checkpoint_path(settings.model)
    header = None if path is None else headers.read_any(path, *APPLIED)
    if header is None:
        _check_front_end(settings)
    else:
        _check_options(settings, header)
    inputs = [
        *work.store_inputs("media", [store]),
        *work.file_inputs("model", [path], *(one.kind for one in APPLIED)),
    ]
    if isinstance(header, EncoderHeader):
        choices.check(path, settings.layer)
    made = work.record("extract", settings, inputs)
    if named:
        made["settings"]["front_end"] = settings.model
    if training_run.is_done(
        settings, made, progress, f"extract {count_of(store.count, 'utterance')}"
    ):
        return
    with training_run.working(settings, made, progress) as begun:
        if begun is not None and settings.divided and store.count > 1:
            dividing.run(settings, store, extract_part, made, progress, begun)
        elif begun is not None:
            from avaffect.recipes.encoding import extracting

            extracting.run(settings, store, header, made, progress, begun)


def extract_part(part: dividing.Part) -> list[str]:
    """Compute a shard in the process, thread or machine of a worker; returns the warnings."""
    import torch

    if part.threads is not None:
        torch.set_num_threads(part.threads)
    heard = dividing.Heard()
    extract(part.settings, heard)
    return heard.warnings


def _check_together(settings: ExtractSettings) -> None:
    """Raises UsageError for options that exclude each other, or go with others."""
    given = {"--segment": settings.segment is not None, "--pooled-only": settings.pooled_only,
             "--frames-of": settings.frames_of is not None,
             "--frames-at": settings.frames_at is not None}  # fmt: skip
    chosen = [flag for flag, value in given.items() if value]
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} exclude each other")
    if settings.divided and settings.shard is not None:
        raise UsageError(
            f"--shard {settings.shard} is one part of the work, and --jobs or --backend divide it "
            "too; leave one of them out"
        )
    if settings.every != type(settings).every and not given["--frames-of"]:
        raise UsageError("--every goes with --frames-of")
    if settings.around != type(settings).around and not settings.of_frames:
        raise UsageError("--around goes with --frames-of or --frames-at")


def _check_front_end(settings: ExtractSettings) -> None:
    """Raises UsageError where an option is for checkpoints, or a package is missing."""
    if settings.layer is not None:
        raise UsageError(f"--layer goes with an encoder; {settings.model} is a front-end")
    package = FRONT_ENDS[settings.model].needs
    if package is not None and find_spec(package) is None:
        raise UsageError(WITHOUT_OPENSMILE)
    if settings.modality not in (None, "audio"):
        raise UsageError(f"--modality {settings.modality}: {settings.model} reads audio")
    if settings.patch is not None:
        raise UsageError(f"--patch {settings.patch}: {settings.model} reads no pictures")


def _check_options(settings: ExtractSettings, header: CheckpointHeader) -> None:
    """Raises UsageError where an option is for checkpoints of another kind."""
    if isinstance(header, EncoderHeader):
        return
    if isinstance(header, QuantiserHeader) and settings.modality is not None:
        raise UsageError("--modality: a quantiser reads what it was fitted on")
    found = f"{settings.model} is a {header.kind}"
    if settings.layer is not None:
        raise UsageError(f"--layer goes with an encoder; {found}")
    if settings.pooled_only:
        raise UsageError(f"--pooled-only goes with an encoder or a front-end; {found}")
    for flag in ("segment", "patch", "frames_of", "frames_at"):
        if getattr(settings, flag) is not None:
            raise UsageError(
                f"--{flag.replace('_', '-')} goes with an encoder or a front-end; {found}"
            )
    by_corpus = isinstance(header, ProjectorHeader) and header.normalisation.statistics == "corpus"
    divided = "--shard" if settings.shard is not None else "--jobs and --backend"
    if by_corpus and (settings.shard is not None or settings.divided):
        raise UsageError(
            f"{settings.model} standardises each corpus by its own statistics, which a part does "
            f"not have; extract without {divided}"
        )


def _checkpoint_path(model: str) -> Path:
    path = Path(model)
    if not path.exists():
        raise DataError(f"{model}: no such file; front-ends are {', '.join(FRONT_ENDS)}"
                        f"{meant(model, FRONT_ENDS)}")  # fmt: skip
    return path
