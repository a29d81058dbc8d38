"""MSP-Podcast: turns of podcasts, with what raters heard in them and speaker-disjoint partitions.

Lotfian and Busso, "Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional
Speech From Existing Podcast Recordings", IEEE Transactions on Affective Computing 10(4), 2019. The
releases differ; what is read of them is taken from their readers in public repositories:

    Audios/MSP-PODCAST_0001_0008.wav
    Labels/labels_consensus.csv    FileName, EmoClass, EmoAct, EmoVal, EmoDom, SpkrID, Gender,
                                   Split_Set
    Labels/labels_detailed.csv     FileName, then EmoDetail, or WorkerID (Workers), EmoClass_Major
                                   and EmoClass_Second
    Labels/labels.txt              for each turn a line and a line for each rater, as MSP-IMPROV's

EmoDetail is a rater's line of labels.txt: WORKER0000001; Neutral; Neutral,Confused; A:3; V:4; D:4;
with the primary emotion, all emotions that were heard (secondary), and the attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
from avaffect.data.corpora.ratings import number_on_scale
from avaffect.data.manifest import Item
from avaffect.data.tables.reader import read_rows, read_table
from avaffect.data.tables.texts import read_text
from avaffect.settings.manifest import ManifestSettings

NAME = "msp-podcast"
OPTIONS = ("tables", "encoding")
EMOTIONS = {
    "A": "anger", "S": "sadness", "H": "happiness", "U": "surprise", "F": "fear", "D": "disgust",
    "C": "contempt", "N": "neutral", "O": "other",
}  # fmt: skip
CLASSES = emotion_classes(set(EMOTIONS.values()))
NO_AGREEMENT = "X"
# Raters' words for primary and secondary emotions; all others are another emotion.
WORDS = {
    "angry": "anger", "sad": "sadness", "happy": "happiness", "surprise": "surprise",
    "fear": "fear", "disgust": "disgust", "contempt": "contempt", "neutral": "neutral",
    "amused": "amusement", "frustrated": "frustration", "depressed": "depression",
    "concerned": "concern", "disappointed": "disappointment", "excited": "excitement",
    "confused": "confusion", "annoyed": "annoyance",
}  # fmt: skip
SECONDARY = emotion_classes({*WORDS.values(), "other"})
SPLITS = {
    "train": "train", "development": "development", "validation": "development", "test": "test",
    "test1": "test", "test2": "test", "test3": "test",
}  # fmt: skip
ATTRIBUTES = {"EmoAct": "arousal", "EmoVal": "valence", "EmoDom": "dominance"}
SCALE = (1.0, 7.0)
CONSENSUS = "labels_consensus.csv"
DETAILED = "labels_detailed.csv"
RATERS = ("labels.txt", "Labels.txt")
PATTERN = re.compile(r"MSP-PODCAST_(\w+)")
_WORKERS = ("WorkerID", "Workers")
_PRIMARY, _SECONDARY = "EmoClass_Major", "EmoClass_Second"
_LINE = "EmoDetail"
_COLUMNS = ("FileName", "EmoClass", *ATTRIBUTES, "SpkrID", "Gender", "Split_Set")

Rating = tuple[str, str, str, str]
"""Key of a turn, rater, primary emotion, secondary emotions separated by commas."""


def read(settings: ManifestSettings) -> Corpus:
    """MSP-Podcast below a folder; its labels from there or from `tables`.

    Labels: emotion (the raters' consensus; missing where they had none), the scalars arousal,
    valence and dominance (1 to 7), and the distributions votes (primary emotions of the raters) and
    secondary (how often each emotion was heard). Without the table of consensus: none.
    """
    corpus = Corpus(NAME, settings.source, {})
    corpus.counted = ("partition",)

    def found(*names: str) -> Path | None:
        paths = (find_table(name, settings.source, settings.tables) for name in names)
        path = next((path for path in paths if path is not None), None)
        if path is not None:
            corpus.tables.append(path)
        return path

    consensus, detailed = found(CONSENSUS), found(DETAILED)
    raters = found(*RATERS) if detailed is None else None
    turns = {} if consensus is None else _turns(consensus)
    if consensus is not None:
        corpus.labels["emotion"] = {"kind": "class", "classes": CLASSES}
        corpus.labels |= {name: {"kind": "scalar"} for name in ATTRIBUTES.values()}
    votes: dict[str, dict[str, list[int]]] = {}
    if detailed is not None:
        votes = _votes(_of_table(detailed))
    elif raters is not None:
        votes = _votes(_of_lines(raters))
    if votes:
        corpus.labels["votes"] = {"kind": "distribution", "classes": CLASSES}
        corpus.labels["secondary"] = {"kind": "distribution", "classes": SECONDARY}
    by_names(corpus, _parser(turns, votes), "MSP-PODCAST_0001_0008.wav", "MSP-Podcast")
    keys = {item["id"].removeprefix(f"{NAME}_") for item in corpus.items}
    if consensus is None:
        corpus.lost[f"no {CONSENSUS} (kept without labels and partitions)"].append(
            str(settings.source)
        )
    elif keys - turns.keys():
        corpus.lost[f"not in {CONSENSUS} (kept without labels)"] += sorted(keys - turns.keys())
    if turns.keys() - keys:
        corpus.lost["labelled, but no recording is there"] += sorted(turns.keys() - keys)
    return corpus


def _parser(
    turns: dict[str, Item], votes: dict[str, dict[str, list[int]]]
) -> Callable[[PurePosixPath], MediaFile | None]:
    def parse(path: PurePosixPath) -> MediaFile | None:
        match = PATTERN.fullmatch(path.stem)
        if match is None:
            return None
        turn = turns.get(match[1], {"labels": {}})
        labels = {**turn["labels"], **votes.get(match[1], {})}
        return MediaFile(match[1], role_of(path), {**turn, "labels": labels})

    return parse


def _turns(path: Path) -> dict[str, Item]:
    """Key of each turn of the table of consensus -> fields of its item."""
    found: dict[str, Item] = {}
    for line, row in read_rows(path, _COLUMNS):
        key = _key(path, line, row["FileName"])
        letter, partition = row["EmoClass"], row["Split_Set"]
        if letter not in EMOTIONS and letter != NO_AGREEMENT:
            raise DataError(
                f"{path}, line {line}: the emotion is {letter!r}, none of "
                f"{', '.join([*EMOTIONS, NO_AGREEMENT])}"
            )
        if partition.lower() not in SPLITS:
            raise DataError(
                f"{path}, line {line}: the partition is {partition!r}; known are Train, "
                "Development (or Validation), Test1, Test2 and Test3"
            )
        labels: dict[str, Any] = {} if letter == NO_AGREEMENT else {"emotion": EMOTIONS[letter]}
        for column, name in ATTRIBUTES.items():
            value = number_on_scale(path, line, name, row[column], SCALE)
            if value is not None:
                labels[name] = value
        item: Item = {
            "labels": labels, "split": SPLITS[partition.lower()], "partition": partition,
        }  # fmt: skip
        # Unknown speakers are no one speaker.
        if row["SpkrID"].isdigit():
            item["speaker"] = f"{NAME}_{row['SpkrID']}"
        if row["Gender"].lower() in ("female", "male"):
            item["sex"] = row["Gender"].lower()
        if found.setdefault(key, item) != item:
            raise DataError(
                f"{path}, line {line}: {row['FileName']} is listed before, with other values"
            )
    return found


def _key(path: Path, line: int, name: str) -> str:
    match = PATTERN.fullmatch(PurePosixPath(name.strip()).stem)
    if match is None:
        raise DataError(f"{path}, line {line}: {name!r} is no MSP-PODCAST_0001_0008.wav")
    return match[1]


def _votes(ratings: Iterator[Rating]) -> dict[str, dict[str, list[int]]]:
    """The counts of each turn; a rater who is listed twice for a turn counts once."""
    seen: set[tuple[str, str]] = set()
    found: dict[str, dict[str, list[int]]] = {}
    for key, rater, primary, secondary in ratings:
        # Raters without a name are no one rater.
        if rater.strip() and (key, rater) in seen:
            continue
        seen.add((key, rater))
        counts = found.setdefault(
            key, {"votes": [0] * len(CLASSES), "secondary": [0] * len(SECONDARY)}
        )
        # Who named no primary emotion has no vote.
        if primary.strip():
            chosen = _emotion(primary)
            counts["votes"][CLASSES.index(chosen if chosen in CLASSES else "other")] += 1
        # Words after "Other-" are the rater's own, and may hold commas.
        words = re.sub(r"other\b.*", "other", secondary, flags=re.IGNORECASE).split(",")
        for emotion in {_emotion(word) for word in words if word.strip()}:
            counts["secondary"][SECONDARY.index(emotion)] += 1
    return found


def _emotion(text: str) -> str:
    return WORDS.get(text.strip().lower(), "other")


def _of_table(path: Path) -> Iterator[Rating]:
    """The rows of the table of raters, of either form."""
    names = read_table(path, ["FileName"]).names
    if _LINE in names:
        for line, row in read_rows(path, ["FileName", _LINE]):
            yield _key(path, line, row["FileName"]), *_rater(path, line, row[_LINE])
        return
    rater = next((name for name in _WORKERS if name in names), _WORKERS[0])
    for line, row in read_rows(path, ["FileName", rater, _PRIMARY, _SECONDARY]):
        key = _key(path, line, row["FileName"])
        yield key, row[rater], row[_PRIMARY], row[_SECONDARY]


def _of_lines(path: Path) -> Iterator[Rating]:
    key: str | None = None
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        if PATTERN.match(line.strip()):
            key = _key(path, number, line.split(";")[0])
        elif key is None:
            raise DataError(
                f"{path}, line {number}: expected MSP-PODCAST_0001_0008.wav; N; A:2.2; V:4.0; "
                "D:2.6; and below it a line for each rater"
            )
        else:
            yield key, *_rater(path, number, line)


def _rater(path: Path, line: int, text: str) -> tuple[str, str, str]:
    fields = [field.strip() for field in text.split(";")]
    if len(fields) < 3:
        raise DataError(
            f"{path}, line {line}: {text[:60]!r} is no rating, such as WORKER0000001; Neutral; "
            "Neutral,Confused; A:3; V:4; D:4;"
        )
    return fields[0], fields[1], fields[2]
