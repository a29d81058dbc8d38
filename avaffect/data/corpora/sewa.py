"""SEWA in the form of the AVEC challenges of 2017, 2018 and 2019: video chats about adverts.

Kossaifi and others, "SEWA DB: A Rich Database for Audio-Visual Emotion and Sentiment Research in
the Wild", IEEE Transactions on Pattern Analysis and Machine Intelligence 43(3), 2021. A recording
shows one of two chat partners, and its name begins with its part: audio/Train_DE_01.wav,
video/Train_DE_01.avi (2017, Germans alone: Train_01). labels/Train_DE_01.csv is the gold standard,
ten times a second: name;timestamp;arousal;valence;liking, in most releases without that row of
names.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, MediaFile, by_names, find_tables, role_of
from avaffect.data.corpora.traces import add_traces, report_unused
from avaffect.data.trace_files import TraceFile, read_trace_file
from avaffect.settings.manifest import ManifestSettings

NAME = "sewa"
OPTIONS = ("tables", "modality", "encoding")
RATE_HZ = 10.0
SPLITS = {"Train": "train", "Devel": "development", "Test": "test"}
LANGUAGES = {"DE": "German", "HU": "Hungarian", "CN": "Chinese"}
KEY = rf"({'|'.join(SPLITS)})_(?:({'|'.join(LANGUAGES)})_)?(\d\d)"
LABELS = ("arousal", "valence", "liking")
COLUMNS = ("name", "timestamp", *LABELS)
# Features have similar names, and are in other folders.
FOLDER = r"labels\w*"


def read(settings: ManifestSettings) -> Corpus:
    """SEWA below a folder; its labels from folders with the name labels, or from anywhere in
    `tables`.

    Traces: arousal, valence, liking. The speaker is the recording: the pairs are not published.
    """
    corpus = Corpus(NAME, settings.source, {})
    files = _tables(corpus, settings.tables)
    labels: dict[str, dict[str, Any]] = {}
    for label in LABELS:
        having = {
            key: replace(file, columns={label: file.columns[label]})
            for key, file in files.items()
            if label in file.columns
        }
        for key, values in (
            add_traces(corpus, label, having, RATE_HZ, raters=False) if having else {}
        ).items():
            labels.setdefault(key, {})[label] = values
    by_names(corpus, partial(_parse, labels), "Train_DE_01.wav", "SEWA", settings.modality)
    report_unused(corpus, files)
    for item in corpus.items:
        # Labels of the test part were not published.
        if not item["labels"] and item["split"] != "test":
            corpus.lost["no table of labels (kept without)"].append(item["id"])
    return corpus


def _parse(labels: dict[str, dict[str, Any]], path: PurePosixPath) -> MediaFile | None:
    match = re.fullmatch(KEY, path.stem)
    if match is None:
        return None
    part, language, _ = match.groups()
    item = {
        "speaker": f"{NAME}_{path.stem}",
        "split": SPLITS[part],
        "labels": labels.get(path.stem, {}),
        "language": LANGUAGES[language or "DE"],
    }
    return MediaFile(path.stem, role_of(path), item)


def _tables(corpus: Corpus, tables: Path | None) -> dict[str, TraceFile]:
    """The tables of labels by the recording's name."""
    pattern = rf"(?P<key>{KEY})\.csv"
    if tables is None:
        found = find_tables(f"{FOLDER}/{pattern}", corpus.root)
    else:
        found = find_tables(pattern, tables)
    paths: dict[str, Path] = {}
    for match, path in found:
        other = paths.setdefault(match["key"], path)
        if other != path:
            raise DataError(
                f"{other} and {path} are of one recording; name the folder of the labels with "
                "--tables"
            )
    corpus.tables += paths.values()
    return {key: _read(path) for key, path in paths.items()}


def _read(path: Path) -> TraceFile:
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        has_names = LABELS[0] in stream.readline().lower()
    file = read_trace_file(path, None if has_names else COLUMNS)
    if not set(LABELS[:2]) <= file.columns.keys():
        raise DataError(f"{path}: expected the columns {', '.join(LABELS)}, as in SEWA's labels")
    return file
