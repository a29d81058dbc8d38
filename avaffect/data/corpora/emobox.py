"""EmoBox: lists of 32 corpora of emotional speech, with its folds and its map of labels.

Ma, Chen, Zhang, Zheng, Chen, Li, Ye, Chen and Hain, "EmoBox: Multilingual multi-corpus speech
emotion recognition toolkit and benchmark", Interspeech 2024. A checkout of
github.com/emo-box/EmoBox has data/NAME/NAME.jsonl, an utterance a line, with the path that it is
expected at, downloads/NAME/..., and its class; data/NAME/label_map.json, the classes under common
names; data/NAME/fold_1/NAME_test_fold_1.jsonl and likewise train and valid; and
data/NAME/data.seg.wrd.stm, the speakers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avaffect.core import plain_json
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.data.corpora.common import Corpus, emotion_classes
from avaffect.data.manifest import Item
from avaffect.data.tables import spellings
from avaffect.data.tables.locating import Files
from avaffect.settings.manifest import ManifestSettings

NAME = "emobox"
OPTIONS = ("root",)
SPLITS = {"train": "train", "valid": "development", "test": "test"}
# As its own recipes name them; lists called NAME_test_fold1.jsonl are of an earlier division.
_LIST = re.compile(r"\w+_(train|valid|test)_fold_(\d+)\.jsonl")
_SPOKEN = re.compile(r"(\S+)\s+\S+\s+(\S+)\s")
_ELSEWHERE = "the recording is not there"


def read(settings: ManifestSettings) -> Corpus:
    """The corpora of EmoBox that lie below `root`: of a checkout, its data, or data/NAME.

    Label: emotion, by EmoBox's map. Of a corpus with several folds an item has the fold that tests
    it, counted from 0; of a corpus with one, its split.
    Raises DataError without any list, or where none of the recordings is there.
    """
    lists = _lists(settings.source)
    root = settings.root or _checkout(settings.source)
    corpus = Corpus(NAME, root, {})
    files = Files(root)
    for path in lists:
        own = list(_of_corpus(corpus, files, path))
        corpus.items += own
        if not own:
            corpus.left_out["corpora that are not there"].append(path.parent.name)
            corpus.lost[_ELSEWHERE] = [
                name for name in corpus.lost[_ELSEWHERE] if not name.startswith(f"{path.stem}_")
            ]
    if not corpus.items:
        raise DataError(
            f"{root} has no recording of EmoBox, such as downloads/emodb/wav/03a01Fa.wav: name the "
            "folder that its paths start from with --root"
        )
    if not corpus.lost[_ELSEWHERE]:
        del corpus.lost[_ELSEWHERE]
    found = {item["labels"]["emotion"] for item in corpus.items if item["labels"]}
    corpus.labels["emotion"] = {"kind": "class", "classes": emotion_classes(found)}
    corpus.counted = ("corpus",)
    return corpus


def _lists(source: Path) -> list[Path]:
    if not source.is_dir():
        raise DataError(f"{source}: no such folder; name a checkout of EmoBox")
    for folder in (source / "data", source):
        found = sorted(p for p in folder.glob("*/*.jsonl") if p.stem == p.parent.name)
        if found:
            return found
    one = source / f"{source.resolve().name}.jsonl"
    if not one.is_file():
        raise DataError(f"{source} has no data/NAME/NAME.jsonl, as a checkout of EmoBox has")
    return [one]


def _checkout(source: Path) -> Path:
    """The folder above data."""
    whole = source.resolve()
    return next((p.parent for p in (whole, *whole.parents) if p.name == "data"), source)


def _of_corpus(corpus: Corpus, files: Files, path: Path) -> Iterator[Item]:
    folder, name = path.parent, path.stem
    classes = _classes(folder / "label_map.json")
    parts, folds = _parts(corpus, folder)
    speakers = _speakers(corpus, folder / "data.seg.wrd.stm")
    corpus.tables += [path, *(p for p in (folder / "label_map.json",) if p.is_file())]
    for number, row in _rows(path):
        try:
            key, wav, emotion = str(row["key"]), str(row["wav"]), str(row["emo"])
        except KeyError as error:
            raise DataError(f"{path}, line {number}: no {error}, which EmoBox has") from error
        identifier = f"{name}_{key.removeprefix(f'{name}-')}"
        media = files.find(wav)
        if media is None:
            corpus.lost[_ELSEWHERE].append(identifier)
            continue
        corpus.files.append(media)
        item: Item = {"id": identifier, "media": media, "corpus": name, "labels": {}}
        if key in speakers:
            item["speaker"] = f"{name}_{speakers[key]}"
        if classes is None:
            item["labels"]["emotion"] = spellings.common(emotion)
        elif emotion in classes:
            item["labels"]["emotion"] = classes[emotion]
        else:
            corpus.lost["its class is not in label_map.json (kept without)"].append(identifier)
        for ours, theirs in (("start", "start_time"), ("end", "end_time")):
            if isinstance(row.get(theirs), (int, float)) and row[theirs] > 0:
                item[ours] = float(row[theirs])
        if folds > 1 and key in parts["test"]:
            item["fold"] = parts["test"][key] - 1
        elif folds <= 1:
            split = next((split for split in SPLITS if key in parts[split]), None)
            item |= {"split": SPLITS[split]} if split else {}
        yield item


def _classes(path: Path) -> dict[str, str] | None:
    """EmoBox's class -> ours. None without a map: its classes are taken as they are spelled."""
    if not path.is_file():
        return None
    try:
        found = plain_json.parse(path.read_bytes())
        return {str(theirs): spellings.common(str(name)) for theirs, name in found.items()}
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path} is no map of labels ({error})") from error


def _parts(corpus: Corpus, folder: Path) -> tuple[dict[str, dict[str, int]], int]:
    """Part -> key -> fold, and the number of folds."""
    found: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    numbers = set()
    for path in sorted(folder.glob("fold_*/*.jsonl")):
        match = _LIST.fullmatch(path.name)
        if match is None:
            continue
        corpus.tables.append(path)
        numbers.add(int(match[2]))
        own = {str(row.get("key")): int(match[2]) for _, row in _rows(path)}
        if match[1] == "test" and own.keys() & found["test"].keys():
            again = sorted(own.keys() & found["test"].keys())
            raise DataError(f"{path}: {again[0]} and "
                            f"{count_of(len(again) - 1, 'other is', 'others are')} tested by fold "
                            f"{found['test'][again[0]]}, too")  # fmt: skip
        found[match[1]] |= own
    return found, len(numbers)


def _speakers(corpus: Corpus, path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    corpus.tables.append(path)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {match[1]: match[2] for match in map(_SPOKEN.match, lines) if match}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(Line, record). Raises DataError for what is no JSON object."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = plain_json.parse(line)
                if not isinstance(row, dict):
                    raise ValueError("no object")
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error})") from error
            yield number, row
