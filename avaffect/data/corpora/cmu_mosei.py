"""CMU-MOSEI: opinions in videos of YouTube, in English, with sentiment and six emotions.

Zadeh, Liang, Poria, Cambria and Morency, "Multimodal language analysis in the wild: CMU-MOSEI
dataset and interpretable dynamic fusion graph", ACL 2018. The archive of raw files has whole
recordings, Audio/Full/WAV_16000/ID.wav and Videos/Full/Combined/ID.mp4, and their words,
Transcript/Segmented/Combined/ID.txt, in lines ID___CLIP___START___END___WORDS. Labels are in
CMU_MOSEI_Labels.csd of the CMU Multimodal SDK: for each recording intervals (N, 2) in seconds and
features (N, 7), sentiment from -3 to 3, then intensities from 0 to 3. The SDK's
cmu_mosei_std_folds.py lists the recordings of each split.
"""

from __future__ import annotations

import ast
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.data.corpora.common import (
    Corpus,
    MediaFile,
    by_names,
    emotion_classes,
    find_table,
    find_tables,
    role_of,
)
from avaffect.data.manifest import Item
from avaffect.data.store import containment
from avaffect.data.store.opening import DAMAGE, open_hdf5
from avaffect.data.tables.texts import read_text
from avaffect.settings.manifest import ManifestSettings

NAME = "cmu-mosei"
OPTIONS = ("tables", "modality", "encoding")
EXPECTED = 23453
LABELS, FOLDS = "CMU_MOSEI_Labels.csd", "cmu_mosei_std_folds.py"
GROUP = "All Labels"
INTENSITIES = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
SPLITS = {
    "standard_train_fold": "train", "standard_valid_fold": "development",
    "standard_test_fold": "test",
}  # fmt: skip
SEPARATOR = "___"
# Times of a segment in the labels and in the words are the same but for rounding.
APART_S = 0.02

# Start, end, and the seven numbers of a segment.
Segment = tuple[float, float, np.ndarray]


def read(settings: ManifestSettings) -> Corpus:
    """CMU-MOSEI below a folder; labels, folds and words from there or from `tables`.

    Labels: the scalars sentiment and of each emotion its intensity; emotion, the strongest,
    neutral where there is none, missing where several are equally strong.
    Raises DataError without the labels, or where they are damaged.
    """
    labels: dict[str, dict[str, Any]] = {
        "emotion": {"kind": "class", "classes": emotion_classes({*INTENSITIES, "neutral"})},
        **{name: {"kind": "scalar"} for name in ("sentiment", *INTENSITIES)},
    }
    corpus = Corpus(NAME, settings.source, labels, expected=EXPECTED)
    table = find_table(LABELS, settings.source, settings.tables)
    if table is None:
        raise DataError(
            f"{settings.source} has no {LABELS} of the CMU Multimodal SDK; name its folder with "
            f"--tables DIR{_other_labels(settings)}"
        )
    corpus.tables.append(table)
    segments = _segments(table)
    splits = _splits(corpus, settings)
    by_names(
        corpus, lambda path: _parse(segments, path), "Audio/Full/WAV_16000/ID.wav", "CMU-MOSEI",
        settings.modality,
    )  # fmt: skip
    words = _words(corpus, settings)
    whole, corpus.items = corpus.items, []
    for item in whole:
        name = item["id"].removeprefix(f"{NAME}_")
        corpus.items += _parts(corpus, item, segments.pop(name), splits.get(name), words.get(name))
    if segments:
        corpus.lost["labelled, but no recording is there"] += sorted(segments)
    return corpus


def _other_labels(settings: ManifestSettings) -> str:
    """Of the archive of raw files, whose tables have a row for each annotator: the published labels
    are not their mean, as annotators and utterances were left out."""
    found = find_tables(r"Labels/[^/]+\.csv", settings.tables or settings.source)
    if not found:
        return ""
    path = found[0][1]
    return f" (the answers of each annotator, such as {path}, are not the published labels)"


def _segments(path: Path) -> dict[str, list[Segment]]:
    """Recording -> its segments by their start. Raises DataError where the file is damaged."""
    found: dict[str, list[Segment]] = {}
    try:
        with open_hdf5(path) as (file, _):
            containment.check(path, file)
            for name, group in file[GROUP]["data"].items():
                times = np.asarray(group["intervals"], dtype=np.float64).reshape(-1, 2)
                values = np.asarray(group["features"], dtype=np.float64).reshape(len(times), -1)
                if values.shape[1] != 1 + len(INTENSITIES):
                    raise ValueError(
                        f"{name} has {count_of(values.shape[1], 'label')} a segment, not 7"
                    )
                rows = zip(times.tolist(), values)
                found[name] = sorted(((s, e, v) for (s, e), v in rows), key=lambda row: row[:2])
    except DAMAGE as error:
        raise DataError(f"{path} is damaged, or no {LABELS} ({error})") from error
    return found


def _parse(segments: dict[str, list[Segment]], path: PurePosixPath) -> MediaFile | str | None:
    if "Segmented" in path.parts:
        return "a part of another recording"
    if path.stem not in segments:
        return "without labels"
    return MediaFile(path.stem, role_of(path), {"session": f"{NAME}_{path.stem}"})


def _parts(
    corpus: Corpus, item: Item, segments: list[Segment], split: str | None,
    words: list[tuple[float, float, str]] | None,
) -> list[Item]:  # fmt: skip
    """An item for each segment of a recording."""
    found = []
    for number, (start, end, values) in enumerate(segments):
        name = f"{item['id']}_{number}"
        if not 0 <= max(start, 0.0) < end:
            corpus.lost["the end is not after the start"].append(name)
            continue
        text = next((t for s, e, t in words or () if abs(s - start) + abs(e - end) < APART_S), None)
        found.append({
            **item, "id": name, "start": max(start, 0.0), "end": end,
            **({"split": split} if split else {}), **({"text": text} if text else {}),
            "labels": _labels(values),
        })  # fmt: skip
    return found


def _labels(values: np.ndarray) -> dict[str, Any]:
    sentiment, *intensities = np.round(values, 6).tolist()
    labels = {"sentiment": sentiment, **dict(zip(INTENSITIES, intensities))}
    labels = {name: value for name, value in labels.items() if np.isfinite(value)}
    most = max(intensities)
    if most == 0:
        labels["emotion"] = "neutral"
    elif intensities.count(most) == 1:
        labels["emotion"] = INTENSITIES[intensities.index(most)]
    return labels


def _splits(corpus: Corpus, settings: ManifestSettings) -> dict[str, str]:
    """Recording -> split; the lists are read, and the program in which they stand is not run."""
    path = find_table(FOLDS, settings.source, settings.tables)
    if path is None:
        corpus.lost[f"no {FOLDS} (kept without splits)"].append(str(settings.source))
        return {}
    corpus.tables.append(path)
    found: dict[str, str] = {}
    try:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                split = SPLITS.get(node.targets[0].id)
                names = ast.literal_eval(node.value) if split else ()
                found |= {str(name): split for name in names if split}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(f"{path} has no lists of recordings ({error})") from error
    return found


def _words(corpus: Corpus, settings: ManifestSettings) -> dict[str, list[tuple[float, float, str]]]:
    """Recording -> start, end and words of its segments."""
    found: dict[str, list[tuple[float, float, str]]] = {}
    for _, path in find_tables(
        r"Segmented/Combined/[^/]+\.txt", settings.tables or settings.source
    ):
        corpus.tables.append(path)
        own = found.setdefault(path.stem, [])
        try:
            lines = read_text(path).splitlines()
        except DataError as error:
            corpus.lost[f"words that cannot be read (kept without them): {error}"].append(path.name)
            continue
        for line in lines:
            fields = line.split(SEPARATOR, 4)
            try:
                own.append((float(fields[2]), float(fields[3]), fields[4].strip()))
            except (IndexError, ValueError):
                corpus.lost[f"a line that is not ID{SEPARATOR}CLIP{SEPARATOR}START…"].append(
                    path.name
                )
    return found
