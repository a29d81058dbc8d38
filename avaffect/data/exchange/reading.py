"""From utterances in a format of another program to a corpus, by the options of `manifest`."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core import plain_json
from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, emotion_classes
from avaffect.data.corpora.table_options import mapping_of, pairs, refuse_two_kinds
from avaffect.data.manifest import Item, check_id
from avaffect.data.tables import spellings
from avaffect.data.tables.locating import Files
from avaffect.data.tables.numerals import is_missing

EMOTION = "emotion"
# Beside what `export` wrote: its provenance, and the kinds of its labels.
MARK = "avaffect-export.json"
# Fields that an item has under a key of its own, with any format.
FIELDS = ("speaker", "session", "split")
_OF_SOUND = ("audio_channels", "audio_track")
_RESERVED = ("kind", "id", "media", "labels", "start", "end", "lost")


@dataclass
class Found:
    """Utterances on their way to items.

    name: of the format; root: folder that paths start from; tables: files that were read;
    labels: described by the format, by name.
    """

    settings: Any
    name: str
    root: Path
    tables: list[Path]
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: list[tuple[Item, dict[str, Any]]] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def lose(self, reason: str, name: str) -> None:
        """An utterance that cannot become an item."""
        self.lost[reason].append(name)

    def add(
        self, identifier: str, media: str | dict[str, str], start: float | None,
        end: float | None, values: dict[str, Any],
    ) -> None:  # fmt: skip
        """values: all that is known of it, by name. An utterance of a recording that is not there,
        or whose end is not after its start, is lost. Raises DataError for an id with a control
        character."""
        check_id(identifier, str(self.settings.source))
        item: Item = {"id": identifier, "media": media}
        if start:
            item["start"] = start
        if end is not None:
            item["end"] = end
            if not math.inf > end > (start or 0.0) >= 0:
                self.lose("the end is not after the start", identifier)
                return
        self.items.append((item, values))


def of_channels(channels: str | None) -> dict[str, str]:
    """The values of an utterance that is of these channels, None: of all."""
    return {} if channels is None else {"audio_channels": channels}


def corpus_of(found: Found) -> Corpus:
    """The corpus of what was found.

    Values become labels where --label, --scalar or the format says so, or they are called emotion;
    others are fields.
    Raises DataError where nothing is left, or --map or an option names what nothing has.
    """
    settings = found.settings
    reading = _Reading.of(found)
    corpus = Corpus(settings.prefix or found.name, settings.root or found.root, {})
    corpus.tables, corpus.lost, corpus.left_out = found.tables, found.lost, found.left_out
    files = Files(corpus.root)
    for item, values in found.items:
        if _locate(corpus, files, item, settings.no_check_media):
            try:
                reading.fill(item, values, corpus.lost)
            except DataError as error:
                raise DataError(f"{settings.source}: {str(error)[:300]}") from error
            corpus.items.append(item)
    if settings.root is None:
        _rebase(corpus)
    _finish(corpus, found, reading.kinds)
    unused = sorted(reading.mapping.keys() - reading.spelled)
    if unused:
        raise DataError(f"{settings.source} has no class {', '.join(unused)} to map; it has: "
                        f"{', '.join(sorted(reading.spelled)) or 'none'}")  # fmt: skip
    return corpus


@dataclass
class _Reading:
    """The options, with what the format says of itself.

    labels: name -> column; kinds: name -> description of all labels; fields: name -> column of
    --field; types: those of fields, where an export says them; spelled: classes that were found.
    """

    labels: dict[str, str]
    kinds: dict[str, dict[str, Any]]
    fields: dict[str, str]
    types: dict[str, str] | None
    mapping: dict[str, str]
    prefix: str
    spelled: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, found: Found) -> _Reading:
        settings = found.settings
        mapping = mapping_of(settings.map)
        labels, scalars = pairs(settings.label, "--label"), pairs(settings.scalar, "--scalar")
        fields = pairs(settings.field, "--field")
        refuse_two_kinds({"--label": labels, "--scalar": scalars})
        _check_named(found, {**labels, **scalars, **fields})
        given = {*labels.values(), *scalars.values()}
        said = {name: facts for name, facts in _described(found).items() if name not in given}
        kinds = {
            **said,
            **{name: {"kind": "class"} for name in labels},
            **{name: {"kind": "scalar"} for name in scalars},
        }
        columns = {**{name: name for name in said}, **labels, **scalars}
        prefix = f"{settings.prefix}_" if settings.prefix else ""
        return cls(columns, kinds, fields, mark_of(found).get("fields"), mapping, prefix)

    def fill(self, item: Item, values: dict[str, Any], lost: dict[str, list[str]]) -> None:
        """Labels and fields of an item from its values."""
        item["id"] = self.prefix + item["id"]
        item["labels"] = {}
        _join_shares(item, values, self.kinds)
        for name, column in self.labels.items():
            kind = self.kinds[name]["kind"]
            if kind == "class" and column in values:
                self.spelled.add(str(values[column]))
            _label(item, name, kind, values.get(column), self.mapping)
        # Whatever --field names: without them it would be another sound.
        item |= {name: values[name] for name in _OF_SOUND if values.get(name) not in (None, "")}
        used = {*self.labels.values()}
        fields = self.fields or {column: column for column in values if column not in used}
        for name, column in fields.items():
            value = values.get(column)
            if isinstance(value, (list, dict)):
                lost[f"{name} is no text or number (kept without it)"].append(item["id"])
            elif self.types is None or column in self.types:
                _field(item, name, _as(value, (self.types or {}).get(column)), self.prefix)


def _described(found: Found) -> dict[str, dict[str, Any]]:
    """Labels by the format, by the mark of an export beside it, or by their values: shares by class
    are a distribution; emotion is a class."""
    labels = {EMOTION: {"kind": "class"}, **found.labels, **mark_of(found).get("labels", {})}
    for _, values in found.items:
        for name, value in values.items():
            if isinstance(value, dict) and name not in labels:
                labels[name] = {"kind": "distribution"}
    return labels


def _join_shares(item: Item, values: dict[str, Any], described: dict[str, dict[str, Any]]) -> None:
    """Columns NAME.CLASS as one distribution. Raises DataError for what is no number."""
    for name, facts in described.items():
        columns = {f"{name}.{part}": part for part in facts.get("classes", ())}
        own = {part: values.pop(column, None) for column, part in columns.items()}
        known = {part: value for part, value in own.items() if value not in (None, "")}
        if facts["kind"] == "distribution" and known:
            try:
                values[name] = {part: float(value) for part, value in known.items()}
            except (TypeError, ValueError) as error:
                raise DataError(f"{item['id']}: {name} has {error}") from error


def mark_of(found: Found, *, of_a_file: bool = False) -> dict[str, Any]:
    """What the mark of an export says of the source, a folder: labels, and fields with their types.
    of_a_file: also of a file of such a folder."""
    source = found.settings.source
    path = (source if source.is_dir() else source.parent) / MARK
    if not path.is_file() or (source.is_file() and not of_a_file):
        return {}
    try:
        mark = plain_json.parse(path.read_bytes())
        {**mark["labels"], **mark["fields"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it") from error
    return dict(mark)


def _as(value: Any, kind: str | None) -> Any:
    """A text as the number that it was."""
    try:
        return {"int": int, "float": float}.get(kind or "", lambda same: same)(value)
    except (TypeError, ValueError):
        return value


def _rebase(corpus: Corpus) -> None:
    """Paths from the folder that all recordings are in, where some are outside of the root."""
    if not any(path.startswith("../") for path in corpus.files):
        return
    old = corpus.root.resolve()
    root = Path(os.path.commonpath([os.path.normpath((old / p).parent) for p in corpus.files]))

    def moved(path: str) -> str:
        return Path(os.path.relpath(os.path.normpath(old / path), root)).as_posix()

    corpus.root, corpus.files = root, [moved(path) for path in corpus.files]
    for item in corpus.items:
        media = item["media"]
        item["media"] = (
            {role: moved(path) for role, path in media.items()}
            if isinstance(media, dict)
            else moved(media)
        )


def _check_named(found: Found, named: dict[str, str]) -> None:
    have = {name for _, values in found.items for name in values}
    for name, column in named.items():
        if found.items and column not in have:
            raise DataError(f"{found.settings.source} has no {column!r} for {name}; it has: "
                            f"{', '.join(sorted(have)) or 'nothing'}")  # fmt: skip


def _locate(corpus: Corpus, files: Files, item: Item, unchecked: bool) -> bool:
    """Make the paths of an item relative; whether its recordings are there."""
    media, paths = item["media"], {}
    for role, name in (media if isinstance(media, dict) else {"": media}).items():
        there = files.find(name)
        if there is None and not unchecked:
            corpus.lost["the recording is not there"].append(name)
            return False
        path = there or name
        path = os.path.relpath(path, corpus.root.resolve()) if os.path.isabs(path) else path
        paths[role] = PurePosixPath(path).as_posix()
    corpus.files += paths.values()
    item["media"] = paths.get("", paths)
    return True


def _label(item: Item, name: str, kind: str, value: Any, mapping: dict[str, str]) -> None:
    if value is None or (isinstance(value, str) and is_missing(value)):
        return
    if kind == "class":
        value = mapping.get(str(value), str(value))
        if name == EMOTION and value not in mapping.values():
            value = spellings.canonical(value)
    elif kind == "scalar":
        try:
            value = float(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"{item['id']}: {name} is {value!r}, which is no number") from error
        if not math.isfinite(value):
            return
    elif kind == "distribution" and not _is_shares(value):
        raise DataError(f"{item['id']}: {name} is {value!r}; expected a number for each class")
    if value != "":
        item["labels"][name] = value


def _is_shares(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, (int, float)) for v in value.values())


def _field(item: Item, name: str, value: Any, prefix: str) -> None:
    if (
        name in _RESERVED
        or value is None
        or value == ""
        or not isinstance(value, (str, int, float))
    ):
        return
    if name == "split":
        known = spellings.splits_of([str(value)])
        if not known:
            raise DataError(f"{item['id']}: its split is {value!r}; splits are train, development "
                            "and test")  # fmt: skip
        value = known[str(value)]
    item[name] = prefix + str(value) if name in ("speaker", "session") else value


def _finish(corpus: Corpus, found: Found, labels: dict[str, dict[str, Any]]) -> None:
    """Describe the labels. Raises DataError for an id that occurs twice, or without any item."""
    if not corpus.items:
        why = "; ".join(f"{reason}: {len(names)}" for reason, names in corpus.lost.items())
        raise DataError(f"{found.settings.source} has no usable utterance{why and f' ({why})'}; "
                        f"paths start from {corpus.root} (--root)")  # fmt: skip
    for name, facts in labels.items():
        values = [item["labels"][name] for item in corpus.items if name in item["labels"]]
        if not values:
            continue
        if facts["kind"] == "class":
            there = {str(value) for value in values}
            declared = [name for name in facts.get("classes", ()) if name in there]
            classes = declared if len(declared) == len(there) else emotion_classes(there)
            facts = {"kind": "class", "classes": classes}
        if facts["kind"] == "distribution":
            classes = facts.get("classes") or emotion_classes({n for v in values for n in v})
            facts = {"kind": "distribution", "classes": list(classes)}
        corpus.labels[name] = facts
    seen: set[str] = set()
    for item in corpus.items:
        if item["id"] in seen:
            raise DataError(f"{found.settings.source}: the id {item['id']} occurs twice")
        seen.add(item["id"])
