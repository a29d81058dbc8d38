"""Aff-Wild2: videos from the web, with valence and arousal rated for each picture, and one of eight
expressions.

Kollias and Zafeiriou, "Expression, Affect, Action Unit Recognition: Aff-Wild2, Multi-Task Learning
and ArcFace", BMVC 2019. The form of the ABAW challenges is read: videos in any folders
(batch1/video1.mp4, batch2/10-60-1280x720.mp4), and
annotations/VA_Estimation_Challenge/Train_Set/video1.txt (or Validation_Set; in the first release
VA_Set/Train_Set): a line valence,arousal, then one for each picture of the video, where -5 means
that it was not rated. EXPR_Classification_Challenge/Train_Set/video1.txt has a line of the names of
expressions, Neutral,Anger,...,Other, then the number of one, from 0, for each picture, where -1
means that there is none. Of two people in one video each has a file, video5_left.txt and
video5_right.txt. The two challenges divide the videos in different ways.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, Media, MediaFile, by_names, find_tables, role_of
from avaffect.data.corpora.traces import add_traces, evenly
from avaffect.data.tables.texts import read_text
from avaffect.data.trace_files import TraceFile, read_trace_file
from avaffect.settings.manifest import ManifestSettings

NAME = "aff-wild2"
OPTIONS = ("tables", "modality", "encoding")
RATE_HZ = 30.0
UNKNOWN = -5.0
LARGEST = 1.0
SPLITS = {"Train_Set": "train", "Validation_Set": "development"}
LABELS = ("valence", "arousal")
EXPRESSION = "expression"
TABLE = rf"(?P<of>VA|EXPR)_[^/]+/(?P<set>{'|'.join(SPLITS)})/(?P<name>[^/]+)\.txt"
ONE_OF_TWO = re.compile(r".+_(left|right)")
TWO_PEOPLE = "rates one of two people in the video, whose faces cannot be assigned"


def read(settings: ManifestSettings) -> Corpus:
    """Aff-Wild2 below a folder; its annotations from there or from `tables`.

    Traces: valence, arousal and expression, a class over time, at 30 values a second by the frame
    rate in each video's header. The speaker is the video. Videos in no set have no labels and no
    split; of one in different sets of the two challenges the split is that of valence and arousal,
    unless `tables` names the other alone. Raises DataError where there is no annotation at all.
    """
    corpus = Corpus(NAME, settings.source, {})
    splits: dict[str, str] = {}
    paths, expressions = _tables(corpus, settings.tables or settings.source, splits)
    by_names(corpus, partial(_parse, splits), "video1.mp4", "Aff-Wild2", settings.modality)
    files = {}
    for item in corpus.items:
        if item["film"] in paths:
            files[item["film"]] = _frames(corpus, paths[item["film"]], item["media"])
    for label in LABELS:
        having = {
            key: replace(file, columns={label: file.columns[label]}) for key, file in files.items()
        }
        found = add_traces(corpus, label, having, RATE_HZ, raters=False) if having else {}
        for item in corpus.items:
            if item["film"] in found:
                item["labels"][label] = found[item["film"]]
    for item in corpus.items:
        if item["film"] in expressions:
            values = _expressions(corpus, expressions[item["film"]], item["media"])
            item["labels"][EXPRESSION] = values
    rated = paths.keys() | expressions.keys()
    for name in sorted(rated - {item["film"] for item in corpus.items}):
        corpus.lost["rated, but the video is not there"].append(name)
    return corpus


def _parse(splits: dict[str, str], path: PurePosixPath) -> MediaFile:
    item: dict[str, Any] = {"speaker": f"{NAME}_{path.stem}", "labels": {}, "film": path.stem}
    if path.stem in splits:
        item["split"] = splits[path.stem]
    return MediaFile(path.stem, role_of(path), item)


def _tables(
    corpus: Corpus, folder: Path, splits: dict[str, str]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Name of the video -> its table of valence and arousal, and of expressions. splits: filled
    with the set of each."""
    found: dict[str, dict[str, Path]] = {"VA": {}, "EXPR": {}}
    # Those of valence and arousal last: their sets are the splits.
    for match, path in sorted(find_tables(TABLE, folder), key=lambda pair: pair[0]["of"]):
        paths = found[match["of"]]
        name = match["name"]
        if ONE_OF_TWO.fullmatch(name):
            corpus.left_out[TWO_PEOPLE].append(name)
            continue
        other = paths.setdefault(name, path)
        if other != path:
            raise DataError(
                f"{other} and {path} are of one video; name the folder of one with --tables"
            )
        split = SPLITS[match["set"]]
        if splits.setdefault(name, split) != split:
            corpus.lost["in another set of expressions than of valence and arousal"].append(name)
            splits[name] = split
    if not any(found.values()):
        raise DataError(
            f"{folder} holds no annotations of Aff-Wild2, files like "
            "VA_Estimation_Challenge/Train_Set/video1.txt; name their folder with --tables"
        )
    corpus.tables += [*found["VA"].values(), *found["EXPR"].values()]
    return found["VA"], found["EXPR"]


def _expressions(corpus: Corpus, path: Path, media: Media) -> list[int | None]:
    """The class of each picture, by its number, at RATE_HZ: that of the nearest picture.

    Raises DataError where the file is of another form, or has other classes than those before.
    """
    names, *lines = read_text(path).split() or [""]
    classes = tuple(name.lower() for name in names.split(","))
    described = {"kind": "trace", "rate_hz": RATE_HZ, "classes": list(classes)}
    if corpus.labels.setdefault(EXPRESSION, described) != described:
        raise DataError(f"{path}: its expressions are {names}, others than in the files before")
    try:
        numbers = [int(line) for line in lines]
    except ValueError:
        numbers = [len(classes)]
    if max(numbers, default=0) >= len(classes) or len(classes) < 2:
        raise DataError(f"{path}: expected the names of expressions, then a number on each line")
    rate = _rate_of(corpus, media)
    nearest = np.floor(np.arange(len(numbers) * RATE_HZ // rate) * (rate / RATE_HZ) + 0.5)
    shown = [numbers[min(int(place), len(numbers) - 1)] for place in nearest]
    return [number if number >= 0 else None for number in shown]


def _frames(corpus: Corpus, path: Path, media: Media) -> TraceFile:
    """The values of each picture at its time in the video, on even times; -5 is NaN."""
    file = read_trace_file(path, rate_hz=_rate_of(corpus, media))
    if not set(LABELS) <= file.columns.keys():
        raise DataError(f"{path}: expected the columns {' and '.join(LABELS)}")
    rated = {name: np.where(v == UNKNOWN, np.nan, v) for name, v in file.columns.items()}
    known = {name: np.where(np.abs(v) > LARGEST, np.nan, v) for name, v in rated.items()}
    if any((np.abs(v) > LARGEST).any() for v in rated.values()):
        corpus.lost[f"values beyond -{LARGEST:g}..{LARGEST:g} (unknown there)"].append(path.name)
    return evenly(replace(file, columns=known), RATE_HZ)


def _rate_of(corpus: Corpus, media: Media) -> float:
    """Pictures a second of a video; RATE_HZ, counted, where its header has none."""
    film = media if isinstance(media, str) else media["video"]
    rate = _frame_rate(corpus.root / film)
    reason = f"frame rate not found ({RATE_HZ:g} a second assumed)"
    if rate is None and film not in corpus.lost[reason]:
        corpus.lost[reason].append(film)
    if not corpus.lost[reason]:
        del corpus.lost[reason]
    return rate or RATE_HZ


def _frame_rate(path: Path) -> float | None:
    """Pictures a second, from the video's header."""
    from avaffect.data.decoding.unusable import Unusable, opened

    try:
        with opened(path) as container:
            rate = next((s.average_rate for s in container.streams.video), None)
    except Unusable:
        return None
    return float(rate) if rate else None
