"""Speech Commands: single words of about a second, by thousands of volunteers.

Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", arXiv:1804.03209,
2018. A folder for each word; a file is SPEAKER_nohash_NUMBER: bed/0c40e715_nohash_0.wav. Version
0.01 has 30 words in 64,727 files, 0.02 has 35 in 105,829. validation_list.txt and testing_list.txt
name the files of these parts, which share no speaker; all others are for training.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, MediaFile, by_names, find_table, role_of
from avaffect.settings.manifest import ManifestSettings

NAME = "speech-commands"
OPTIONS = ("tables",)
LISTS = {"validation_list.txt": "development", "testing_list.txt": "test"}
NOISE = "_background_noise_"
PATTERN = re.compile(r"(?P<key>([a-z]+)/([0-9a-f]{8})_nohash_(\d+))\.wav")
EXPECTED = 64727
# Version 0.02 alone has these words.
ADDED = ("backward", "follow", "forward", "learn", "visual")
EXPECTED_2 = 105829


def read(settings: ManifestSettings) -> Corpus:
    """Speech Commands below a folder; the lists from there or from `tables`. Label: word.

    Without both lists items have no split.
    """
    corpus = Corpus(NAME, settings.source, {})
    paths = {n: find_table(n, settings.source, settings.tables) for n in LISTS}
    corpus.tables += [path for path in paths.values() if path is not None]
    absent = [name for name, path in paths.items() if path is None]
    splits = None if absent else _splits({path: LISTS[n] for n, path in paths.items() if path})
    by_names(corpus, partial(_parse, splits), "bed/0c40e715_nohash_0.wav", "Speech Commands")
    if absent:
        reason = f"no {' and no '.join(absent)} (kept without splits)"
        corpus.lost[reason].append(str(settings.source))
    words = {item["labels"]["word"] for item in corpus.items}
    corpus.labels["word"] = {"kind": "class", "classes": sorted(words)}
    corpus.expected = EXPECTED_2 if words & set(ADDED) else EXPECTED
    return corpus


def _splits(lists: dict[Path, str]) -> dict[str, str]:
    """The split of each listed file, as WORD/NAME without suffix."""
    found: dict[str, str] = {}
    for path, split in lists.items():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            match = PATTERN.fullmatch(line.strip())
            if match is None:
                raise DataError(
                    f"{path}, line {number}: expected a file such as bed/0c40e715_nohash_0.wav, "
                    f"found {line.strip()[:40]!r}"
                )
            found[match["key"]] = split
    return found


def _parse(splits: dict[str, str] | None, path: PurePosixPath) -> MediaFile | str | None:
    if path.parent.name == NOISE:
        return "background noise"
    match = PATTERN.fullmatch("/".join(path.parts[-2:]))
    if match is None:
        return None
    key, word, speaker, number = match.groups()
    item = {"speaker": f"{NAME}_{speaker}", "labels": {"word": word}, "text": word}
    if splits is not None:
        item["split"] = splits.get(key, "train")
    return MediaFile(f"{word}_{speaker}_{number}", role_of(path), item)
