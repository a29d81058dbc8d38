"""CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset.

Cao, Cooper, Keutmann, Gur, Nenkova and Verma, IEEE Transactions on Affective Computing 5(4), 2014.
A file name gives actor, sentence, intended emotion and its level: 1001_DFA_ANG_XX.wav. The corpus's
tables add the actors and the emotions that raters perceived from audio, video and both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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

NAME = "cremad"
OPTIONS = ("tables", "modality", "encoding")
EXPECTED = 7442
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
CLASSES = emotion_classes(set(EMOTIONS.values()))
LETTERS = {code[0]: emotion for code, emotion in EMOTIONS.items()}
# XX, "unspecified", is a missing intensity.
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
PATTERN = re.compile(
    rf"(1\d{{3}})_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_({'|'.join(INTENSITIES)}|XX)"
)
STIMULI_TABLE = "SentenceFilenames.csv"
ACTOR_TABLE = "VideoDemographics.csv"
PERCEIVED_TABLE = "summaryTable.csv"
VOTES_TABLE = "tabulatedVotes.csv"
PERCEIVED = {
    "MultiModalVote": "perceived",
    "VoiceVote": "perceived_voice",
    "FaceVote": "perceived_face",
}
MOST_VOTED = {
    "MultiModalVote": "most_voted",
    "VoiceVote": "most_voted_voice",
    "FaceVote": "most_voted_face",
}
# The first digit of a row's number in the table of votes gives the modality that was rated.
VOTES = {"3": "votes", "1": "votes_voice", "2": "votes_face"}
# The emotion that more than half of the raters chose.
MAJORITIES = {
    "votes": "majority", "votes_voice": "majority_voice", "votes_face": "majority_face",
}  # fmt: skip

Facts = dict[str, dict[str, Any]]


def read(settings: ManifestSettings) -> Corpus:
    """CREMA-D below a folder; its tables from there or from `tables`, where they exist.

    Labels: emotion (intended), intensity; from the tables perceived, perceived_voice and
    perceived_face (missing where raters tied) and the distributions most_voted, most_voted_voice,
    most_voted_face (1 for each emotion with most votes, several where they tied), votes,
    votes_voice, votes_face (counts of raters), and majority, majority_voice, majority_face (missing
    where no emotion has more than half of the votes).
    """
    corpus = Corpus(NAME, settings.source, {}, expected=EXPECTED)

    def table(name: str, reader: Callable[[Path], Facts]) -> Facts:
        path = find_table(name, settings.source, settings.tables)
        if path is None:
            return {}
        corpus.tables.append(path)
        return reader(path)

    stimuli = table(STIMULI_TABLE, _stimuli)
    actors = table(ACTOR_TABLE, _actors)
    perceived = table(PERCEIVED_TABLE, _perceived)
    votes = table(VOTES_TABLE, _votes)
    classes = {"kind": "class", "classes": CLASSES}
    corpus.labels["emotion"] = classes
    corpus.labels["intensity"] = {"kind": "class", "classes": list(INTENSITIES.values())}
    corpus.labels |= {label: classes for label in PERCEIVED.values() if perceived}
    corpus.labels |= {label: classes for label in MAJORITIES.values() if votes}
    corpus.labels |= {
        label: {"kind": "distribution", "classes": CLASSES}
        for label in (
            *(MOST_VOTED.values() if perceived else ()),
            *(VOTES.values() if votes else ()),
        )
    }
    ratings = {
        key: {**perceived.get(key, {}), **votes.get(key, {})} for key in {*perceived, *votes}
    }
    parse = partial(_parse, stimuli, actors, ratings)
    return by_names(corpus, parse, "1001_DFA_ANG_XX.wav", "CREMA-D", settings.modality)


def _parse(
    stimuli: Facts, actors: Facts, ratings: Facts, path: PurePosixPath
) -> MediaFile | str | None:
    match = PATTERN.fullmatch(path.stem)
    if match is None:
        return None
    if stimuli and path.stem not in stimuli:
        return f"not in {STIMULI_TABLE}"
    actor, sentence, emotion, level = match.groups()
    labels: dict[str, Any] = {"emotion": EMOTIONS[emotion]}
    if level in INTENSITIES:
        labels["intensity"] = INTENSITIES[level]
    item = {
        "speaker": f"{NAME}_{actor}",
        "labels": {**labels, **ratings.get(path.stem, {})},
        "sentence": sentence,
        "text": SENTENCES[sentence],
        **actors.get(actor, {}),
    }
    return MediaFile(path.stem, role_of(path), item)


def _stimuli(path: Path) -> Facts:
    return {row["Filename"]: {} for _, row in read_rows(path, ["Filename"])}


def _actors(path: Path) -> Facts:
    found: Facts = {}
    for line, row in read_rows(path, ["ActorID", "Age", "Sex", "Race", "Ethnicity"]):
        found[row["ActorID"]] = {
            "sex": row["Sex"].lower(),
            "age": _whole(path, line, row["Age"]),
            "race": row["Race"],
            "ethnicity": row["Ethnicity"],
        }
    return found


def _perceived(path: Path) -> Facts:
    found: Facts = {}
    for _, row in read_rows(path, ["FileName", *PERCEIVED]):
        # Tied emotions are separated by colons: no class is the perceived one.
        votes = {column: row[column].split(":") for column in PERCEIVED}
        found[row["FileName"]] = {
            PERCEIVED[column]: LETTERS[letters[0]]
            for column, letters in votes.items()
            if len(letters) == 1 and letters[0] in LETTERS
        } | {
            MOST_VOTED[column]: {LETTERS[letter]: 1 for letter in letters}
            for column, letters in votes.items()
            if set(letters) <= LETTERS.keys()
        }
    return found


def _votes(path: Path) -> Facts:
    letters = {emotion: letter for letter, emotion in LETTERS.items()}
    found: Facts = {}
    for line, row in read_rows(path, ["", "fileName", *LETTERS]):
        label = VOTES.get(row[""][:1])
        if label is not None:
            counts = [_whole(path, line, row[letters[emotion]]) for emotion in CLASSES]
            labels = found.setdefault(row["fileName"], {})
            labels[label] = counts
            if 2 * max(counts) > sum(counts):
                labels[MAJORITIES[label]] = CLASSES[counts.index(max(counts))]
    return found


def _whole(path: Path, line: int, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {text!r} is not a whole number") from error
