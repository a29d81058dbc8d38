"""Users' folders of recordings, whose labels and speakers are in the names of folders and files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.data.corpora.common import (
    KINDS,
    Corpus,
    Media,
    chosen,
    emotion_classes,
    fold_emotions,
    media_files,
    role_of,
)
from avaffect.data.corpora.table_options import mapping_of
from avaffect.data.manifest import Item
from avaffect.data.names import ids_of
from avaffect.data.tables import spellings
from avaffect.data.tables.texts import nfc
from avaffect.data.vocabulary import SPLITS
from avaffect.settings.manifest import ManifestSettings

NAME = "folder"
OPTIONS = ("layout", "map", "prefix", "modality")
# What {NAME} of a layout may be, besides a label.
PREFIXED = ("speaker", "session")
FIELDS = (*PREFIXED, "split", "sex", "age", "language")
RESERVED = ("id", "kind", "media", "labels", "start", "end", "fold")
TOKEN = re.compile(r"\{(?P<name>[^{}]*)\}|\*\*/?|\*|\?")
PLAIN = re.compile(r"[^\W\d][\w-]*")
Forms = dict[str, dict[str, list[str]]]
EXAMPLE = "'{emotion}/{speaker}_*'"


def read(settings: ManifestSettings) -> Corpus:
    """The recordings below the folder `settings.source`. Their ids are the names of the files, or
    their paths where two have one name.

    Sound and film of one path but for the suffix are one utterance. Recordings that do not fit
    `settings.layout` are lost, counted and listed. Raises DataError where none fits, UsageError for
    what is no layout.
    """
    corpus = Corpus(settings.prefix or settings.source.resolve().name, settings.source, {})
    forms: Forms = defaultdict(lambda: defaultdict(list))
    for name in media_files(corpus.root, corpus.lost):
        path = PurePosixPath(name)
        forms[path.with_suffix("").as_posix()][role_of(path)].append(name)
    if not forms:
        lost = "".join(f"; {why}: {names[0]}" for why, names in corpus.lost.items())
        raise DataError(f"{corpus.root} holds no audio and no video file{lost}")
    layout = _Layout(settings.layout or "**")
    found = _fitting(corpus, forms, layout, settings)
    mapping = mapping_of(settings.map)
    _add_items(corpus, found, mapping, settings.prefix)
    fold_emotions(corpus, mapping)
    for name in layout.labels:
        values = {item["labels"][name] for item in corpus.items if name in item["labels"]}
        corpus.labels[name] = {"kind": "class", "classes": emotion_classes(values)}
    if settings.layout is None:
        _suggest(corpus)
    return corpus


def _fitting(
    corpus: Corpus, forms: Forms, layout: _Layout, settings: ManifestSettings
) -> list[tuple[Media, dict[str, str]]]:
    """The media of each recording that fits, and what its path names. Raises DataError for none."""
    found, unfit = [], f"does not fit --layout {settings.layout!r}"
    for key in sorted(forms):
        named = layout.read(nfc(key))
        if named is None:
            corpus.lost[unfit].append(key)
            continue
        media, unused = chosen(forms[key], settings.modality)
        if unused:
            corpus.left_out["the same recording again, in another format"] += unused
        if media is None:
            corpus.left_out[f"without {KINDS[settings.modality]}"].append(key)
            continue
        corpus.files += [media] if isinstance(media, str) else list(media.values())
        found.append((media, named))
    if found:
        return found
    lost = corpus.lost[unfit]
    if len(lost) < len(forms):
        raise DataError(f"{corpus.root}: no recording has {KINDS[settings.modality]}")
    raise DataError(
        f"{corpus.root}: none of {count_of(len(forms), 'recording')} fits --layout "
        f"{settings.layout!r}; the first, without suffix, is {lost[0]!r}"
    )


def _add_items(
    corpus: Corpus,
    found: list[tuple[Media, dict[str, str]]],
    mapping: Mapping[str, str],
    prefix: str | None,
) -> None:
    paths = [PurePosixPath(media if isinstance(media, str) else media["audio"])
             for media, _ in found]  # fmt: skip
    _check_mapped(corpus, {text for _, named in found for text in named.values()}, mapping)
    splits = _splits(corpus, {named["split"] for _, named in found if "split" in named}, mapping)
    before = f"{prefix}_" if prefix else ""
    for identifier, (media, named) in zip(ids_of(paths), found, strict=True):
        item: Item = {"id": before + identifier, "media": media, "labels": {}}
        for name, text in named.items():
            meant = splits.get(text) if name == "split" else mapping.get(text, text)
            if not meant:
                continue
            if name in FIELDS:
                item[name] = before + meant if name in PREFIXED else meant
            else:
                item["labels"][name] = meant
        corpus.items.append(item)


class _Layout:
    """A pattern of paths with names in braces. Raises UsageError for what is none."""

    def __init__(self, text: str) -> None:
        self._names: list[str] = []
        expression, end = "", 0
        for token in TOKEN.finditer(text):
            expression += re.escape(text[end : token.start()]) + self._expression(text, token)
            end = token.end()
        rest = text[end:]
        if "{" in rest or "}" in rest or text.startswith("/"):
            raise UsageError(f"--layout {text}: expected a path in DIR such as {EXAMPLE}")
        self._pattern = re.compile(nfc(expression + re.escape(rest)))

    def _expression(self, text: str, token: re.Match[str]) -> str:
        name = token["name"]
        if name is None:
            return {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}[token[0]]
        if not PLAIN.fullmatch(name) or name in RESERVED:
            raise UsageError(
                f"--layout {text}: {{{name}}} is no name of a label or field; for example {EXAMPLE}"
            )
        small = name.lower()
        if name != small and small in (*FIELDS, "emotion"):
            raise UsageError(f"--layout {text}: {{{name}}} in small letters: {{{small}}}")
        if name in self._names:
            raise UsageError(f"--layout {text}: {{{name}}} is there twice")
        self._names.append(name)
        return "([^/]+?)"

    @property
    def labels(self) -> list[str]:
        return [name for name in self._names if name not in FIELDS]

    def read(self, path: str) -> dict[str, str] | None:
        """Name -> text of a path without suffix; None where it does not fit."""
        match = self._pattern.fullmatch(path)
        return None if match is None else dict(zip(self._names, match.groups(), strict=True))


def _splits(corpus: Corpus, found: set[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Spelling -> split. Raises DataError where a spelling needs --map."""
    splits, unknown = spellings.mapped_splits(sorted(found), mapping)
    if unknown:
        raise DataError(
            f"{corpus.root}: splits are {', '.join(SPLITS)}, and {{split}} of --layout is "
            f"{', '.join(unknown)}: assign them with {spellings.split_hint(unknown)}"
        )
    return splits


def _check_mapped(corpus: Corpus, spelled: set[str], mapping: Mapping[str, str]) -> None:
    unused = sorted(mapping.keys() - spelled)
    if unused:
        raise DataError(
            f"--map {unused[0]}={mapping[unused[0]]}: no path in {corpus.root} has {unused[0]!r} "
            f"where --layout has a name (there are: {', '.join(sorted(spelled)[:20]) or 'none'})"
        )


def _suggest(corpus: Corpus) -> None:
    """Without a layout, say what the names of folders might be."""
    parts = [PurePosixPath(name).parts for name in corpus.files]
    folders = sorted({part[0] for part in parts if len(part) == 2})
    if len(folders) > 1 and all(len(part) == 2 for part in parts):
        corpus.noted["no labels; --layout '{emotion}/*' takes the names of the folders as labels, "
                     "'{speaker}/*' as speakers"] = folders  # fmt: skip
