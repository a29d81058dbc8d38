"""RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song: its speech.

Livingstone and Russo, PLoS ONE 13(5), 2018. A file name is seven numbers: modality (01 video with
audio, 02 video alone, 03 audio), channel (01 speech, 02 song), emotion, intensity, statement,
repetition, actor: 03-01-06-01-02-01-12.wav.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from avaffect.data.corpora.common import Corpus, MediaFile, by_names, emotion_classes, role_of
from avaffect.settings.manifest import ManifestSettings

NAME = "ravdess"
OPTIONS = ("modality",)
EXPECTED = 1440
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
PATTERN = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")


def read(settings: ManifestSettings) -> Corpus:
    """RAVDESS speech below a folder. Labels: emotion, intensity.

    An utterance's id leaves the modality out, so that it is the same for audio, video and both.
    """
    labels = {
        "emotion": {"kind": "class", "classes": emotion_classes(set(EMOTIONS.values()))},
        "intensity": {"kind": "class", "classes": list(INTENSITIES.values())},
    }
    corpus = Corpus(NAME, settings.source, labels, expected=EXPECTED)
    example = "03-01-06-01-02-01-12.wav"
    return by_names(corpus, _parse, example, "RAVDESS", settings.modality)


def _parse(path: PurePosixPath) -> MediaFile | str | None:
    match = PATTERN.fullmatch(path.stem)
    if match is None:
        return None
    modality, channel, emotion, intensity, statement, repetition, actor = match.groups()
    role = "audio" if modality == "03" else role_of(path)
    if modality == "02":
        if role == "audio":
            return None
        role = "video"
    if channel == "02":
        return "song"
    item = {
        "speaker": f"{NAME}_{actor}",
        "labels": {"emotion": EMOTIONS[emotion], "intensity": INTENSITIES[intensity]},
        "sex": "male" if int(actor) % 2 else "female",
        "statement": statement,
        "text": STATEMENTS[statement],
        "repetition": int(repetition),
    }
    return MediaFile(path.stem.partition("-")[2], role, item)
