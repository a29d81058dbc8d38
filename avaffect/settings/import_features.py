"""Settings of `import-features`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import argument, option
from avaffect.settings.text_files import TextFiles

GAPS = ("fill", "close")


@dataclass(frozen=True, kw_only=True)
class ImportFeaturesSettings(TextFiles):
    """Imports features that another tool computed, as `extract` writes its own: one vector an
    utterance, or frames at a constant rate and their mean. Input: a folder with one file an
    utterance (.npy, .npz, .csv, .tsv, .arff, .parquet), whose name is the id; a table of many
    utterances; or an .npz with an array an utterance. Tables of OpenFace, Py-Feat, LibreFace and
    openSMILE are recognised: their columns of times, confidences and boxes are left out. Labels,
    speakers and splits come from --annotations."""

    examples: ClassVar[str] = """
    # Action units of OpenFace, one CSV a recording; gaps are interpolated
    avaffect import-features openface/ --columns 'AU*_r' --where success=1 \\
      --annotations cremad.jsonl -o aus.h5
    # Frames of emotion2vec (.npy), beside an encoder's
    avaffect import-features e2v/ --rate 50 --name emotion2vec \\
      --annotations emodb.h5 -o e2v.h5
    avaffect finetune emodb.h5 --encoder hubert.safetensors \\
      --features e2v=e2v.h5 -o er.safetensors
    # One row an utterance
    avaffect import-features embeddings.csv --id utterance --name bge-m3 \\
      --annotations iemocap.jsonl -o text.h5
    """

    source: Path = argument("Folder of files, table, or .npz.", metavar="DIR|FILE")
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    annotations: Path | None = option(
        None,
        "Corpus manifest or store with the labels, speakers and splits, by id or by the name of "
        "the recording.",
        "--annotations",
        role="input",
        metavar="M.jsonl|STORE.h5",
    )
    files: str | None = option(
        None, "Pattern of the file names in a folder: '*.csv'.", "--files", metavar="PATTERN"
    )
    columns: tuple[str, ...] = option(
        (),
        "Columns of features: a name or a pattern ('AU*_r'). Repeatable. Default: all but ids, "
        "times, labels (of --annotations, emotion, class, speaker, fold and the like) and what "
        "known tools write beside.",
        "--columns",
        metavar="PATTERN",
    )
    exclude: tuple[str, ...] = option(
        (), "Columns to leave out: a name or a pattern. Repeatable.", "--exclude", metavar="PATTERN"
    )
    id_column: str | None = option(
        None, "Column of the id. Default: id, utterance, file, name or the like.", "--id",
        metavar="COLUMN",
    )  # fmt: skip
    prefix: str | None = option(None, "Prefix NAME_ of ids.", "--prefix", metavar="NAME")
    time_column: str | None = option(
        None,
        "Column of times in seconds. Default: timestamp, frameTime, time or the like.",
        "--time",
        metavar="COLUMN",
    )
    rate: float | None = option(
        None,
        "Rows per second, of features without times; columns of times are ignored.",
        "--rate",
        metavar="HZ",
        above=0,
    )
    sequences: bool | None = option(
        None,
        "Rows of an utterance are frames, or each row is an utterance. Default: frames if the "
        "first utterance of a table, or any file of a folder, has several rows.",
        "--sequences/--vectors",
    )
    where: tuple[str, ...] = option(
        (),
        "Condition that rows must meet: COLUMN=VALUE[,VALUE...], COLUMN!=VALUE or COLUMN>=NUMBER. "
        "Others are dropped. Repeatable.",
        "--where",
        metavar="CONDITION",
    )
    drop_nan: float | None = option(
        None,
        "Largest share of an utterance's rows with missing values (NaN, infinite) to drop; an "
        "utterance with more is left out. Default: a missing value is an error.",
        "--drop-nan",
        metavar="SHARE",
        at_least=0,
        at_most=1,
    )
    gaps: str = option(
        "fill",
        "Frames that are missing in the file or were dropped: fill (interpolate over time) or "
        "close (join the frames around them).",
        "--gaps",
        choices=GAPS,
    )
    name: str | None = option(
        None,
        "Name of the model or tool that made the features; features of different names are not "
        "mixed. Default: the tool, if its tables are recognised.",
        "--name",
        metavar="NAME",
    )
    embedding: bool = option(
        False,
        "Name the vectors, or the means of the frames, embeddings, which similarity and retrieve "
        "read.",
        "--embedding",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None and self.sequences is False:
            raise UsageError("--rate is of frames; --vectors says that there are none")
        if self.name == "":
            raise UsageError("--name: the name is empty")
