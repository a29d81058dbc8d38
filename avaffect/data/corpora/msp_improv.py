"""MSP-IMPROV: improvised dyads of six sessions, 8438 turns of 12 actors.

Busso, Parthasarathy, Burmania, AbdelWahab, Sadoughi and Mower Provost, "MSP-IMPROV: An Acted Corpus
of Dyadic Interactions to Study Emotion Perception", IEEE Transactions on Affective Computing 8(1),
2017. A file name gives sentence and target emotion (S01A), actor and session (F01: the woman of
session 1), scenario (P, R, S or T) and turn: MSP-IMPROV-S01A-F01-P-FM01.wav and .avi, in folders
session1/S01A/P or any other.

The form of the evaluation file (Evaluation.txt; the first release wrote Evalution.txt) is taken
from its readers in public repositories. For each turn, one line

    UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.000000; V:3.500000; D:3.000000 ; N:4.000000;

with the consensus (A, H, S, N, O; X: none) and the means of arousal, valence, dominance and
naturalness on scales of 1 to 5 (NaN: not rated), unchanged; then one line for each rater,

    WORKER; Neutral; Neutral, Calm; A:3.000000; V:4.000000; D:3.000000; N:5.000000;

and an empty line. A second line of the same rater is a copy: each rater counts once; so is a turn
that is listed again with the same values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
from avaffect.settings.manifest import ManifestSettings

NAME = "msp-improv"
OPTIONS = ("tables", "modality")
EXPECTED = 8438
EMOTIONS = {"A": "anger", "H": "happiness", "S": "sadness", "N": "neutral", "O": "other"}
CLASSES = emotion_classes(set(EMOTIONS.values()))
TARGETS = [name for name in CLASSES if name != "other"]
NO_CONSENSUS = "X"
# Raters' choices by their first letters; all other words are another emotion.
CHOICES = {"angry": "anger", "happy": "happiness", "sad": "sadness", "neutral": "neutral"}
SCENARIOS = {
    "P": "between the scenes",
    "R": "read",
    "S": "improvised",
    "T": "target sentence, improvised",
}
MEANS = {"A": "arousal", "V": "valence", "D": "dominance", "N": "naturalness"}
SCALE = (1.0, 5.0)
SEXES = {"F": "female", "M": "male"}
TABLES = ("Evaluation.txt", "Evalution.txt")
TURN = r"(S\d\d)([AHNS])-([FM])(0[1-6])-([PRST])-([FM]{2}\d{2,3})"
PATTERN = re.compile(rf"(?:MSP|UTD)-IMPROV-({TURN})")
MEAN = re.compile(r"([AVDN]):\s*(\d+(?:\.\d+)?|NaN)")

Ratings = dict[str, dict[str, Any]]


def read(settings: ManifestSettings) -> Corpus:
    """MSP-IMPROV below a folder; the evaluation from there or from `tables`.

    Labels: emotion (the raters' consensus; missing where they had none), target (the intended
    emotion of the scene), the scalars arousal, valence, dominance and naturalness, and the
    distribution votes (counts of raters). Without the evaluation: target alone.
    """
    corpus = Corpus(NAME, settings.source, {}, expected=EXPECTED, counted=("scenario",))
    corpus.labels["target"] = {"kind": "class", "classes": TARGETS}
    paths = (find_table(name, settings.source, settings.tables) for name in TABLES)
    path = next((path for path in paths if path is not None), None)
    ratings: Ratings = {}
    if path is not None:
        corpus.tables.append(path)
        ratings = _ratings(path)
        corpus.labels["emotion"] = {"kind": "class", "classes": CLASSES}
        corpus.labels |= {name: {"kind": "scalar"} for name in MEANS.values()}
        corpus.labels["votes"] = {"kind": "distribution", "classes": CLASSES}
    example = "MSP-IMPROV-S01A-F01-P-FM01.wav"
    by_names(corpus, _parser(ratings), example, "MSP-IMPROV", settings.modality)
    if path is None:
        reason = f"no {' or '.join(TABLES)} (kept without emotion and ratings)"
        corpus.lost[reason].append(str(settings.source))
    there = {item["id"].removeprefix(f"{NAME}_") for item in corpus.items}
    absent = sorted(ratings.keys() - there)
    if absent:
        corpus.lost["rated, but no recording is there"] += absent
    return corpus


def _parser(ratings: Ratings) -> Callable[[PurePosixPath], MediaFile | None]:
    def parse(path: PurePosixPath) -> MediaFile | None:
        match = PATTERN.fullmatch(path.stem)
        if match is None:
            return None
        key, sentence, target, sex, session, scenario, turn = match.groups()
        item: Item = {
            "speaker": f"{NAME}_{sex}{session}",
            "session": f"{NAME}_{session}",
            "labels": {"target": EMOTIONS[target], **ratings.get(key, {})},
            "sex": SEXES[sex],
            "sentence": sentence,
            "scenario": SCENARIOS[scenario],
            "turn": turn,
        }
        return MediaFile(key, role_of(path), item)

    return parse


def _ratings(path: Path) -> Ratings:
    found: Ratings = {}
    votes: dict[str, dict[str, str]] = {}
    key: str | None = None
    for number, line in enumerate(_lines(path), start=1):
        fields = [field.strip() for field in line.split(";")]
        if not line.strip():
            continue
        match = PATTERN.fullmatch(PurePosixPath(fields[0]).stem)
        if match is not None:
            key = match[1]
            rated = _consensus(path, number, fields)
            if found.setdefault(key, rated) != rated:
                raise DataError(
                    f"{path}, line {number}: {fields[0]} is listed before, with other values"
                )
            votes.setdefault(key, {})
        elif key is None or len(fields) < 2:
            raise DataError(
                f"{path}, line {number}: expected UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.0; V:3.5; "
                "D:3.0; N:4.0; and below it a line for each rater, as MSP-IMPROV's evaluation has"
            )
        elif fields[1]:
            # Raters without a name are no one rater. Who chose nothing has no vote.
            votes[key].setdefault(fields[0] or f"line {number}", _choice(fields[1]))
    if not found:
        raise DataError(f"{path} rates no turn: it is empty, or not MSP-IMPROV's evaluation")
    for turn, chosen in votes.items():
        if chosen:
            found[turn]["votes"] = [list(chosen.values()).count(name) for name in CLASSES]
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _consensus(path: Path, number: int, fields: list[str]) -> dict[str, Any]:
    letter = fields[1] if len(fields) > 1 else ""
    if letter not in EMOTIONS and letter != NO_CONSENSUS:
        raise DataError(
            f"{path}, line {number}: the consensus is {letter!r}, none of "
            f"{', '.join([*EMOTIONS, NO_CONSENSUS])}"
        )
    labels: dict[str, Any] = {} if letter == NO_CONSENSUS else {"emotion": EMOTIONS[letter]}
    for field in fields[2:]:
        match = MEAN.fullmatch(field)
        if match is None and field:
            raise DataError(
                f"{path}, line {number}: {field!r} is no mean rating, such as A:3.5 or D:NaN"
            )
        if match is not None:
            name = MEANS[match[1]]
            value = number_on_scale(path, number, name, match[2], SCALE)
            if value is not None:
                labels[name] = value
    return labels


def _choice(text: str) -> str:
    spelled = text.lower()
    return next((name for start, name in CHOICES.items() if spelled.startswith(start)), "other")
