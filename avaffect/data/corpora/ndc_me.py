"""NDC-ME, Naturalistic Dyadic Conversation on Moral Emotions: 8352 clips of 1.22 s of one face.

Bohy, El Haddad and Dutoit, "A New Perspective on Smiling and Laughter Detection: Intensity Levels
Matter", ACII 2022; on request. The clips are smiles, laughter or neither. How the copies are laid
out on disk is not published: here a folder of a clip's path, or else a word of its name, says the
class (smile/P03/0012.mp4, P03_laugh_0012.wav), and a folder between or above the person. A table of
clips is read with `manifest table`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from avaffect.data.corpora.common import Corpus, MediaFile, by_names, role_of
from avaffect.data.manifest import Item
from avaffect.settings.manifest import ManifestSettings

NAME = "ndc-me"
OPTIONS = ("modality",)
EXPECTED = 8352
CLASSES = ("neutral", "smile", "laughter")
WORDS = {
    "neutral": "neutral", "none": "neutral", "smile": "smile", "smiles": "smile",
    "smiling": "smile", "laugh": "laughter", "laughs": "laughter", "laughing": "laughter",
    "laughter": "laughter", "laughters": "laughter",
}  # fmt: skip
SPLITS = {"train": "train", "training": "train", "dev": "development", "val": "development",
          "valid": "development", "validation": "development", "test": "test"}  # fmt: skip
# A person as folders and names call them: P03, S12, subject_4, participant7.
PERSON = re.compile(r"(?:p|s|id|spk|speaker|subject|person|participant)[ _-]?(\d+)", re.IGNORECASE)
# Of names of files alone, where `smile_12.mp4` names no person 12.
WORD = re.compile(r"[^\W_]+")


def read(settings: ManifestSettings) -> Corpus:
    """NDC-ME below a folder.

    Label: expression (neutral, smile, laughter). The speaker and the split are those that the path
    names, if it does.
    """
    corpus = Corpus(NAME, settings.source, {}, expected=EXPECTED)
    corpus.labels["expression"] = {"kind": "class", "classes": list(CLASSES)}
    example = "smile/P03/0012.mp4 or P03_laugh_0012.mp4"
    return by_names(corpus, _parse, example, "NDC-ME", settings.modality)


def _parse(path: PurePosixPath) -> MediaFile | None:
    folders = [part.lower() for part in reversed(path.parts[:-1])]
    words = [word.lower() for word in WORD.findall(path.stem)]
    of_folders = _first(folders, WORDS)
    named = {WORDS[word] for word in words if word in WORDS}
    expression = of_folders or (named.pop() if len(named) == 1 else None)
    if expression is None:
        return None
    item: Item = {"labels": {"expression": expression}}
    matches = [match for text in (*folders, *words) if (match := PERSON.fullmatch(text))]
    key = path.stem
    if matches:
        item["speaker"] = f"{NAME}_{int(matches[0][1])}"
        # Names of files may be counted anew for each person and class.
        key = f"{int(matches[0][1])}_{key}"
    split = _first(folders, SPLITS)
    if split:
        item["split"] = split
    return MediaFile(f"{expression}_{key}" if of_folders else key, role_of(path), item)


def _first(texts: Sequence[str], known: dict[str, str]) -> str | None:
    return next((known[text] for text in texts if text in known), None)
