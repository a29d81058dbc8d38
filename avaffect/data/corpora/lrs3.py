"""LRS3-TED: sentences from TED and TEDx talks.

Afouras, Chung and Zisserman, "LRS3-TED: a large-scale dataset for visual speech recognition",
arXiv:1809.00496, 2018. pretrain, trainval and test hold a folder for each talk, with video files
that have audio and, beside each, a text file whose first line is "Text:  THE WORDS".
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath

from avaffect.data.corpora.common import Corpus, MediaFile, by_names, role_of
from avaffect.data.manifest import Item
from avaffect.settings.manifest import ManifestSettings

NAME = "lrs3"
OPTIONS = ()
SPLITS = {"pretrain": "train", "trainval": "train", "test": "test"}
PATTERN = re.compile(rf"({'|'.join(SPLITS)})/([^/]+)/(\d{{5}})")
TEXT = "Text:"


def read(settings: ManifestSettings) -> Corpus:
    """LRS3 below a folder. No labels. The speaker is the talk.

    Ids hold the part, since pretrain and trainval cut the same talks differently.
    """
    corpus = Corpus(NAME, settings.source, {})
    return by_names(corpus, partial(_parse, corpus), "trainval/0Fi83BHQsMA/00002.mp4", "LRS3")


def _parse(corpus: Corpus, path: PurePosixPath) -> MediaFile | None:
    match = PATTERN.fullmatch("/".join(path.with_suffix("").parts[-3:]))
    if match is None:
        return None
    part, talk, _ = match.groups()
    item: Item = {"speaker": f"{NAME}_{talk}", "split": SPLITS[part], "part": part, "labels": {}}
    text = _text(corpus, path)
    if text:
        item["text"] = text
    return MediaFile("_".join(match.groups()), role_of(path), item)


def _text(corpus: Corpus, path: PurePosixPath) -> str | None:
    beside = path.with_suffix(".txt")
    try:
        with (corpus.root / beside).open(encoding="utf-8", errors="replace") as stream:
            first = stream.readline()
    except (FileNotFoundError, NotADirectoryError):
        corpus.lost["no text beside the video (kept without it)"].append(str(path))
        return None
    if not first.startswith(TEXT):
        corpus.lost[f"the first line is not {TEXT!r} and words (kept without)"].append(str(beside))
        return None
    corpus.files.append(str(beside))
    return first.removeprefix(TEXT).strip()
