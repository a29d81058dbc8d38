"""RECOLA: French video conferences of pairs on a task; 5 minutes of each person are rated.

Ringeval, Sonderegger, Sauer and Lalanne, "Introducing the RECOLA multimodal corpus of remote
collaborative and affective interactions", EmoSPACE at FG 2013. Two forms are read: the challenges'
(AVEC 2016 and 2018: recordings_audio/train_1.wav, recordings_video/train_1.mp4,
ratings_gold_standard/arousal/train_1.arff, ratings_individual/arousal/train_1.csv) and the original
(RECOLA-Audio-recordings/P16.wav, emotional_behaviour/arousal/P16.csv). Individual ratings are
time;FM1;FM2;FM3;FF1;FF2;FF3, 25 a second.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, MediaFile, by_names, find_tables, role_of
from avaffect.data.corpora.traces import add_traces, report_unused
from avaffect.data.trace_files import TraceFile, read_trace_file
from avaffect.settings.manifest import ManifestSettings

NAME = "recola"
OPTIONS = ("tables", "modality", "encoding")
RATE_HZ = 25.0
SPLITS = {"train": "train", "dev": "development", "test": "test"}
KEY = rf"(?:({'|'.join(SPLITS)})_\d+|P\d+)"
DIMENSIONS = ("arousal", "valence")
GOLD = "ratings_gold_standard"
FOLDERS = (GOLD, "ratings_individual", "emotional_behaviour")

# (dimension, whether it is the gold standard) -> the recording's name -> its table
Tables = dict[tuple[str, bool], dict[str, TraceFile]]


def read(settings: ManifestSettings) -> Corpus:
    """RECOLA below a folder; its ratings from there or from `tables`.

    Traces: arousal and valence, the gold standard; arousal_raters and valence_raters, the six
    raters' own ratings. Without a gold standard, arousal and valence are the raters' own. The
    speaker is the recording; the original form has no split.
    """
    corpus = Corpus(NAME, settings.source, {})
    tables = _tables(corpus, settings.tables or settings.source)
    labels: dict[str, dict[str, Any]] = {}
    for (dimension, is_gold), files in sorted(tables.items()):
        alone = is_gold or (dimension, True) not in tables
        label = dimension if alone else f"{dimension}_raters"
        for key, values in add_traces(corpus, label, files, RATE_HZ, raters=not is_gold).items():
            labels.setdefault(key, {})[label] = values
    by_names(corpus, partial(_parse, labels), "train_1.wav", "RECOLA", settings.modality)
    report_unused(corpus, labels)
    for item in corpus.items:
        # Ratings of the test part were not published.
        if not item["labels"] and item.get("split") != "test":
            corpus.lost["no ratings (kept without)"].append(item["id"])
    return corpus


def _parse(labels: dict[str, dict[str, Any]], path: PurePosixPath) -> MediaFile | None:
    match = re.fullmatch(KEY, path.stem)
    if match is None:
        return None
    item = {"speaker": f"{NAME}_{path.stem}", "labels": labels.get(path.stem, {})}
    if match[1]:
        item["split"] = SPLITS[match[1]]
    return MediaFile(path.stem, role_of(path), item)


def _tables(corpus: Corpus, folder: Path) -> Tables:
    pattern = rf"({'|'.join(FOLDERS)})/({'|'.join(DIMENSIONS)})/(?P<key>{KEY})\.(?:arff|csv)"
    found: Tables = {}
    for match, path in find_tables(pattern, folder):
        is_gold = match[1] == GOLD
        file = read_trace_file(path)
        if is_gold and len(file.columns) != 1:
            raise DataError(
                f"{path}: a gold standard has one column of values, not {len(file.columns)}"
            )
        there = found.setdefault((match[2], is_gold), {})
        if match["key"] in there:
            raise DataError(
                f"{there[match['key']].path} and {path} are of one recording; name the folder of "
                "one with --tables"
            )
        there[match["key"]] = file
        corpus.tables.append(path)
    return found
