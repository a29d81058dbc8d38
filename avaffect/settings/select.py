"""Settings of `select`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Seeded, argument, flags_of, option
from avaffect.settings.text_files import TextFiles


@dataclass(frozen=True, kw_only=True)
class SelectSettings(TextFiles, Seeded):
    """Keeps an item if every --where holds. Fields are keys of the item (split, speaker, id) or its
    labels (emotion); operators are =, !=, <, <=, > and >=. If no item is left, the output is a
    valid, empty manifest."""

    examples: ClassVar[str] = """
    avaffect select emodb.jsonl --where emotion=anger,happiness \\
      --where 'recognised>=80' -o clear.jsonl
    avaffect select split.jsonl --where split=train --where speaker!=emodb_03 |
      avaffect preprocess - -o a.h5
    # Videos of people, as SAAML chooses them for highlight detection
    avaffect manifest video2gif video2gif/ |
      avaffect select - --faces-in 0.9 -o people.jsonl
    # Near-frontal faces
    avaffect select lrw.jsonl --poses lrw.h5 --within 10 -o near-frontal.jsonl
    """

    source: Path = argument(
        "Manifest; - (the default): standard input.", default=Path("-"), metavar="M.jsonl"
    )
    where: tuple[str, ...] = option(
        (),
        "Condition: FIELD=VALUE[,VALUE...], FIELD!=VALUE or FIELD>=NUMBER. Repeatable.",
        "--where",
        metavar="CONDITION",
    )
    ids: Path | None = option(
        None, "Text file of the ids to keep, one per line.", "--ids", role="input",
        metavar="FILE",
    )  # fmt: skip
    poses: Path | None = option(
        None,
        "Head poses that select near-frontal faces: a store with landmarks (preprocess --faces "
        "yunet), or a table of id or file, yaw, pitch and roll in degrees.",
        "--poses",
        role="input",
        metavar="STORE.h5|TABLE.csv",
    )
    within: float | None = option(
        None, "Largest angle of --poses in degrees. Default: 10.", "--within", metavar="DEGREES",
        at_least=0,
    )  # fmt: skip
    faces_in: float | None = option(
        None, "Least share of a recording's pictures that show a face, such as 0.9, by a detector "
        "on --faces-fps pictures a second.", "--faces-in", metavar="SHARE", above=0, at_most=1,
        added=True,
    )  # fmt: skip
    faces: str = option(
        "haar", "Face detector of --faces-in: haar (part of OpenCV), yunet (more accurate; needs "
        "--face-model).", "--faces", choices=("haar", "yunet"), added=True,
    )  # fmt: skip
    face_model: Path | None = option(
        None, "Weights of YuNet (.onnx).", "--face-model", role="input", metavar="FILE"
    )
    faces_fps: float = option(
        1.0, "Pictures a second that --faces-in looks at.", "--faces-fps", above=0, at_most=240,
        added=True,
    )  # fmt: skip
    jobs: int | None = option(
        None, "Number of processes of --faces-in. Default: one per core.", "-j", "--jobs",
        role="runtime", at_least=1,
    )  # fmt: skip
    limit: int | None = option(
        None, "Number of items to keep, the first ones.", "--limit", metavar="N", at_least=0
    )
    sample: int | None = option(
        None,
        "Number of items to keep, drawn by --seed, in their order.",
        "--sample",
        metavar="N",
        at_least=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoding is not None and self.ids is None and self.poses is None:
            raise UsageError("--encoding goes with --ids or --poses")
        of_faces = {"faces", "face_model", "faces_fps", "jobs"}
        for item in fields(self):
            given = item.name in of_faces and getattr(self, item.name) != item.default
            if given and self.faces_in is None:
                raise UsageError(f"{flags_of(item)[-1]} goes with --faces-in")
        if (self.faces == "yunet") != (self.face_model is not None) and self.faces_in is not None:
            raise UsageError("--faces yunet and --face-model FILE go together")
