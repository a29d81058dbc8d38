"""Queries of a retrieval beside the utterances that were drawn for them, for galleries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.streams import FACE, FACE_TRACK, SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data.faces.options import ABSENT, COLUMNS, DETECTED, TRACKED
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.common.lineage import embedding_stores, media_of
from avaffect.recipes.scoring import gold_labels
from avaffect.recipes.scoring.retrieval_scores import queried_classes
from avaffect.recipes.scoring.vote_scores import true_classes
from avaffect.settings.class_map import ClassMap
from avaffect.settings.gallery import GallerySettings

# Of a face_track's columns, the one that says where a frame's face came from.
SOURCE_COLUMN = COLUMNS.index("source")

# Id -> gold class, None where it is missing.
Classes = dict[str, str | None]


@dataclass(frozen=True)
class Clip:
    """An utterance that is shown: its media store and row there.

    label       its class, of a retrieved utterance the true one; None where it is not known
    similarity  to the query; None of the query itself, or where it was not recorded
    agrees      whether its label is the query's; None where it has none
    """

    identifier: str
    store: Store
    row: int
    label: str | None = None
    similarity: float | None = None
    agrees: bool | None = None

    @property
    def face(self) -> np.ndarray | None:
        """The frame (H, W, C) nearest to the middle that shows a face; None without any."""
        return middle_face(self.store, self.row)

    @property
    def sound(self) -> np.ndarray | None:
        """Samples (S,) int16 at 16 kHz; None without any."""
        there = WAVEFORM in self.store.streams and self.store.lengths(WAVEFORM)[self.row]
        return self.store.read(WAVEFORM, self.row) if there else None


@dataclass(frozen=True)
class ClipRow:
    """A query and what was retrieved for it, the first draws first."""

    query: Clip
    retrieved: tuple[Clip, ...]


def rows_of(found: Manifest, settings: GallerySettings) -> list[ClipRow]:
    """Some queries, chosen evenly over their labels, each with its first different draws.

    Raises DataError where a store behind the retrieval is missing, an utterance is in none, or the
    gold has no such label.
    """
    stores = {role: embedding_stores(found, role) for role in ("query", "pool")}
    media = {role: media_of(stores[role]) for role in stores}
    gold = _gold(found, settings, stores["pool"])
    classes = queried_classes(found)
    rows = []
    for item in choose_queries(found.items, settings.queries, settings.seed):
        label = item.get("label")
        clips = []
        for name, similarity in _drawn(found, item, settings.retrieved):
            own, other = (classes.renamed(n) or n for n in (gold.get(name), label))
            agrees = None if own is None else bool(own) and own == other
            place = _place(found, media["pool"], name)
            clips.append(Clip(name, *place, gold.get(name), similarity, agrees))
        query = item["query"]
        rows.append(
            ClipRow(Clip(query, *_place(found, media["query"], query), label), tuple(clips))
        )
    return rows


def choose_queries(items: list[Item], count: int, seed: int) -> list[Item]:
    """`count` of the items, as evenly over their labels as can be, in the order of labels."""
    by_label: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_label[str(item.get("label") or "")].append(item)
    labels = gold_labels.in_order(by_label)
    shuffled = {
        label: [
            by_label[label][place]
            for place in seeds.generator(seed, "gallery", label).permutation(len(by_label[label]))
        ]
        for label in labels
    }
    longest = max(map(len, by_label.values()), default=0)
    turns = [
        (turn, label) for turn in range(longest) for label in labels if turn < len(shuffled[label])
    ][:count]
    return [
        shuffled[label][turn] for turn, label in sorted(turns, key=lambda t: labels.index(t[1]))
    ]


def middle_face(store: Store, row: int) -> np.ndarray | None:
    """`middle_frame` of an utterance; None where its store has no faces."""
    if FACE not in store.streams:
        return None
    return middle_frame(store.read(FACE, row), track_of(store, row))


def track_of(store: Store, row: int) -> np.ndarray | None:
    """The face_track (T, 16) of an utterance, if its store has any."""
    return store.read(FACE_TRACK, row) if FACE_TRACK in store.streams else None


def seen_frames(count: int, track: np.ndarray | None) -> np.ndarray:
    """The places of the frames, of `count`, that show a face.

    track (T, 16): the face_track of the same frames, where it is known.
    """
    if track is None or len(track) != count:
        return np.arange(count)
    source = track[:, SOURCE_COLUMN]
    # Where a box was only interpolated, the face may have been hidden.
    seen = np.flatnonzero((source == DETECTED) | (source == TRACKED))
    return seen if len(seen) else np.flatnonzero(source != ABSENT)


def middle_frame(faces: np.ndarray, track: np.ndarray | None) -> np.ndarray | None:
    """Of faces (T, H, W, C) the one nearest to the middle that is there; None where none is.

    track: as of `seen_frames`.
    """
    there = seen_frames(len(faces), track)
    if not len(there):
        return None
    return faces[there[np.argmin(np.abs(there - (len(faces) - 1) / 2))]]


def mel_levels(sound: np.ndarray, seconds: float) -> tuple[np.ndarray, float]:
    """Log-mel spectrum (T, 80) of the first seconds of samples (S,), and its rate in Hz."""
    import torch

    from avaffect.signal.features import FEATURE_RATE_HZ, log_mel

    # A copy, as mapped stores are read-only, and torch warns of it.
    beginning = np.array(sound[: round(seconds * SAMPLE_RATE_HZ)])
    return log_mel(torch.from_numpy(beginning)).numpy(), FEATURE_RATE_HZ


def _gold(found: Manifest, settings: GallerySettings, pool: Sequence[Store]) -> Classes:
    """The pool's labels: those given, else those that came along into its embeddings, if any."""
    label = settings.label or found.header.made_with.label
    label = label or gold_labels.DEFAULT_LABEL
    if settings.gold:
        return true_classes(gold_labels.read(settings.gold, label), ClassMap())
    known = [s.path for s in pool if label in s.labels and s.labels[label].kind == "class"]
    if settings.label is not None and not known:
        raise DataError(f"{pool[0].path} has no label {label!r}; name GOLD that has with --gold")
    return true_classes(gold_labels.read(known, label), ClassMap())


def _drawn(found: Manifest, item: Item, count: int) -> list[tuple[str, float | None]]:
    """The first `count` different utterances that were drawn for a query, and similarities."""
    drawn, similarity = item.get("pool"), item.get("similarity")
    if not isinstance(drawn, list) or not isinstance(item.get("query"), str):
        raise DataError(f"{found.name}: the query {item.get('query')} has no list of draws")
    if not isinstance(similarity, list) or len(similarity) != len(drawn):
        similarity = [None] * len(drawn)
    first = dict(zip(reversed(drawn), reversed(similarity)))
    return [(name, first[name]) for name in dict.fromkeys(drawn)][:count]


def _place(found: Manifest, media: Sequence[Store], identifier: str) -> tuple[Store, int]:
    store = next((store for store in media if identifier in store.rows), None)
    if store is None:
        names = ", ".join(str(store.path) for store in media)
        raise DataError(f"{found.name} names {identifier}, which is not in {names}")
    return store, store.rows[identifier]
