"""Settings of `preprocess`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Carried, Resumable, Sharded, argument, option


@dataclass(frozen=True, kw_only=True)
class PreprocessSettings(Resumable, Sharded, Carried):
    """Decodes any container and codec to 16 kHz mono audio and crops of one face at a constant
    frame rate. A recording that yields neither is skipped, counted and listed in OUTPUT.lost.jsonl,
    a manifest."""

    examples: ClassVar[str] = """
    avaffect manifest emodb emodb/ | avaffect preprocess -o emodb.h5
    # Landmarks, alignment, contact sheets to look at
    avaffect preprocess vox.jsonl --faces yunet --face-model yunet.onnx \\
      --preview sheets -o vox.h5
    # Whole wide pictures, for extract --patch 88
    avaffect preprocess films.jsonl --faces none --size 264 --width 440 \\
      -o films.h5
    # A Slurm job array
    sbatch --array=0-15 --wrap \\
      'avaffect preprocess vox.jsonl --shard slurm -o vox.$SLURM_ARRAY_TASK_ID.h5'
    """

    manifest: Path = argument(
        "Corpus manifest; - (the default): standard input.",
        default=Path("-"),
        metavar="MANIFEST",
    )
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    faces: str = option(
        "haar",
        "Face detector: haar (part of OpenCV), yunet (more accurate, with landmarks; needs "
        "--face-model), none (videos are cropped already).",
        "--faces",
        choices=("haar", "yunet", "none"),
    )
    face_model: Path | None = option(
        None, "Weights of YuNet (.onnx).", "--face-model", role="input", metavar="FILE"
    )
    align: bool | None = option(
        None,
        "Alignment of each face's landmarks to those of the mean face. Default: with yunet.",
        "--align/--no-align",
    )
    size: int = option(96, "Side of a crop in pixels.", "--size", at_least=8, at_most=1024)
    width: int | None = option(
        None,
        "Width of the pictures in pixels, of --faces none; --size is then their height. Default: "
        "as --size.",
        "--width",
        at_least=8,
        at_most=2048,
        added=True,
    )
    fit: str = option(
        "crop",
        "Pictures of another shape, of --faces none: crop (without the edges of the longer side) "
        "or pad (whole, with black beside them).",
        "--fit",
        choices=("crop", "pad"),
        added=True,
    )
    color: str = option("grey", "Colour of the crops.", "--color", choices=("grey", "rgb"))
    fps: float = option(25.0, "Frame rate in Hz.", "--fps", at_least=1, at_most=240)
    margin: float = option(
        0.1,
        "Margin around the face on each side, as a share of its box.",
        "--margin",
        at_least=0,
        at_most=2,
    )
    face: str = option(
        "speaking",
        "Choice among several people: speaking (by mouth movement) or largest.",
        "--face",
        choices=("speaking", "largest"),
    )
    channels: str | None = option(
        None,
        "Audio channels to mix, counted from 0: 0, or 0,2. Default: all. An item's audio_channels "
        "override it.",
        "--channels",
        metavar="LIST",
        added=True,
    )
    without: str | None = option(
        None, "Modality to leave out.", "--without", choices=("audio", "video")
    )
    audio_track: int | None = option(
        None,
        "Audio track, counted from 0. Default: the default track, or if that is silent the first "
        "that is not.",
        "--audio-track",
        metavar="N",
        at_least=0,
        added=True,
    )
    within: Path | None = option(
        None,
        "Folder that all recordings must lie in, links resolved; for manifests of strangers. "
        "Default: any place.",
        "--within",
        role="runtime",
        metavar="DIR",
        added=True,
    )
    preview: Path | None = option(
        None,
        "Folder for contact sheets: source frames with the detected box, and crops.",
        "--preview",
        role="runtime",
        metavar="DIR",
    )
    jobs: int | None = option(
        None,
        "Number of processes. Default: one per core.",
        "-j",
        "--jobs",
        role="runtime",
        at_least=1,
    )
    strict: bool = option(
        False, "Stop at the first unusable recording.", "--strict", role="runtime"
    )
    keep_silent: bool = option(False, "Keep digitally silent audio.", "--keep-silent")
