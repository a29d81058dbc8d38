"""ChaLearn First Impressions V2: 10,000 clips of people who talk to a camera, rated on five traits.

Ponce-Lopez et al., "ChaLearn LAP 2016: First Round Challenge on First Impressions", ECCV Workshops
2016; Escalante et al., IEEE Transactions on Affective Computing 13(2), 2022. A clip is a part of a
video of YouTube, whose id and a number name it: J4GQm9j0JZ0.003.mp4, in any folders. The labels are
pickles of a dictionary in a dictionary, trait -> name of the clip -> number from 0 to 1:
annotation_training.pkl, annotation_validation.pkl and annotation_test.pkl, one a split; beside them
transcription_training.pkl and so on, name of the clip -> text. They are read without running
anything in them.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core import plain_pickles
from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, MediaFile, by_names, find_table, role_of
from avaffect.data.manifest import Item
from avaffect.settings.manifest import ManifestSettings

NAME = "first-impressions"
OPTIONS = ("tables", "modality")
EXPECTED = 10000
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
# Whether the raters would invite the person to a job interview.
LABELS = (*TRAITS, "interview")
SPLITS = {"training": "train", "validation": "development", "test": "test"}
SHARED = (
    "videos with clips in several of the published splits, without a speaker here (for splits that "
    "share no video: split --by session --replace)"
)
PATTERN = re.compile(r"(.+)\.(\d{3})")

# Name of a clip without suffix -> fields of its item.
Clips = dict[str, Item]


def read(settings: ManifestSettings) -> Corpus:
    """First Impressions below a folder; its annotations from there or from `tables`.

    Scalars: openness, conscientiousness, extraversion, agreeableness, neuroticism and interview, as
    published, 0 to 1. The session is the video of YouTube that a clip was cut from, and so is the
    speaker, but for videos with clips in several splits. Clips that no annotation names are left
    out. Raises DataError where there is no annotation at all, and where
    one holds anything but numbers by trait and clip.
    """
    corpus = Corpus(NAME, settings.source, {}, expected=EXPECTED, counted=("split",))
    clips: Clips = {}
    for part, split in SPLITS.items():
        path = _table(corpus, settings, f"annotation_{part}.pkl")
        if path is not None:
            _add_labels(clips, path, split)
        texts = _table(corpus, settings, f"transcription_{part}.pkl")
        if texts is not None:
            _add_texts(clips, texts)
    if not any("split" in item for item in clips.values()):
        raise DataError(
            f"{settings.tables or settings.source} holds no annotations of First Impressions "
            "(annotation_training.pkl and so on); name their folder with --tables"
        )
    corpus.labels |= {name: {"kind": "scalar"} for name in LABELS}
    example = "J4GQm9j0JZ0.003.mp4"
    by_names(corpus, partial(_parse, clips), example, "First Impressions", settings.modality)
    there = {item["id"].removeprefix(f"{NAME}_") for item in corpus.items}
    absent = sorted(key for key, item in clips.items() if "split" in item and key not in there)
    if absent:
        corpus.lost["rated, but no recording is there"] += absent
    _leave_out_shared(corpus)
    return corpus


def _parse(clips: Clips, path: PurePosixPath) -> MediaFile | str | None:
    match = PATTERN.fullmatch(path.stem)
    if match is None:
        return None
    item = clips.get(path.stem, {})
    if "split" not in item:
        return "in no annotation"
    film = f"{NAME}_{match[1]}"
    return MediaFile(path.stem, role_of(path), {"speaker": film, "session": film, **item})


def _table(corpus: Corpus, settings: ManifestSettings, name: str) -> Path | None:
    path = find_table(name, settings.tables or settings.source)
    if path is not None:
        corpus.tables.append(path)
    return path


def _add_labels(clips: Clips, path: Path, split: str) -> None:
    found = plain_pickles.read(path)
    if not isinstance(found, dict) or not set(TRAITS) & found.keys():
        raise DataError(f"{path}: expected a dictionary of the traits {', '.join(TRAITS)}")
    for trait in LABELS:
        values = found.get(trait, {})
        if not isinstance(values, dict):
            raise DataError(f"{path}: {trait} is no dictionary of clips")
        for name, value in values.items():
            key = _key(path, name)
            item = clips.setdefault(key, {"labels": {}})
            if item.setdefault("split", split) != split:
                raise DataError(f"{path}: {name} is in another annotation, too ({item['split']})")
            number = _number(path, trait, name, value)
            if number is not None:
                item["labels"][trait] = number


def _add_texts(clips: Clips, path: Path) -> None:
    found = plain_pickles.read(path)
    if not isinstance(found, dict) or not all(isinstance(t, str) for t in found.values()):
        raise DataError(f"{path}: expected a dictionary of texts by clip")
    for name, text in found.items():
        clips.setdefault(_key(path, name), {"labels": {}})["text"] = text


def _key(path: Path, name: Any) -> str:
    if not isinstance(name, str) or not PATTERN.fullmatch(PurePosixPath(name).stem):
        raise DataError(f"{path}: {name!r} is no name of a clip, such as J4GQm9j0JZ0.003.mp4")
    return PurePosixPath(name).stem


def _number(path: Path, trait: str, name: str, value: Any) -> float | None:
    """None of NaN: not rated."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{path}: {trait} of {name} is {str(value)[:40]!r}, which is no number")
    if math.isnan(value):
        return None
    if not 0 <= value <= 1:
        raise DataError(f"{path}: {trait} of {name} is {value:g}; its scale is 0 to 1")
    return float(value)


def _leave_out_shared(corpus: Corpus) -> None:
    """The published splits divide clips, and may have one video in several: as a speaker it would
    be in training and in test, which `finetune` refuses."""
    splits: dict[str, set[str]] = defaultdict(set)
    for item in corpus.items:
        splits[item["session"]].add(item["split"])
    shared = sorted(film for film, of in splits.items() if len(of) > 1)
    for item in corpus.items:
        if item["session"] in shared:
            del item["speaker"]
    if shared:
        corpus.noted[SHARED] += [film.removeprefix(f"{NAME}_") for film in shared]
