"""SAVEE, Surrey Audio-Visual Expressed Emotion: four actors, British English, seven emotions.

Jackson and Haq, "Surrey Audio-Visual Expressed Emotion (SAVEE) database", University of Surrey,
2014. A file is named by the initial of its emotion and the number of its sentence, below a folder
of the actor: AudioData/DC/sa05.wav, AudioVisualClip/DC/sa05.avi; in copies the actor stands before
the name: ALL/DC_sa05.wav.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from avaffect.data.corpora.common import Corpus, MediaFile, by_names, emotion_classes, role_of
from avaffect.settings.manifest import ManifestSettings

NAME = "savee"
OPTIONS = ("modality",)
EXPECTED = 480
EMOTIONS = {
    "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness",
    "su": "surprise",
}  # fmt: skip
ACTORS = ("DC", "JE", "JK", "KL")
PATTERN = re.compile(rf"(?:({'|'.join(ACTORS)})_)?(sa|su|[adfhn])(\d{{1,2}})")


def read(settings: ManifestSettings) -> Corpus:
    """SAVEE below a folder. Label: emotion."""
    classes = emotion_classes(set(EMOTIONS.values()))
    corpus = Corpus(
        NAME, settings.source, {"emotion": {"kind": "class", "classes": classes}}, expected=EXPECTED
    )
    # The source may be the folder of one actor.
    above = settings.source.resolve().name

    def parse(path: PurePosixPath) -> MediaFile | None:
        match = PATTERN.fullmatch(path.stem)
        if match is None:
            return None
        named, letters, number = match.groups()
        parts = (above, *path.parts[:-1])
        actor = named or next((part for part in reversed(parts) if part in ACTORS), None)
        if actor is None:
            return None
        item = {
            "speaker": f"{NAME}_{actor}",
            "sex": "male",
            "sentence": int(number),
            "labels": {"emotion": EMOTIONS[letters]},
        }
        return MediaFile(f"{actor}_{letters}{int(number):02}", role_of(path), item)

    return by_names(corpus, parse, "DC/sa05.wav", "SAVEE", settings.modality)
