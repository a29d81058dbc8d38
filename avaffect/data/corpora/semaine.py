"""SEMAINE: conversations with an operator who plays one of four characters, in English.

McKeown, Valstar, Cowie, Pantic and Schröder, "The SEMAINE Database", IEEE Transactions on Affective
Computing 3(1), 2012; semaine-db.eu. Each conversation is a folder Sessions/N with several cameras
and microphones of both people, named like "2008.12.05.16.03.15_User HeadMounted_Poppy.wav" and
"2008.12.05.16.03.15_User Frontal_C_Poppy.avi", and a file for each rater and dimension,
R5S1TUCPoDV.txt: rater 5, recording 1 (not the folder's number), target user (TO: operator),
character Poppy, dimension valence; a number at the end is a later attempt, of which the last one
counts. Lines are seconds and a value, 50 a second.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, MediaFile, by_names, find_tables, role_of
from avaffect.data.corpora.traces import add_traces, joined_raters
from avaffect.data.trace_files import TraceFile, read_trace_file
from avaffect.settings.manifest import ManifestSettings

NAME = "semaine"
OPTIONS = ("tables", "modality", "encoding")
RATE_HZ = 50.0
CHARACTERS = {"Po": "Poppy", "Pr": "Prudence", "Ob": "Obadiah", "Sp": "Spike"}
TARGETS = {"TU": "user", "TO": "operator"}
DIMENSIONS = {
    "V": "valence", "A": "arousal", "P": "power", "E": "expectation", "I": "intensity",
}  # fmt: skip
RATING = (
    rf"(?P<session>[^/]+)/R(?P<rater>\d+)S\d+(?P<target>{'|'.join(TARGETS)})"
    rf"C(?:{'|'.join(CHARACTERS)})D(?P<dimension>{'|'.join(DIMENSIONS)})(?P<attempt>\d*)\.txt"
)
RECORDING = r"(?P<date>[\d.]+)_(?P<who>User|Operator)[ _](?P<device>\w+?)_(?P<character>[A-Za-z]+)"
EXAMPLE = "2008.12.05.16.03.15_User HeadMounted_Poppy.wav"
# The nearest microphone and the nearest camera, in colour.
CHOSEN = {"audio": "HeadMounted", "film": "Frontal_C"}

# (session, user or operator) -> dimension -> values
Labels = dict[tuple[str, str], dict[str, Any]]


def read(settings: ManifestSettings) -> Corpus:
    """SEMAINE below a folder; its ratings from there or from `tables`, in folders of the same
    names.

    Both people of a conversation are items. Traces, with a column for each rater: valence, arousal,
    power, expectation and intensity. The user and the operator of a recording are the speakers of
    all its conversations. There is no split.
    """
    corpus = Corpus(NAME, settings.source, {})
    labels = _labels(corpus, settings.tables or settings.source)
    by_names(corpus, partial(_parse, corpus.root, labels), EXAMPLE, "SEMAINE", settings.modality)
    for item in corpus.items:
        # Few operators were rated.
        if not item["labels"] and item["role"] == "user":
            corpus.lost["no ratings (kept without)"].append(item["id"])
    return corpus


def _parse(root: Path, labels: Labels, path: PurePosixPath) -> MediaFile | str | None:
    match = re.fullmatch(RECORDING, path.stem)
    if match is None:
        return None
    role = role_of(path)
    if match["device"] != CHOSEN["audio" if role == "audio" else "film"]:
        return "another microphone or camera"
    session = path.parent.name or root.resolve().name
    who = match["who"].lower()
    item = {
        "speaker": f"{NAME}_{match['date']}_{who}",
        "session": f"{NAME}_{session}",
        "labels": labels.get((session, who), {}),
        "role": who,
        "character": match["character"].lower(),
    }
    # The video file of a camera has no audio.
    return MediaFile(f"{session}_{who}", "audio" if role == "audio" else "video", item)


def _labels(corpus: Corpus, folder: Path) -> Labels:
    """The items; `corpus` gets their files and label descriptions."""
    found: dict[str, dict[str, TraceFile]] = defaultdict(dict)
    for (session, who, dimension), paths in sorted(_ratings(folder).items()):
        files = {rater: read_trace_file(path, ("time", "value")) for rater, path in paths.items()}
        found[dimension][f"{session}\0{who}"] = joined_raters(files, RATE_HZ)
        corpus.tables += paths.values()
    labels: Labels = defaultdict(dict)
    for dimension in DIMENSIONS.values():
        if dimension not in found:
            continue
        for key, values in add_traces(
            corpus, dimension, found[dimension], RATE_HZ, raters=True
        ).items():
            session, _, who = key.partition("\0")
            labels[session, who][dimension] = values
    return labels


def _ratings(folder: Path) -> dict[tuple[str, str, str], dict[str, Path]]:
    """(session, user or operator, dimension) -> rater -> the file of the last attempt.

    Raises DataError where two files are of one attempt.
    """
    last: dict[tuple[str, str, str], dict[str, tuple[int, Path]]] = defaultdict(dict)
    for match, path in find_tables(RATING, folder):
        key = match["session"], TARGETS[match["target"]], DIMENSIONS[match["dimension"]]
        rater, attempt = f"R{match['rater']}", int(match["attempt"] or 1)
        there = last[key].get(rater)
        if there is not None and there[0] == attempt:
            raise DataError(
                f"{there[1]} and {path} are the same rating; name the folder of one with --tables"
            )
        if there is None or attempt > there[0]:
            last[key][rater] = attempt, path
    return {
        key: {rater: path for rater, (_, path) in sorted(raters.items())}
        for key, raters in last.items()
    }
