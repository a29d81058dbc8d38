"""Settings of `manifest`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import MODALITIES, Common, argument, option


@dataclass(frozen=True, kw_only=True)
class ManifestSettings(Common):
    """CORPUS is emodb, ravdess, cremad, msp-improv, iemocap, recola, sewa, semaine, aff-wild2,
    voxceleb2, lrw, lrs3, grid or speech-commands with the folder that it was unpacked into, or
    `table` with anybody's CSV or TSV file. Labels, speakers and sessions come from file names and
    the corpora's own tables. A file that does not fit is left out, counted and named; --strict
    stops instead.

    The options that name columns are for `table` alone.
    """

    corpus: str = argument(
        "emodb, ravdess, cremad, msp-improv, iemocap, recola, sewa, semaine, aff-wild2, voxceleb2, "
        "lrw, lrs3, grid, speech-commands or table."
    )
    source: Path = argument("Folder of the corpus, or the table.", metavar="DIR|FILE")
    tables: Path | None = option(
        None,
        "Where the corpus's own tables lie, if not in DIR (emodb, cremad, msp-improv, iemocap, "
        "recola, sewa, semaine, aff-wild2, voxceleb2, speech-commands).",
        "--tables",
        role="input",
        metavar="DIR",
    )
    modality: str | None = option(
        None,
        "Name the sound files, the films or both (av) of the clips; by default all that is there "
        "(ravdess, cremad, msp-improv, recola, sewa, semaine, aff-wild2, voxceleb2, grid).",
        "--modality",
        choices=MODALITIES,
    )
    poses: Path | None = option(
        None,
        "Keep the films whose faces this table says look ahead: columns id or file, yaw, pitch and "
        "roll in degrees (lrw).",
        "--poses",
        role="input",
        metavar="TABLE.csv",
    )
    within: float | None = option(
        None, "The largest angle of --poses that is kept, 10 unless said.", "--within",
        metavar="DEGREES",
    )  # fmt: skip
    languages: Path | None = option(
        None,
        "Which language is spoken in which clip, or the clips to keep (voxceleb2).",
        "--languages",
        role="input",
        metavar="FILE",
    )
    language: str | None = option(
        None, "Keep the clips of one language, as --languages spells it.", "--language",
        metavar="NAME",
    )  # fmt: skip
    strict: bool = option(
        False, "Stop at anything that would be left out.", "--strict", role="runtime"
    )
    media_column: str | None = option(
        None, "Column of the recording's path.", "--media", metavar="COLUMN"
    )
    video_column: str | None = option(
        None,
        "Column of the film's path, where sound and film are separate files.",
        "--video",
        metavar="COLUMN",
    )
    id_column: str | None = option(
        None, "Column of the id; else the media file's name without suffix.", "--id",
        metavar="COLUMN",
    )  # fmt: skip
    speaker: str | None = option(None, "Column of the speaker.", "--speaker", metavar="COLUMN")
    session: str | None = option(None, "Column of the session.", "--session", metavar="COLUMN")
    split: str | None = option(
        None,
        "Column of the split: train, development or test, or as --map says.",
        "--split",
        metavar="COLUMN",
    )
    start: str | None = option(
        None, "Column of the utterance's start in the file: seconds, or 0 days 00:00:01.9.",
        "--start", metavar="COLUMN",
    )  # fmt: skip
    end: str | None = option(
        None, "Column of its end; -1 is the file's.", "--end", metavar="COLUMN"
    )
    label: tuple[str, ...] = option(
        (), "A class label: its name and its column. Repeatable.", "--label",
        metavar="NAME=COLUMN",
    )  # fmt: skip
    scalar: tuple[str, ...] = option(
        (), "A numeric label. Repeatable.", "--scalar", metavar="NAME=COLUMN"
    )
    trace: tuple[str, ...] = option(
        (), "A label over time: its name, and the column of paths to CSV or ARFF files that have a "
        "column of that name. Repeatable.", "--trace", metavar="NAME=COLUMN",
    )  # fmt: skip
    field: tuple[str, ...] = option(
        (), "Anything else worth keeping, as text. Repeatable.", "--field", metavar="NAME=COLUMN"
    )
    map: tuple[str, ...] = option(
        (),
        "Class or split FROM of the table is TO in the manifest: angry=anger, Test1=test; FROM= is "
        "missing there. Repeatable.",
        "--map",
        metavar="FROM=TO",
    )
    prefix: str | None = option(
        None, "Put NAME_ before ids, speakers and sessions.", "--prefix", metavar="NAME"
    )
    no_check_media: bool = option(
        False, "Keep rows whose recording is not there.", "--no-check-media"
    )
    root: Path | None = option(
        None, "Folder that the paths start from; else the table's.", "--root", role="input",
        metavar="DIR",
    )  # fmt: skip
