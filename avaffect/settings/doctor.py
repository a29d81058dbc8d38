"""Settings of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Settings, argument, option


@dataclass(frozen=True, kw_only=True)
class DoctorSettings(Settings):
    """Looks at Python, packages and extras, processors and GPUs, codecs, face detectors and the
    current folder, then synthesises ten voices and trains, predicts and scores with them. Prints a
    line for each, with what mends it. The exit status is 1 where something is broken; what is
    optional and not there is no fault."""

    examples: ClassVar[str] = """
    avaffect doctor
    # Is this the face detector that --face-model takes?
    avaffect doctor face_detection_yunet_2023mar.onnx
    # On a node of the cluster, on its own disk
    cd $SLURM_TMPDIR && srun avaffect doctor --json
    """

    models: tuple[Path, ...] = argument(
        "Files or folders of models to recognise: weights, a face detector.", default=(),
        metavar="MODEL",
    )  # fmt: skip
    without_test: bool = option(
        False, "Leave out the test of the whole chain, which takes some seconds.", "--without-test"
    )
    json: bool = option(False, "Print one JSON object per line of the report.", "--json")
