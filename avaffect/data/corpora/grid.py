"""GRID, an audiovisual corpus of short commands by 34 talkers (talker 21 without video).

Cooke, Barker, Cunningham and Shao, "An audio-visual corpus for speech perception and automatic
speech recognition", JASA 120(5), 2006. A file name spells the sentence: command, colour,
preposition, letter, digit, adverb, as in bbaf2n.mpg: bin blue at f two now. The talker is a folder
of its path, s1 to s34, however the archives were unpacked (s1/video/mpg_6000/bbaf2n.mpg,
audio_25k/s1/bbaf2n.wav, s1/bbaf2n.mpg), or a number before the name (id2_vcd_swwp2s.mpg).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath

from avaffect.data.corpora.common import Corpus, MediaFile, by_names, role_of
from avaffect.settings.manifest import ManifestSettings

NAME = "grid"
OPTIONS = ("modality",)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(zip("z123456789", DIGITS)),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
FEMALE = (4, 7, 11, 15, 16, 18, 20, 21, 22, 23, 24, 25, 29, 31, 33, 34)
TALKERS = 34
SENTENCE = "".join(f"[{''.join(words)}]" for words in WORDS)
PATTERN = re.compile(rf"(?:(?:id|s)(\d{{1,2}})_(?:\w+_)?)?({SENTENCE})")
FOLDER = re.compile(r"s(\d{1,2})(?:_.*)?")


def read(settings: ManifestSettings) -> Corpus:
    """GRID below a folder. No labels; the sentence is the item's text.

    Where no folder names the talker, items have no speaker.
    """
    corpus = Corpus(NAME, settings.source, {})
    # The source may be the folder of one talker.
    above = FOLDER.fullmatch(settings.source.resolve().name)
    talker = int(above[1]) if above else None
    return by_names(
        corpus, partial(_parse, above=talker), "s1/bbaf2n.mpg", "GRID", settings.modality
    )


def _parse(path: PurePosixPath, above: int | None) -> MediaFile | None:
    match = PATTERN.fullmatch(path.stem)
    if match is None:
        return None
    number, sentence = match.groups()
    talker = _talker(path) or above
    if talker is None and number is not None:
        talker = int(number)
    if talker is None:
        facts = {}
    elif not 1 <= talker <= TALKERS:
        return None
    else:
        facts = {
            "speaker": f"{NAME}_s{talker}",
            "sex": "female" if talker in FEMALE else "male",
        }
    text = " ".join(words[sign] for words, sign in zip(WORDS, sentence))
    key = sentence if talker is None else f"s{talker}_{sentence}"
    return MediaFile(key, role_of(path), {**facts, "labels": {}, "text": text})


def _talker(path: PurePosixPath) -> int | None:
    """From the nearest folder with the name of a talker."""
    for part in reversed(path.parts[:-1]):
        match = FOLDER.fullmatch(part)
        if match is not None:
            return int(match[1])
    return None
