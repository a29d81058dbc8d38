"""IEMOCAP: ten actors in five sessions of two, in scripted and improvised dialogues.

Busso, Bulut, Lee, Kazemzadeh, Mower, Kim, Chang, Lee and Narayanan, "IEMOCAP: Interactive emotional
dyadic motion capture database", Language Resources and Evaluation 42(4), 2008. The name of a turn
gives session and wearer of the markers, dialogue, speaker and number:
Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav. An evaluation of a dialogue,
Session1/dialog/EmoEvaluation/Ses01F_impro01.txt, has for each turn a line

    [6.2901 - 8.2357]   Ses01F_impro01_F000   neu   [2.5000, 2.5000, 2.5000]

with the raters' majority vote (xxx: no majority) and the means of valence, activation and
dominance, from 1 to 5; then a line for each rater's choices, "C-E2:   Neutral;   ()", and one for
their ratings. C-F1 and C-M1 are the actors' ratings of themselves and are not counted, as in the
corpus's means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import (
    Corpus,
    MediaFile,
    by_names,
    emotion_classes,
    find_tables,
    role_of,
)
from avaffect.settings.manifest import ManifestSettings

NAME = "iemocap"
OPTIONS = ("tables",)
EXPECTED = 10039
# Raters' words begin with the same three letters: Anger, Neutral state, Excited.
EMOTIONS = {
    "ang": "anger",
    "dis": "disgust",
    "exc": "excitement",
    "fea": "fear",
    "fru": "frustration",
    "hap": "happiness",
    "neu": "neutral",
    "oth": "other",
    "sad": "sadness",
    "sur": "surprise",
}
CLASSES = emotion_classes(set(EMOTIONS.values()))
NO_MAJORITY = "xxx"
MEANS = ("valence", "arousal", "dominance")
SEXES = {"F": "female", "M": "male"}
SCENARIOS = {"impro": "improvised", "script": "scripted"}
DIALOGUE = r"Ses0([1-5])[FM]_(impro|script)\d\d(?:_\d[a-z]?)?"
TURN = rf"({DIALOGUE})_([FM])(?:\d{{3}}|XX\d)"
NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
RATED = re.compile(rf"\[[^]]+\]\s+({TURN})\s+([a-z]{{3}})\s+\[{NUMBER},{NUMBER},{NUMBER}\]")
CHOSEN = re.compile(r"C-E\d+:\s*([^(]*)")
SPOKEN = re.compile(rf"({TURN}) \[[^]]*\]:\s*(.*)")

Labels = dict[str, dict[str, Any]]


def read(settings: ManifestSettings) -> Corpus:
    """IEMOCAP below a folder; evaluations and transcriptions from there or from `tables`.

    Labels: emotion (the raters' majority; missing where there is none), the scalars arousal,
    valence and dominance, and the distribution votes (counts of raters).
    """
    corpus = Corpus(NAME, settings.source, {}, expected=EXPECTED)
    corpus.labels["emotion"] = {"kind": "class", "classes": CLASSES}
    corpus.labels |= {name: {"kind": "scalar"} for name in sorted(MEANS)}
    corpus.labels["votes"] = {"kind": "distribution", "classes": CLASSES}
    folder = settings.tables or settings.source
    rated: Labels = {}
    for path in _texts(corpus, folder, "EmoEvaluation"):
        rated |= _evaluation(path)
    texts: dict[str, str] = {}
    for path in _texts(corpus, folder, "transcriptions"):
        texts |= _transcription(path)
    if not rated:
        raise DataError(
            f"{folder} holds no evaluation of IEMOCAP: looked for files named like "
            "dialog/EmoEvaluation/Ses01F_impro01.txt; name their folder with --tables DIR"
        )
    by_names(corpus, partial(_parse, rated, texts), "Ses01F_impro01_F000.wav", "IEMOCAP")
    there = {item["id"].removeprefix(f"{NAME}_") for item in corpus.items}
    _count(corpus, "rated, but no recording is there", rated.keys() - there)
    _count(corpus, "not rated (kept without labels)", there - rated.keys())
    return corpus


def _count(corpus: Corpus, reason: str, names: Iterable[str]) -> None:
    if listed := sorted(names):
        corpus.lost[reason] += listed


def _parse(rated: Labels, texts: dict[str, str], path: PurePosixPath) -> MediaFile | str | None:
    match = re.fullmatch(TURN, path.stem)
    if match is None:
        whole = re.fullmatch(DIALOGUE, path.stem)
        return f"a whole dialogue ({path.suffix})" if whole else None
    dialogue, session, scenario, sex = match.groups()
    item = {
        # The letter before names the wearer of the markers.
        "speaker": f"{NAME}_{session}{sex}",
        "session": f"{NAME}_{session}",
        "labels": rated.get(path.stem, {}),
        "sex": SEXES[sex],
        "scenario": SCENARIOS[scenario],
        "dialogue": dialogue,
    }
    if path.stem in texts:
        item["text"] = texts[path.stem]
    return MediaFile(path.stem, role_of(path), item)


def _texts(corpus: Corpus, folder: Path, kind: str) -> list[Path]:
    """The dialogues' files of a kind, which are added to the corpus's tables."""
    paths = [path for _, path in find_tables(rf"{kind}/{DIALOGUE}\.txt", folder)]
    corpus.tables += paths
    return paths


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _evaluation(path: Path) -> Labels:
    found: Labels = {}
    turn = ""
    for number, line in enumerate(_lines(path), start=1):
        match = RATED.match(line)
        if match is not None:
            turn = match[1]
            found[turn] = _consensus(path, number, match[6], match.groups()[6:])
        elif line.startswith("["):
            raise DataError(
                f"{path}, line {number}: expected [START - END], turn, emotion and [V, A, D], as "
                "IEMOCAP's evaluations have"
            )
        elif turn and (chosen := CHOSEN.match(line)):
            votes = found[turn].setdefault("votes", [0] * len(CLASSES))
            for emotion in _choices(chosen[1]):
                votes[CLASSES.index(emotion)] += 1
    if not found:
        raise DataError(f"{path} rates no turn: it is empty, or no evaluation of IEMOCAP")
    return found


def _consensus(path: Path, number: int, code: str, means: Iterable[str]) -> dict[str, Any]:
    if code not in EMOTIONS and code != NO_MAJORITY:
        raise DataError(
            f"{path}, line {number}: the emotion is {code!r}, none of "
            f"{', '.join([*EMOTIONS, NO_MAJORITY])}"
        )
    labels: dict[str, Any] = {} if code == NO_MAJORITY else {"emotion": EMOTIONS[code]}
    # -1 marks a turn that was not rated.
    return labels | {name: v for name, v in zip(MEANS, map(float, means)) if v >= 0}


def _choices(text: str) -> set[str]:
    """The emotions that one rater named."""
    words = [word.strip().lower() for word in text.split(";")]
    return {EMOTIONS.get(word[:3], "other") for word in words if word}


def _transcription(path: Path) -> dict[str, str]:
    matches = map(SPOKEN.match, _lines(path))
    return {match[1]: match[6].strip() for match in matches if match and match[6].strip()}
