"""MELD: utterances of the television series Friends, in dialogues of several people.

Poria, Hazarika, Majumder, Naik, Cambria and Mihalcea, "MELD: A multimodal multi-party dataset for
emotion recognition in conversations", ACL 2019. The archives unpack to train_splits,
dev_splits_complete and output_repeated_splits_test with files dia0_utt1.mp4, numbered anew in each
part; train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv have speaker, emotion, sentiment,
words, season and episode of each. Files final_videos_testdia0_utt1.mp4 are in no table.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import (
    Corpus,
    MediaFile,
    by_names,
    emotion_classes,
    find_table,
    role_of,
)
from avaffect.data.tables.reader import read_rows
from avaffect.settings.manifest import ManifestSettings

NAME = "meld"
OPTIONS = ("tables", "modality", "encoding")
EXPECTED = 13708
EMOTIONS = {
    "anger": "anger", "disgust": "disgust", "fear": "fear", "joy": "happiness",
    "neutral": "neutral", "sadness": "sadness", "surprise": "surprise",
}  # fmt: skip
SENTIMENTS = ("negative", "neutral", "positive")
# Part of a folder's name -> split, and the table of the split.
SPLITS = {"train": "train", "dev": "development", "test": "test"}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season",
           "Episode")  # fmt: skip
PATTERN = re.compile(r"dia(\d+)_utt(\d+)")
UNLISTED = "final_videos_test"
# What Windows-1252 has where ISO 8859-1 has controls: the tables have its quotation marks so.
_CONTROL = re.compile("[\x80-\x9f]")

# (Part, dialogue, utterance) -> fields.
Rows = dict[tuple[str, int, int], dict[str, Any]]


def read(settings: ManifestSettings) -> Corpus:
    """MELD below a folder; the tables from there or from `tables`. Labels: emotion and sentiment.

    Raises DataError without any table, or for a row that is not as published.
    """
    labels = {
        "emotion": {"kind": "class", "classes": emotion_classes(set(EMOTIONS.values()))},
        "sentiment": {"kind": "class", "classes": list(SENTIMENTS)},
    }
    corpus = Corpus(NAME, settings.source, labels, expected=EXPECTED)
    rows: Rows = {}
    for part in SPLITS:
        table = find_table(f"{part}_sent_emo.csv", settings.source, settings.tables)
        if table is not None:
            corpus.tables.append(table)
            rows |= _table(part, table)
    if not rows:
        raise DataError(
            f"{settings.source} holds no table of MELD (train_sent_emo.csv and the like); name "
            "their folder with --tables DIR"
        )
    # The source may be the folder of one part.
    above = _part_of(settings.source.resolve().name) if _has_one_part(settings.source) else None
    if above is not None:
        rows = {key: row for key, row in rows.items() if key[0] == above}
    by_names(
        corpus, partial(_parse, rows, above), "train_splits/dia0_utt1.mp4", "MELD",
        settings.modality,
    )  # fmt: skip
    there = {item["id"] for item in corpus.items}
    for key in rows:
        name = f"{NAME}_{_key(*key)}"
        if name not in there:
            corpus.lost["in the tables, but no recording is there"].append(name)
    return corpus


def _key(part: str, dialogue: int, utterance: int) -> str:
    return f"{part}_dia{dialogue}_utt{utterance}"


def _part_of(folder: str) -> str | None:
    """The part that the name of a folder says."""
    return next((part for part in SPLITS if part in folder.lower()), None)


def _has_one_part(source: Path) -> bool:
    """Whether recordings lie in the folder itself, not in one for each part."""
    return any(PATTERN.fullmatch(path.stem) for path in source.glob("dia*_utt*"))


def _parse(rows: Rows, above: str | None, path: PurePosixPath) -> MediaFile | str | None:
    """above: the part of a folder that has no parts."""
    if path.stem.startswith(UNLISTED):
        return f"{UNLISTED}*, which no table lists"
    match = PATTERN.fullmatch(path.stem)
    named = (_part_of(folder) for folder in reversed(path.parts[:-1]))
    part = next(filter(None, named), above)
    if match is None or part is None:
        return None
    key = part, int(match[1]), int(match[2])
    if key not in rows:
        return "in no table"
    return MediaFile(_key(*key), role_of(path), rows[key])


def _table(part: str, path: Path) -> Rows:
    found: Rows = {}
    for line, row in read_rows(path, COLUMNS):
        emotion, sentiment = row["Emotion"].strip().lower(), row["Sentiment"].strip().lower()
        try:
            key = part, int(row["Dialogue_ID"]), int(row["Utterance_ID"])
            season, episode = int(row["Season"]), int(row["Episode"])
            labels = {"emotion": EMOTIONS[emotion], "sentiment": sentiment}
        except (ValueError, KeyError) as error:
            raise DataError(f"{path}, line {line}: {error} is not as MELD has it") from error
        if sentiment not in SENTIMENTS:
            raise DataError(f"{path}, line {line}: the sentiment is {sentiment!r}")
        if found.get(key, {}).get("labels", labels) != labels:
            raise DataError(f"{path}, line {line}: {_key(*key)} is there twice, with other labels")
        found[key] = {
            "speaker": f"{NAME}_{_readable(row['Speaker'])}",
            "split": SPLITS[part],
            "dialogue": f"{part}_{key[1]}",
            "season": season,
            "episode": episode,
            "text": _readable(row["Utterance"]),
            "labels": labels,
        }
    return found


def _readable(text: str) -> str:
    def windows(match: re.Match[str]) -> str:
        return match[0].encode("latin-1").decode("cp1252", "ignore")

    return " ".join(_CONTROL.sub(windows, text).split())
