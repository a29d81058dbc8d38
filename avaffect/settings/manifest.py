"""Settings of `manifest`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import MODALITIES, argument, option
from avaffect.settings.text_files import TextFiles

# Formats of other programs that are read as corpora are.
FORMATS = ("audformat", "elan", "huggingface", "kaldi", "lhotse", "rttm", "textgrid", "vtt")


@dataclass(frozen=True, kw_only=True)
class ManifestSettings(TextFiles):
    """CORPUS is emodb, ravdess, cremad, msp-improv, msp-podcast, iemocap, recola, sewa, semaine,
    aff-wild2, first-impressions, ndc-me, voxceleb2, lrw, lrs3, grid, video2gif, phd-gifs,
    speech-commands, savee, tess, meld or cmu-mosei, with its unpacked folder; emobox, with a
    checkout of it; `folder`, with a folder of your own recordings, whose names --layout explains;
    `table`, with a CSV or TSV file of your own; or audformat, kaldi, lhotse, huggingface (Parquet,
    Arrow), elan, textgrid, rttm or vtt, with the folder or file that another program, or `export`,
    wrote.
    Labels, speakers and sessions come from file names and the corpus's own tables. Unusable files
    are skipped, counted and listed; --strict stops instead.

    The options that name columns are for `table`; those formats of other programs take --label,
    --scalar, --field, --map, --prefix and --root, with the names of their columns or tiers."""

    examples: ClassVar[str] = """
    avaffect manifest emodb corpora/emodb -o emodb.jsonl
    # Clips of one language
    avaffect manifest voxceleb2 VoxCeleb2 --languages lang_vox2_final.csv \\
      --language English -o vox.jsonl
    # A folder of your own: labels from the names of its folders
    avaffect manifest folder clips/ --layout '{emotion}/{speaker}_*' -o mine.jsonl
    # A table of your own
    avaffect manifest table clips.csv --id utt --media path --speaker spk \\
      --label emotion=emo --map angry=anger --scalar valence=val -o mine.jsonl
    # A table of Windows, with German columns and labels
    avaffect manifest table aufnahmen.csv --encoding cp1252 --media Datei \\
      --speaker Person --label emotion=Emotion --map Wut=anger \\
      --map Freude=happiness -o aufnahmen.jsonl
    # Annotations of ELAN: the tier Affect as emotion
    avaffect manifest elan annotations --root recordings \\
      --label emotion=Affect -o talks.jsonl
    """

    corpus: str = argument("Name of the corpus, folder or table.")
    source: Path = argument(
        "Folder of the corpus, or the table, after its name, `folder` or `table`; - is standard "
        "input.",
        metavar="DIR|FILE",
    )
    layout: str | None = option(
        None,
        "Path of each recording in DIR, without suffix: {emotion}/{speaker}_*. {speaker}, "
        "{session}, {split}, {sex}, {age} and {language} are fields of that name, {NAME} is a "
        "class label; * is any text, **/ any folders. Default: no labels (folder).",
        "--layout",
        metavar="PATTERN",
    )
    tables: Path | None = option(
        None,
        "Folder of the corpus's own tables. Default: DIR (emodb, cremad, msp-improv, msp-podcast, "
        "iemocap, recola, sewa, semaine, aff-wild2, first-impressions, voxceleb2, "
        "video2gif, phd-gifs, speech-commands, meld, cmu-mosei).",
        "--tables",
        role="input",
        metavar="DIR",
    )
    modality: str | None = option(
        None,
        "Modality of the media files: audio, video or both (av). Default: all that exist "
        "(ravdess, cremad, msp-improv, recola, sewa, semaine, aff-wild2, first-impressions, "
        "ndc-me, voxceleb2, grid, folder).",
        "--modality",
        choices=MODALITIES,
    )
    poses: Path | None = option(
        None,
        "Table of head poses that selects near-frontal videos: columns id or file, yaw, pitch and "
        "roll in degrees (lrw).",
        "--poses",
        role="input",
        metavar="TABLE.csv",
    )
    within: float | None = option(
        None, "Largest angle of --poses in degrees. Default: 10.", "--within", metavar="DEGREES",
        at_least=0,
    )  # fmt: skip
    languages: Path | None = option(
        None,
        "Table of the language of each utterance, or a list of utterances (voxceleb2).",
        "--languages",
        role="input",
        metavar="FILE",
    )
    language: str | None = option(
        None, "Language to keep, as spelled in --languages.", "--language",
        metavar="NAME",
    )  # fmt: skip
    strict: bool = option(False, "Stop at the first unusable file.", "--strict", role="runtime")
    media_column: str | None = option(
        None, "Column of the media file's path.", "--media", metavar="COLUMN"
    )
    video_column: str | None = option(
        None,
        "Column of the video file's path, if audio and video are separate files.",
        "--video",
        metavar="COLUMN",
    )
    id_column: str | None = option(
        None, "Column of the id. Default: the media file's name without suffix.", "--id",
        metavar="COLUMN",
    )  # fmt: skip
    speaker: str | None = option(None, "Column of the speaker.", "--speaker", metavar="COLUMN")
    session: str | None = option(None, "Column of the session.", "--session", metavar="COLUMN")
    split: str | None = option(
        None,
        "Column of the split: train, development or test, or values of --map.",
        "--split",
        metavar="COLUMN",
    )
    start: str | None = option(
        None, "Column of the utterance's start in the file: seconds, or 0 days 00:00:01.9.",
        "--start", metavar="COLUMN",
    )  # fmt: skip
    end: str | None = option(
        None, "Column of the utterance's end; -1: the end of the file.", "--end", metavar="COLUMN"
    )
    label: tuple[str, ...] = option(
        (), "Class label: name and column. Repeatable.", "--label",
        metavar="NAME=COLUMN",
    )  # fmt: skip
    scalar: tuple[str, ...] = option(
        (), "Numeric label: name and column. Repeatable.", "--scalar", metavar="NAME=COLUMN"
    )
    trace: tuple[str, ...] = option(
        (), "Label over time: name, and the column of paths to CSV or ARFF files with a column of "
        "that name. Repeatable.", "--trace", metavar="NAME=COLUMN",
    )  # fmt: skip
    field: tuple[str, ...] = option(
        (),
        "Metadata to keep as text: name and column. Repeatable.",
        "--field",
        metavar="NAME=COLUMN",
    )
    map: tuple[str, ...] = option(
        (),
        "Renaming of a class or split of the table: angry=anger, Test1=test; FROM= marks a missing "
        "label. Or a map of emotions by name, for any corpus: emobox (one spelling of each "
        "emotion), emobox-4 (anger, happiness with excitement, neutral, sadness; others are "
        "missing). Repeatable.",
        "--map",
        metavar="FROM=TO|NAME",
    )
    prefix: str | None = option(
        None, "Prefix NAME_ of ids, speakers and sessions.", "--prefix", metavar="NAME"
    )
    no_check_media: bool = option(
        False, "Keep rows whose media file does not exist.", "--no-check-media"
    )
    root: Path | None = option(
        None, "Folder that paths are relative to. Default: the table's folder.", "--root",
        role="input", metavar="DIR",
    )  # fmt: skip
    unpack: Path | None = option(
        None, "Folder to write recordings to that are contained in the data set (huggingface).",
        "--unpack", role="output", metavar="DIR",
    )  # fmt: skip
