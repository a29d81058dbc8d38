"""VoxCeleb2: celebrities' speech, cut from videos of YouTube.

Chung, Nagrani and Zisserman, "VoxCeleb2: Deep Speaker Recognition", Interspeech 2018. An utterance
is SPEAKER/VIDEO/NUMBER: video files in dev/mp4/id00012/21Uxsk56VDQ/00001.mp4 and their audio in
dev/aac/id00012/21Uxsk56VDQ/00001.m4a, or video files with audio, in any folders above.

Two published files give the languages: VGG's lang_vox2_final.csv of 2021 (filename,lang,confidence
by a recogniser of 107 languages) and AV-HuBERT's vox-en.id, a bare list of the English utterances.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avaffect.core.errors import DataError, UsageError
from avaffect.data.corpora.common import Corpus, MediaFile, by_names, find_table, role_of
from avaffect.data.manifest import Item
from avaffect.data.tables.reader import read_rows
from avaffect.data.tables.texts import lines_of
from avaffect.settings.manifest import ManifestSettings

NAME = "voxceleb2"
OPTIONS = ("tables", "modality", "languages", "language", "encoding")
META_TABLE = "vox2_meta.csv"
SPEAKER, SEX, SET = META_COLUMNS = ("VoxCeleb2 ID", "Gender", "Set")
SEXES = {"m": "male", "f": "female"}
# The part dev is the training part.
SPLITS = {"dev": "train", "test": "test"}
PART = re.compile(r"(?:.*_)?(dev|test)(?:_.*)?")
CLIP = re.compile(r"(?:.*/)?(id\d{5})/([^/]+)/(\d{5})(?:\.\w+)?")


@dataclass(frozen=True)
class Languages:
    """spoken: utterance -> language, "" where the file only lists utterances; chosen: the one to
    keep."""

    path: Path
    spoken: dict[str, str]
    chosen: str | None

    @property
    def is_filter(self) -> bool:
        return self.chosen is not None or not any(self.spoken.values())


def read(settings: ManifestSettings) -> Corpus:
    """VoxCeleb2 below a folder; vox2_meta.csv from there or from `tables`. No labels.

    `languages` adds the language to items, and keeps those of `language`, or all listed utterances
    where the list gives no languages.
    """
    corpus = Corpus(NAME, settings.source, {})
    languages = _languages(settings.languages, settings.language)
    if languages is not None:
        corpus.tables.append(languages.path)
    path = find_table(META_TABLE, settings.source, settings.tables)
    if path is not None:
        corpus.tables.append(path)
    parse = _parser({} if path is None else _speakers(path), languages)
    example = "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4"
    return by_names(corpus, parse, example, "VoxCeleb2", settings.modality)


def _parser(
    speakers: dict[str, Item], languages: Languages | None
) -> Callable[[PurePosixPath], MediaFile | str | None]:
    def parse(path: PurePosixPath) -> MediaFile | str | None:
        match = CLIP.fullmatch(str(path))
        if match is None:
            return None
        key = "_".join(match.groups())
        item: Item = {
            "speaker": f"{NAME}_{match[1]}",
            "session": f"{NAME}_{match[2]}",
            "labels": {},
            **speakers.get(match[1], {}),
        }
        part = next((m[1] for m in map(PART.fullmatch, reversed(path.parts[:-3])) if m), None)
        if part is not None:
            item["split"] = SPLITS[part]
        if languages is not None:
            spoken = languages.spoken.get(key)
            if spoken is None and languages.is_filter:
                return f"not in {languages.path.name}"
            if spoken and languages.chosen and spoken.casefold() != languages.chosen.casefold():
                return f"not in {languages.chosen}"
            if spoken or languages.chosen:
                item["language"] = spoken or languages.chosen
        return MediaFile(key, role_of(path), item)

    return parse


def _speakers(path: Path) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for line, row in read_rows(path, list(META_COLUMNS)):
        if row[SEX] not in SEXES or row[SET] not in SPLITS:
            raise DataError(
                f"{path}, line {line}: expected m or f as {SEX} and dev or test as {SET}"
            )
        found[row[SPEAKER]] = {"sex": SEXES[row[SEX]], "split": SPLITS[row[SET]]}
    return found


def _languages(path: Path | None, chosen: str | None) -> Languages | None:
    """A list of utterances, or a table of utterance and language, separated by commas, tabs or
    blanks.

    Its first line may name columns. Raises DataError where another line names no utterance, or none
    is of the chosen language.
    """
    if path is None:
        if chosen is not None:
            raise UsageError(
                "--language needs --languages FILE, the language of each utterance; "
                "avaffect-manifest(1) names two that were published"
            )
        return None
    if not path.is_file():
        raise DataError(f"{path}: no such file of languages")
    spoken: dict[str, str] = {}
    for number, line in enumerate(lines_of(path), start=1):
        fields = [field.strip('"') for field in re.split(r"[,;\s]+", line.strip())]
        match = CLIP.fullmatch(fields[0])
        if match is not None:
            spoken["_".join(match.groups())] = fields[1] if len(fields) > 1 else ""
        elif number > 1 and fields[0]:
            raise DataError(
                f"{path}, line {number}: expected an utterance, such as "
                f"dev/id00012/21Uxsk56VDQ/00001, and its language; found {fields[0]!r}"
            )
    if not spoken:
        raise DataError(f"{path} names no utterance of VoxCeleb2 (id00012/21Uxsk56VDQ/00001)")
    counts = Counter(spoken.values())
    if chosen and any(counts) and chosen.casefold() not in map(str.casefold, counts):
        there = ", ".join(f"{name} {count}" for name, count in counts.most_common(8))
        raise DataError(f"{path} names no utterance in {chosen}; it has: {there}")
    return Languages(path, spoken, chosen)
