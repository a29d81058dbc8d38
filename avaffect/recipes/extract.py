"""`extract`: apply any model to a store."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import EncoderHeader, ProjectorHeader, QuantiserHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.data import artifacts
from avaffect.data.store.reader import Store
from avaffect.recipes.common import publishing, work
from avaffect.recipes.encoding.front_ends import FRONT_ENDS, is_named
from avaffect.settings.extract import WITHOUT_OPENSMILE, ExtractSettings

# Kinds of checkpoints that are applied to a store.
APPLIED = (EncoderHeader.kind, QuantiserHeader.kind, ProjectorHeader.kind)


def extract(settings: ExtractSettings, progress: Progress = SILENT) -> None:
    """Apply `settings.model` to a store and write the result.

    Raises DataError where the store lacks a stream that the model reads, UsageError where an option
    is for models of another kind.
    """
    store = Store(settings.media)
    named = is_named(settings.model)
    path = None if named else _checkpoint_path(settings.model)
    _check_options(settings, path)
    inputs = [
        *work.store_inputs("media", [store]),
        *work.file_inputs("model", [path], *APPLIED),
    ]
    made = work.record("extract", settings, inputs)
    if named:
        made["settings"]["front_end"] = settings.model
    if publishing.is_done(settings, made, progress, f"extract {store.count} utterances"):
        return
    from avaffect.recipes.encoding import extracting

    extracting.run(settings, store, made, progress)


def _check_options(settings: ExtractSettings, path: Path | None) -> None:
    """Raises UsageError where an option is for models of another kind than `path`, or the
    front-end where it is None."""
    if path is None:
        if settings.layer is not None:
            raise UsageError(f"--layer goes with an encoder; {settings.model} is a front-end")
        package = FRONT_ENDS[settings.model].needs
        if package is not None and find_spec(package) is None:
            raise UsageError(WITHOUT_OPENSMILE)
        if settings.modality not in (None, "audio"):
            raise UsageError(f"--modality {settings.modality}: {settings.model} describes sound")
        return
    kind = artifacts.describe(path, *APPLIED).header["kind"]
    if kind == QuantiserHeader.kind and settings.modality is not None:
        raise UsageError("--modality: a quantiser reads what it was fitted on")
    if kind != EncoderHeader.kind and settings.layer is not None:
        raise UsageError(f"--layer goes with an encoder; {path} is a {kind}")
    if kind != EncoderHeader.kind and settings.pooled_only:
        raise UsageError(f"--pooled-only goes with an encoder or a front-end; {path} is a {kind}")
    if kind == ProjectorHeader.kind and settings.shard is not None:
        normalisation = headers.read(path, ProjectorHeader).normalisation
        if normalisation.statistics == "corpus":
            raise UsageError(
                f"{path} standardises each corpus by its own statistics, which a shard does not "
                "have; extract without --shard"
            )


def _checkpoint_path(model: str) -> Path:
    path = Path(model)
    if not path.exists():
        raise DataError(f"{model}: no such file; front-ends are {', '.join(FRONT_ENDS)}")
    return path
