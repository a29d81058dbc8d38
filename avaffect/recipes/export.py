"""`export`: write an artifact in a format of other programs."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.data import artifacts
from avaffect.data.manifest import STANDARD_STREAM
from avaffect.settings.export import LISTS, MODELS, SUFFIXES, VECTORS, ExportSettings
from avaffect.settings.outputs import PROMISES

FORMATS = {"manifest": LISTS, "store": VECTORS, "checkpoint": MODELS}


def export(settings: ExportSettings, progress: Progress = SILENT) -> None:
    """Write `settings.artifact` in the format `settings.to`.

    Raises UsageError where the artifact has no such format or a package is missing, DataError where
    it lacks what the format requires, OutputExistsError where the output was not written by
    `export`, or otherwise.
    """
    _check_name(settings)
    kind = "manifest"
    if settings.artifact != STANDARD_STREAM:
        kind = artifacts.kind_of(settings.artifact)
    if settings.to not in FORMATS[kind]:
        raise UsageError(
            f"{settings.artifact} is a {kind}: it is written --to {', '.join(FORMATS[kind])}"
        )
    _check_options(settings, kind)
    # Imported here: each needs other libraries.
    if kind == "manifest":
        from avaffect.recipes.exchange import lists

        lists.run(settings, progress)
    elif kind == "store":
        from avaffect.recipes.exchange import vectors

        vectors.run(settings, progress)
    else:
        _of_checkpoint(settings, progress)


def _of_checkpoint(settings: ExportSettings, progress: Progress) -> None:
    if settings.to == "transformers":
        artifacts.describe(settings.artifact, "encoder")
        from avaffect.recipes.exchange import transformers_folder

        transformers_folder.run(settings, progress)
        return
    artifacts.describe(settings.artifact, "encoder", "classifier")
    from avaffect.recipes.exchange import onnx_model

    onnx_model.run(settings, progress)


def _check_options(settings: ExportSettings, kind: str) -> None:
    """Raises UsageError for an option that the format does not have."""
    wrong = {
        "--stream": settings.stream is not None and kind != "store",
        "--speech": bool(settings.speech) and kind != "checkpoint",
        "--run": settings.run is not None and settings.to in (*VECTORS[1:], "transformers"),
    }
    for flag, is_wrong in wrong.items():
        if is_wrong:
            raise UsageError(f"{flag} does not apply to a {kind} --to {settings.to}; leave it out")


def _check_name(settings: ExportSettings) -> None:
    """Raises UsageError where the output's name promises another format."""
    output: Path = settings.output
    right = SUFFIXES.get(settings.to, ())
    if output.suffix.lower() in PROMISES - {*right}:
        named = (
            f"{output.with_suffix(right[0])}" if right else f"the folder {output.with_suffix('')}"
        )
        raise UsageError(f"-o {output}: {settings.to} is written; name it {named}")
