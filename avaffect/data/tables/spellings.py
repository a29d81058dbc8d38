"""Common names for splits and emotions in tables, and classes whose names are similar."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from avaffect.data.tables.reader import plain_name
from avaffect.data.vocabulary import EMOTIONS

_SPLITS = {
    "train": ("train", "training", "trainset", "trainingset", "trn"),
    "development": ("development", "dev", "devel", "devset", "val", "valid", "validation",
                    "validationset", "developmentset"),
    "test": ("test", "testing", "testset", "tst"),
}  # fmt: skip
_SPLIT_OF = {spelling: split for split, known in _SPLITS.items() for spelling in known}
_NUMBERED_TEST = re.compile(r"test(set)?\d+")
# Parts of names for which a message suggests a split; they are never used to assign one.
_HINTS = (("train", "train"), ("dev", "development"), ("valid", "development"), ("test", "test"))
_EMOTIONS = {
    "anger": ("angry", "ang"),
    "boredom": ("bored", "boredem"),
    "calm": ("calmness",),
    "contempt": ("contemptuous", "con"),
    "disgust": ("disgusted", "dis"),
    "excitement": ("excited", "exc", "enthusiasm", "enthusiastic"),
    "fear": ("fearful", "afraid", "scared", "anxiety", "anxious", "fea"),
    "frustration": ("frustrated", "fru"),
    "happiness": ("happy", "joy", "joyful", "hap"),
    "neutral": ("neutrality", "neu"),
    "sadness": ("sad",),
    "surprise": ("surprised", "sur", "ps", "pleasantsurprise"),
    "other": ("others", "oth"),
}
_EMOTION_OF = {spelling: name for name, known in _EMOTIONS.items() for spelling in known}


def splits_of(found: Collection[str]) -> dict[str, str]:
    """Spelling -> train, development or test, for unambiguous spellings in any case: Training, dev,
    valid and others. A numbered test set such as Test1 counts if there is only one test set."""
    known = {text: _SPLIT_OF[plain_name(text)] for text in found if plain_name(text) in _SPLIT_OF}
    numbered = [text for text in found if _NUMBERED_TEST.fullmatch(plain_name(text))]
    if len(numbered) == 1 and "test" not in known.values():
        known[numbered[0]] = "test"
    return known


def mapped_splits(
    texts: Iterable[str], mapping: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Spelling -> split through a user's mapping, in which "" means none; and the spellings that
    need one."""
    meant = {text: mapping.get(text, text) for text in texts}
    known = splits_of([name for name in meant.values() if name])
    unknown = [text for text, name in meant.items() if name and name not in known]
    return {text: known[name] for text, name in meant.items() if name in known}, unknown


def split_hint(unknown: Iterable[str]) -> str:
    """The --map options that assign these spellings to splits."""
    words = []
    for text in unknown:
        plain = text.lower()
        guess = next((split for part, split in _HINTS if part in plain), "SPLIT")
        words.append(f"--map {_quoted(text)}={guess}")
    return " ".join(words)


def canonical(name: str) -> str:
    """An emotion in lower case if the name is one in another case, otherwise the name itself."""
    return name.lower() if name.lower() in EMOTIONS else name


def common(name: str) -> str:
    """The common name of an emotion that is spelled otherwise (Angry, joy, ps), or else the name in
    lower case."""
    plain = plain_name(name)
    return name.lower() if name.lower() in EMOTIONS else _EMOTION_OF.get(plain, name.lower())


def emotion_hint(others: Iterable[str]) -> str:
    """The --map options for classes that are not in EMOTIONS."""
    return " ".join(
        f"--map {_quoted(name)}={_EMOTION_OF.get(plain_name(name), 'NAME')}" for name in others
    )


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of classes that differ only in case, blanks, hyphens or underscores; -1 and 1 do not:
    a sign is part of a number."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in filter(re.compile(r"[^\W\d_]").search, dict.fromkeys(names)):
        groups[re.sub(r"[\s_-]+", " ", name.casefold()).strip()].append(name)
    return [group for group in groups.values() if len(group) > 1]


def map_hint(group: Iterable[str], counts: Mapping[str, int] | None = None) -> str:
    """The --map options that merge a group into one class: the emotion, or its most frequent."""
    names = sorted(group, key=lambda name: (-(counts or {}).get(name, 0), name))
    plain = plain_name(names[0])
    target = _EMOTION_OF.get(plain, plain if plain in EMOTIONS else names[0])
    return " ".join(f"--map {_quoted(name)}={target}" for name in sorted(names) if name != target)


def classes_hint(names: Collection[str]) -> str:
    """The --classes option that keeps these classes and merges those with similar names."""
    groups = {group[0]: group for group in alike(names)}
    merged = {name for group in groups.values() for name in group[1:]}
    parts = []
    for name in (name for name in names if name not in merged):
        group = sorted(groups.get(name, [name]))
        small = next((n for n in group if n == n.lower()), group[0])
        parts.append(name if name not in groups else f"{small}={'+'.join(group)}")
    return f"--classes {_quoted(','.join(parts))}"


def _quoted(text: str) -> str:
    """The text quoted for a shell."""
    return text if re.fullmatch(r"[\w.+,=-]+", text) else "'" + text.replace("'", "'\\''") + "'"
