"""Published lists of the utterances of a part (train, test, a fold), read as they come.

A line names an utterance: an id, the path of its recording, or several of them with a class beside,
separated by blanks, commas, semicolons or tabs (HiCMAE's: folder of faces, sound, number of the
class). JSON, an object a line, a list of objects or a dictionary of them, as EmoBox writes them, is
read too: by key, id, wav, path, file or name. So is a list of such names.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core import plain_json
from avaffect.core.errors import DataError
from avaffect.core.inputs import named
from avaffect.core.nouns import count_of
from avaffect.data.items import audio_of, video_of
from avaffect.data.manifest import Manifest
from avaffect.data.tables.locating import with_slashes
from avaffect.data.tables.texts import nfc, read_text

KEYS = ("key", "id", "wav", "path", "file", "name")
_BETWEEN = re.compile(r"[\s,;|]+")


@dataclass(frozen=True)
class Parts:
    """parts: position of an item -> its part; unknown: part -> entries that no item is named by."""

    parts: dict[int, str]
    unknown: dict[str, list[str]] = field(default_factory=dict)


def read_parts(source: Manifest, lists: Mapping[str, Path]) -> Parts:
    """The part of each item that a list names; lists: part -> file.

    Raises DataError where an item is in two of the lists, an entry's name is that of several items,
    or a list names no item at all.
    """
    rows = _rows(source)
    found = Parts({})
    for part, path in lists.items():
        there = 0
        for entry, names in _entries(path):
            known = next((rows[name] for name in names if name in rows), [])
            if len(known) > 1:
                raise DataError(
                    f"{named(path)}: {entry} is the recording of "
                    f"{count_of(len(known), 'utterance')} of {source.name}; list their ids"
                )
            for row in known:
                there += 1
                if found.parts.setdefault(row, part) != part:
                    raise DataError(
                        f"{named(path)}: {source.items[row]['id']} is in the list of "
                        f"{found.parts[row]}, too"
                    )
            if not known:
                found.unknown.setdefault(part, []).append(entry)
        if not there:
            raise DataError(
                f"{named(path)} names none of the {count_of(len(source.items), 'utterance')} of "
                f"{source.name}, by id or by recording"
            )
    return found


def _rows(source: Manifest) -> dict[str, list[int]]:
    """Names of an item, its id, without the corpus too, and those of its recordings -> items."""
    found: dict[str, list[int]] = defaultdict(list)
    prefix = f"{source.header.corpus}_"
    ids = {item["id"] for item in source.items}
    for row, item in enumerate(source.items):
        paths = [path for path in (audio_of(item), video_of(item)) if path]
        names = {nfc(item["id"].removeprefix(prefix)), *(_stem(path) for path in paths)}
        # An id is never the name of another's recording.
        for name in (names - ids) | {item["id"]}:
            found[name].append(row)
    return found


def _entries(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each entry as it stands there, and the names that it may give, the likeliest first."""
    text = read_text(path)
    if text.lstrip()[:1] in ("{", "["):
        for shown, value in _objects(path, text):
            texts = [shown, *(str(value[key]) for key in KEYS if value.get(key))]
            yield shown, [name for one in texts for name in _names(one)]
        return
    for line in text.splitlines():
        if line.strip():
            parts = [line.strip(), *filter(None, _BETWEEN.split(line.strip()))]
            yield line.strip()[:80], [name for one in parts for name in _names(one)]


def _objects(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, (key, one) in enumerate(_held(path, text), start=1):
        if key is not None and not isinstance(one, (dict, list)):
            # A dictionary of classes, say: its keys are the names.
            one = {}
        if isinstance(one, str):
            one = {KEYS[0]: one}
        if not isinstance(one, dict):
            raise DataError(
                f"{named(path)}, entry {number}: {json.dumps(one)[:40]} names no utterance; an "
                f"entry is a name, or an object that has one as {', '.join(KEYS[:-1])} or "
                f"{KEYS[-1]}"
            )
        shown = key or next((str(one[key]) for key in KEYS if one.get(key)), "")
        yield shown or f"entry {number}", one


def _held(path: Path, text: str) -> list[tuple[str | None, Any]]:
    """Key, if it has one, and content of each entry of JSON, or of a JSON text a line."""
    try:
        whole = plain_json.parse(text)
    except ValueError:
        try:
            return [(None, plain_json.parse(line)) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise DataError(
                f"{named(path)} is neither JSON nor a list of names ({error})"
            ) from error
    if isinstance(whole, list):
        return [(None, one) for one in whole]
    # A single line is an entry itself.
    return [(None, whole)] if set(KEYS) & set(whole) else list(whole.items())


def _names(text: str) -> list[str]:
    name = PurePosixPath(with_slashes(text)).name
    return [nfc(name), _stem(text)]


def _stem(path: str) -> str:
    return nfc(PurePosixPath(with_slashes(path)).stem)
