"""LRW, Lip Reading in the Wild: 500 words cut from news of the BBC, 29 pictures around each.

Chung and Zisserman, "Lip Reading in the Wild", ACCV 2016. A recording is WORD/PART/WORD_NUMBER, in
lipread_mp4/ABOUT/train/ABOUT_00001.mp4. Speakers are unknown.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath

from avaffect.core.errors import DataError, UsageError
from avaffect.data.corpora.common import Corpus, MediaFile, by_names, role_of
from avaffect.data.faces.pose import WITHIN, Poses, read_poses
from avaffect.settings.manifest import ManifestSettings

NAME = "lrw"
OPTIONS = ("poses", "within", "encoding")
EXPECTED = 538766
SPLITS = {"train": "train", "val": "development", "test": "test"}
PATTERN = re.compile(rf"([^/]+)/({'|'.join(SPLITS)})/(\1_\d{{5}})")


def read(settings: ManifestSettings) -> Corpus:
    """LRW below a folder. Label: word, as the corpus spells it. No speakers.

    `poses` keeps the recordings whose yaw, pitch and roll are all `within` so many degrees.
    """
    corpus = Corpus(NAME, settings.source, {}, expected=EXPECTED)
    within = WITHIN if settings.within is None else settings.within
    if settings.poses is None and settings.within is not None:
        raise UsageError("--within needs --poses TABLE.csv, the head poses")
    poses = None
    if settings.poses is not None:
        poses = read_poses(settings.poses)
        corpus.tables.append(settings.poses)
    parse = partial(_parse, poses, within)
    try:
        by_names(corpus, parse, "ABOUT/train/ABOUT_00001.mp4", "LRW")
    except DataError as error:
        if not corpus.left_out:
            raise
        reasons = ", ".join(f"{len(names)} {reason}" for reason, names in corpus.left_out.items())
        raise DataError(
            f"{settings.poses} leaves no recording of {corpus.root}: {reasons}"
        ) from error
    words = sorted({item["labels"]["word"] for item in corpus.items})
    corpus.labels["word"] = {"kind": "class", "classes": words}
    return corpus


def _parse(poses: Poses | None, within: float, path: PurePosixPath) -> MediaFile | str | None:
    match = PATTERN.fullmatch("/".join(path.with_suffix("").parts[-3:]))
    if match is None:
        return None
    word, part, name = match.groups()
    key = f"{part}_{name}"
    if poses is not None:
        pose = poses.of(f"{NAME}_{key}", str(path))
        if pose is None:
            return f"without a pose in {poses.path.name}"
        if not pose.within(within):
            return f"turned by more than {within:g} degrees"
    item = {"split": SPLITS[part], "labels": {"word": word}, "text": word}
    return MediaFile(key, role_of(path), item)
