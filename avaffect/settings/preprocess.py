"""Settings of `preprocess`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Sharded, argument, option


@dataclass(frozen=True, kw_only=True)
class PreprocessSettings(Sharded):
    """Any container and codec becomes 16 kHz mono and crops of one face at a steady rate. A
    recording that gives neither is skipped, counted and named; all that were lost are listed, as a
    manifest, in OUTPUT.lost.jsonl."""

    manifest: Path = argument(
        "Corpus manifest; - (the default) is standard input.",
        default=Path("-"),
        metavar="MANIFEST",
    )
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    faces: str = option(
        "haar",
        "How faces are found: haar (inside OpenCV), yunet (better, and with landmarks; needs "
        "--face-model), none (the pictures are cropped already).",
        "--faces",
        choices=("haar", "yunet", "none"),
    )
    face_model: Path | None = option(
        None, "Weights of YuNet (.onnx).", "--face-model", role="input", metavar="FILE"
    )
    align: bool | None = option(
        None,
        "Turn and scale each face so that its landmarks lie where those of the mean face do; by "
        "default with yunet.",
        "--align/--no-align",
    )
    size: int = option(96, "Pixels of a crop's side.", "--size")
    color: str = option("grey", "Colour of the crops.", "--color", choices=("grey", "rgb"))
    fps: float = option(25.0, "Pictures a second.", "--fps")
    margin: float = option(
        0.1, "Show more around the face: this share of its box, on each side.", "--margin"
    )
    face: str = option(
        "speaking",
        "Which of several people: speaking (whose mouth moves) or largest.",
        "--face",
        choices=("speaking", "largest"),
    )
    channels: str | None = option(
        None,
        "Channels of the sound to mix, from 0: 0, or 0,2; by default all. An item's audio_channels "
        "override it.",
        "--channels",
        metavar="LIST",
    )
    without: str | None = option(
        None, "Leave out the sound or the pictures.", "--without", choices=("audio", "video")
    )
    audio_track: int | None = option(
        None,
        "Number of the sound track, from 0; by default the one that players take, or where that is "
        "silent the first that is not.",
        "--audio-track",
        metavar="N",
    )
    preview: Path | None = option(
        None,
        "Write contact sheets here: source pictures with the box that was found, and crops.",
        "--preview",
        role="runtime",
        metavar="DIR",
    )
    jobs: int | None = option(
        None, "Processes; by default one for each core.", "-j", "--jobs", role="runtime"
    )
    strict: bool = option(
        False, "Stop at the first recording that would be lost.", "--strict", role="runtime"
    )
    keep_silent: bool = option(False, "Keep sound that is digitally silent.", "--keep-silent")
