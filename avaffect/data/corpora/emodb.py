"""EmoDB, the Berlin Database of Emotional Speech.

Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, "A Database of German Emotional Speech",
Interspeech 2005. A file name gives speaker (2 digits), sentence (3), emotion (the initial of its
German word) and version: 03a01Wa.wav. erkennung.txt is the perception test by 20 listeners.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import (
    Corpus,
    MediaFile,
    by_names,
    emotion_classes,
    find_table,
    role_of,
)
from avaffect.settings.manifest import ManifestSettings

NAME = "emodb"
OPTIONS = ("tables",)
EXPECTED = 535
PERCEPTION_TABLE = "erkennung.txt"

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
SPEAKERS = {
    "03": ("male", 31), "08": ("female", 34), "09": ("female", 21), "10": ("male", 32),
    "11": ("male", 26), "12": ("male", 30), "13": ("female", 32), "14": ("female", 35),
    "15": ("male", 25), "16": ("female", 31),
}  # fmt: skip
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
PATTERN = re.compile(rf"(\d\d)([ab]\d\d)([{''.join(EMOTIONS)}])([a-z]?)")

Perception = dict[str, dict[str, float]]


def read(settings: ManifestSettings) -> Corpus:
    """EmoDB below a folder; the perception test from there or from `tables`.

    Labels: emotion; recognised and natural, the percentages of listeners who recognised the emotion
    and who found it natural, where the perception test is there.
    """
    table = find_table(PERCEPTION_TABLE, settings.source, settings.tables)
    perception = {} if table is None else _perception_test(table)
    labels: dict[str, dict] = {
        "emotion": {"kind": "class", "classes": emotion_classes(set(EMOTIONS.values()))}
    }
    if perception:
        labels |= {"recognised": {"kind": "scalar"}, "natural": {"kind": "scalar"}}
    corpus = Corpus(NAME, settings.source, labels, expected=EXPECTED)
    if table is not None:
        corpus.tables.append(table)
    return by_names(corpus, partial(_parse, perception), "03a01Wa.wav", "EmoDB")


def _parse(perception: Perception, path: PurePosixPath) -> MediaFile | None:
    match = PATTERN.fullmatch(path.stem)
    if match is None:
        return None
    speaker, sentence, letter, version = match.groups()
    if speaker not in SPEAKERS or sentence not in SENTENCES:
        return None
    sex, age = SPEAKERS[speaker]
    labels = {"emotion": EMOTIONS[letter], **perception.get(path.stem, {})}
    item = {
        "speaker": f"{NAME}_{speaker}",
        "labels": labels,
        "sex": sex,
        "age": age,
        "sentence": sentence,
        "text": SENTENCES[sentence],
        "version": version,
    }
    return MediaFile(path.stem, role_of(path), item)


def _perception_test(path: Path) -> Perception:
    """Percentages by file name. Latin-1, tabs, decimal commas, no-break spaces as padding."""
    found: Perception = {}
    lines = path.read_text(encoding="latin-1").splitlines()
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            _, name, recognised, natural = (part.strip() for part in line.split("\t"))
            found[PurePosixPath(name).stem] = {
                "recognised": float(recognised.replace(",", ".")),
                "natural": float(natural.replace(",", ".")),
            }
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: expected number, file, recognised and natural separated "
                "by tabs, as in EmoDB's perception test"
            ) from error
    return found
