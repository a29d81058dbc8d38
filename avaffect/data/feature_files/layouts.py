"""Layouts of tables of features: ids, times, features, and other columns that tools write.

OpenFace 2: frame, face_id, timestamp, confidence, success, then features. Py-Feat: FaceRect...,
FaceScore, features, input, frame. LibreFace: frame_idx, frame_time_in_ms, features,
facial_expression. openSMILE: name;frameTime;features, or, of its Python package, file, start, end,
features.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.streams import FEATURES, FUNCTIONALS, MEAN
from avaffect.data.embeddings import EMBEDDING
from avaffect.data.filtering import Condition
from avaffect.data.tables.numerals import as_float
from avaffect.data.tables.reader import plain_name
from avaffect.data.tables.texts import nfc
from avaffect.data.trace_files import TIME_NAMES

# Names without capitals, blanks and signs, in the order in which they are looked for.
ID_NAMES = (
    "id", "utteranceid", "uttid", "utterance", "utt", "file", "filename", "name", "instancename",
    "instance", "recording", "clip", "videoid", "video", "segmentid", "segment", "input",
)  # fmt: skip
FRAME_NAMES = ("frame", "frameidx", "frameindex", "frameid", "framenumber", "frameno", "framenr")
MILLISECONDS = ("frametimeinms", "timeinms", "timems", "timestampms", "frametimems")
# Labels and metadata: as features they would tell a model what it shall learn.
ABOUT = (
    "label", "labels", "class", "classid", "target", "targets", "gold", "groundtruth", "emotion",
    "emotions", "emo", "speaker", "speakerid", "spk", "subject", "subjectid", "actor", "actorid",
    "session", "sessionid", "split", "fold", "partition", "sex", "gender",
)  # fmt: skip
# Names of vectors, of which `export` makes columns such as mean_0.
EXPORTED = (FUNCTIONALS, MEAN, EMBEDDING, FEATURES)
# Of the index that pandas writes.
UNNAMED = ("", "unnamed0", "index")


@dataclass(frozen=True)
class Tool:
    """A tool whose tables are recognised by some columns. beside: those that hold no features."""

    name: str
    signs: frozenset[str]
    beside: tuple[str, ...]
    time: str | None = None


TOOLS = (
    Tool("openface", frozenset({"confidence", "success"}),
         ("frame", "faceid", "timestamp", "confidence", "success"), "timestamp"),
    Tool("py-feat", frozenset({"facerectx", "facescore"}),
         ("facerect*", "facescore", "frame", "input", "approxtime", "frameheight", "framewidth",
          "framepadding*", "identity", "identity[0-9]*")),
    Tool("libreface", frozenset({"frameidx", "frametimeinms"}),
         ("frameidx", "frametimeinms", "facialexpression"), "frametimeinms"),
    Tool("opensmile", frozenset({"name", "frametime"}),
         ("name", "frameindex", "frametime"), "frametime"),
    Tool("opensmile", frozenset({"file", "start", "end"}), ("file", "start", "end"), "start"),
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """Columns by the user's options: patterns of those to take and to leave out, the columns of ids
    and of times, and conditions on rows. None: recognised by name. labels: names of the labels that
    the utterances have elsewhere."""

    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    id_column: str | None = None
    time_column: str | None = None
    where: tuple[Condition, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Places of a table's columns.

    features: names of the columns of features, at `places`; ids, times, frames: places of the
    columns of ids, times and frame numbers; unit_s: seconds in a unit of time; beside: names of
    columns that are left out; conditions: with the place of each one's column.
    """

    tool: str | None
    features: tuple[str, ...]
    places: tuple[int, ...]
    ids: int | None
    times: int | None
    frames: int | None
    unit_s: float
    beside: tuple[str, ...]
    conditions: tuple[tuple[int, Condition], ...]


def layout_of(path: Path, names: Sequence[str], wanted: Wanted) -> Layout:
    """The layout of a table by the names of its columns.

    Raises DataError where columns have no names, two have one, a wanted one is missing, or none
    holds features.
    """
    plain = [plain_name(name) for name in names]
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise DataError(f"{path} has {count_of(names.count(twice[0]), 'column')} with the name "
                        f"{twice[0]!r}; "
                        "rename all but one")  # fmt: skip
    _check_named(path, names)
    tool = next((tool for tool in TOOLS if tool.signs <= set(plain)), None)
    ids = _named(path, names, wanted.id_column)
    if ids is None:
        ids = _first(plain, ID_NAMES)
    times = _named(path, names, wanted.time_column)
    if times is None:
        own = () if tool is None or tool.time is None else (tool.time,)
        times = _first(plain, (*own, *TIME_NAMES, *MILLISECONDS))
    frames = _first(plain, FRAME_NAMES)
    if times is not None and plain[times] in FRAME_NAMES:
        frames, times = times, None
    if ids is None and times is None and frames is None and plain[0] in UNNAMED:
        ids = 0
    aside = {place for place in (ids, times, frames) if place is not None}
    aside |= {place for place, name in enumerate(plain) if name in UNNAMED}
    patterns = () if tool is None else tool.beside
    aside |= {k for k, name in enumerate(plain) if any(fnmatchcase(name, p) for p in patterns)}
    # Features of a known tool may be called as labels are: Py-Feat has anger and happiness.
    about = {*ABOUT, *map(plain_name, wanted.labels if tool is None else ())}
    aside |= {place for place, name in enumerate(plain) if name in about}
    aside |= {*range(_beside_exported(names))}
    places = _chosen(path, names, aside, wanted)
    return Layout(
        tool=None if tool is None else tool.name,
        features=tuple(names[place] for place in places),
        places=places,
        ids=ids,
        times=times,
        frames=frames,
        unit_s=1e-3 if times is not None and plain[times] in MILLISECONDS else 1.0,
        beside=tuple(names[place] for place in sorted(aside - {*places, ids}) if names[place]),
        conditions=tuple((_place(path, names, one.field), one) for one in wanted.where),
    )


def _beside_exported(names: Sequence[str]) -> int:
    """How many columns come before those of vectors, in a table of `export`: the id, and labels and
    fields, which may be numbers. 0 of other tables."""
    stem, _, last = names[-1].rpartition("_")
    count = int(last) + 1 if last.isdecimal() and len(last) < 7 else 0
    own = [f"{stem}_{number}" for number in range(count)]
    is_exported = stem in EXPORTED and names[0] == "id" and own == [*names[-count:]]
    return len(names) - count if is_exported else 0


def _check_named(path: Path, names: Sequence[str]) -> None:
    """Raises DataError where the first line is a row: numbers, but for an id. Whole numbers that
    grow are names: columns are counted, or called by their frequencies."""
    numbers = [_number(name) for name in names]
    if None in (*numbers[1:], numbers[-1]):
        return
    known = [number for number in numbers if number is not None]
    grow = all(left < right for left, right in pairwise(known))
    if not grow or any(map(_is_fraction, known)):
        raise DataError(
            f"{path} has numbers in its first line ({_some(names, 4)}), which must name the columns"
        )


def _number(name: str) -> float | None:
    try:
        return as_float(name.replace(",", "."))
    except ValueError:
        return None


def _is_fraction(number: float) -> bool:
    return math.isfinite(number) and number % 1 > 0


def _chosen(path: Path, names: Sequence[str], aside: set[int], wanted: Wanted) -> tuple[int, ...]:
    """Places of the columns of features, in the table's order."""
    places = [place for place, name in enumerate(names) if name]
    if wanted.columns:
        patterns = [nfc(pattern) for pattern in wanted.columns]
        for pattern in patterns:
            if not any(fnmatchcase(names[place], pattern) for place in places):
                raise DataError(f"{path} has no column like {pattern!r} (it has: {_some(names)})")
        places = [k for k in places if any(fnmatchcase(names[k], p) for p in patterns)]
    else:
        places = [place for place in places if place not in aside]
    left_out = [nfc(pattern) for pattern in wanted.exclude]
    places = [k for k in places if not any(fnmatchcase(names[k], p) for p in left_out)]
    if not places:
        raise DataError(f"{path} has no column of features (it has: {_some(names)})")
    return tuple(places)


def like(path: Path, found: Layout, first: Layout, first_path: Path) -> Layout:
    """A later file's layout, with the features in the order of the first file's.

    Raises DataError where the features differ.
    """
    if found.features == first.features:
        return found
    place_of = dict(zip(found.features, found.places))
    lacking = [name for name in first.features if name not in place_of]
    further = [name for name in found.features if name not in set(first.features)]
    if lacking or further:
        differing = f"lacks {_some(lacking)}" if lacking else f"has {_some(further)} besides"
        raise DataError(
            f"{path} and {first_path} hold different features: {len(found.features)} and "
            f"{len(first.features)}; {path.name} {differing}. --columns selects those of both"
        )
    places = tuple(place_of[name] for name in first.features)
    return replace(found, features=first.features, places=places)


def _first(plain: Sequence[str], known: Sequence[str]) -> int | None:
    """The place of the first known name that is there."""
    return next((plain.index(name) for name in known if name in plain), None)


def _named(path: Path, names: Sequence[str], name: str | None) -> int | None:
    return None if name is None else _place(path, names, name)


def _place(path: Path, names: Sequence[str], name: str) -> int:
    if nfc(name) not in names:
        raise DataError(
            f"{path} has no column {name!r} (it has: {_some(names)}){meant(name, names)}"
        )
    return list(names).index(nfc(name))


def _some(names: Sequence[str], most: int = 12) -> str:
    there = [name for name in names if name]
    return ", ".join(there[:most]) + (f", … {len(there)} in all" if len(there) > most else "")
