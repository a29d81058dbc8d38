"""Codecs, face detectors, and models that the user names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from avaffect.core.errors import AvaffectError, DataError
from avaffect.data import artifacts
from avaffect.data.decoding import decoders
from avaffect.data.faces import detection
from avaffect.recipes.diagnosis.findings import BROKEN, FINE, OPTIONAL, Finding
from avaffect.recipes.encoding import importing
from avaffect.settings.import_ import ImportSettings
from avaffect.training import foreign_files

CODECS, MODELS = "media", "models"
ONNX = ".onnx"


def look(models: Sequence[Path]) -> Iterator[Finding]:
    lacking = decoders.missing()
    words = f"{len(decoders.WANTED) - len(lacking)} of {len(decoders.WANTED)} looked for"
    words += f"; none for {', '.join(lacking)}" if lacking else ""
    yield Finding(CODECS, "decoders", OPTIONAL if lacking else FINE, words,
                  "recordings of these are skipped: convert them" if lacking else "")  # fmt: skip
    yield Finding(CODECS, "ffmpeg", FINE, decoders.libraries())
    yield _haar()
    if not any(path.suffix.lower() == ONNX for path in models):
        yield Finding(CODECS, "face detector yunet", OPTIONAL, "needs a file of weights",
                      f"{detection.WHERE}; preprocess --faces yunet --face-model FILE")  # fmt: skip
    for path in models:
        yield _model(path)


def _haar() -> Finding:
    name = "face detector haar"
    if detection.has_cascade():
        return Finding(CODECS, name, FINE, "part of OpenCV")
    return Finding(CODECS, name, BROKEN, "OpenCV's cascade is not there",
                   "python -m pip install --force-reinstall opencv-python-headless")  # fmt: skip


def _model(path: Path) -> Finding:
    """What a file or folder is, read as far as the command that takes it reads it."""
    try:
        if path.suffix.lower() == ONNX:
            detection.check_model(path)
            return Finding(MODELS, str(path), FINE, "YuNet: preprocess --faces yunet --face-model")
        if not path.is_dir():
            with contextlib.suppress(DataError):
                held = artifacts.describe(path).kind
                return Finding(MODELS, str(path), FINE, f"avaffect's: a {held}")
        files = foreign_files.files_of(path)
        foreign_files.check(files)
        named = importing.title(
            ImportSettings(weights=path, output=Path("encoder.safetensors")), files
        )
    except AvaffectError as error:
        return Finding(MODELS, str(path), BROKEN, str(error))
    return Finding(MODELS, str(path), FINE, f"{named}: avaffect import")
