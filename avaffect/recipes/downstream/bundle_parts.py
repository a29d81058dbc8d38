"""Parts that a bundle holds beside the heads of its classifier, under names of their own."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.errors import DataError

ENCODER_PREFIX = "bundle.encoder."
FACE_MODEL = "bundle.face_model"


def held_face_model(model: Path, folder: Path) -> Path:
    """The weights of the face detector of a bundle, as a file in a folder.

    Raises DataError where the bundle lacks them.
    """
    from avaffect.training import checkpoint

    _, tensors = checkpoint.load(model)
    if FACE_MODEL not in tensors:
        raise DataError(f"{model} does not hold the face detector that its header names")
    path = folder / "face-detector.onnx"
    path.write_bytes(tensors[FACE_MODEL].numpy().tobytes())
    return path
