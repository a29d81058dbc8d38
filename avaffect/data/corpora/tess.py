"""TESS, Toronto emotional speech set: two actresses say "Say the word back" in seven emotions.

Pichora-Fuller and Dupuis, "Toronto emotional speech set (TESS)", University of Toronto, 2020. A
file is named by actress, word and emotion: OAF_back_angry.wav, YAF_dog_ps.wav (ps: pleasant
surprise); a single file is called OA_bite_neutral.wav.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from avaffect.data.corpora.common import Corpus, MediaFile, by_names, emotion_classes, role_of
from avaffect.settings.manifest import ManifestSettings

NAME = "tess"
OPTIONS = ()
EXPECTED = 2800
EMOTIONS = {
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness",
    "neutral": "neutral", "ps": "surprise", "sad": "sadness",
}  # fmt: skip
# Ages of the older and the younger actress.
AGES = {"OAF": 64, "YAF": 26}
PATTERN = re.compile(rf"(OAF?|YAF)_([a-z]+)_({'|'.join(EMOTIONS)})", re.IGNORECASE)


def read(settings: ManifestSettings) -> Corpus:
    """TESS below a folder. Label: emotion."""
    classes = emotion_classes(set(EMOTIONS.values()))
    corpus = Corpus(
        NAME, settings.source, {"emotion": {"kind": "class", "classes": classes}}, expected=EXPECTED
    )
    return by_names(corpus, _parse, "OAF_back_angry.wav", "TESS")


def _parse(path: PurePosixPath) -> MediaFile | None:
    match = PATTERN.fullmatch(path.stem)
    if match is None:
        return None
    actress, word, emotion = match.groups()
    actress = actress.upper() if actress.upper() in AGES else "OAF"
    word = word.lower()
    item = {
        "speaker": f"{NAME}_{actress}",
        "sex": "female",
        "age": AGES[actress],
        "word": word,
        "text": f"Say the word {word}.",
        "labels": {"emotion": EMOTIONS[emotion.lower()]},
    }
    return MediaFile(f"{actress}_{word}_{emotion.lower()}", role_of(path), item)
