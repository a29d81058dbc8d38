"""The recordings: speakers, labels, durations, splits, what was lost and why, and faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core.streams import FACE, SAMPLE_RATE_HZ, WAVEFORM
from avaffect.core.table import Table
from avaffect.data import items, manifest
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.media.preprocess_summary import losses_path
from avaffect.recipes.reporting import charts
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.parts import (
    Chart,
    Group,
    Note,
    Part,
    Section,
    Sheet,
    SideBySide,
    TablePart,
    Tile,
)
from avaffect.recipes.scoring.retrieved_clips import middle_face

SPLITS = ("train", "development", "test")
NO_SPLIT, NO_LABEL = "no split", "without"
MOST_CLASSES = 40
# Of recordings that were lost.
MOST_LISTED = 20
BINS = 20


@dataclass(frozen=True)
class Utterances:
    """Facts of the utterances of a store or a corpus, each a list of as many; "" is unknown.

    labels: class label -> classes; seconds: NaN unknown; kept: of how many found, and those lost by
    reason, None where that was not recorded.
    """

    path: Path
    ids: Sequence[str]
    speakers: Sequence[str]
    splits: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    seconds: np.ndarray
    losses: Mapping[str, int] | None = None


def section(context: Context) -> Section | None:
    """Every corpus and media store that was given or lies behind what was given."""
    given = context.given
    stores = {str(store.path): store for store in (*given.stores, *context.media_stores)}
    media = [s for s in stores.values() if FACE in s.streams or WAVEFORM in s.streams]
    found: list[tuple[Utterances, Store | None]] = [(of_store(s), s) for s in media]
    found += [(of_manifest(m), None) for m in given.corpora]
    if not found:
        return None
    parts: list[Part] = [TablePart(_overview([each for each, _ in found]))]
    for each, store in found:
        own = context.attempt(f"the data of {each.path}", _of, context, each, store)
        parts.append(Group(each.path.name, tuple(own)))
    return Section("data", "Data", tuple(parts))


def of_store(store: Store) -> Utterances:
    """What a store says of its utterances."""

    def field(name: str) -> list[str]:
        return list(map(str, store.meta[name])) if name in store.meta else [""] * store.count

    labels = {
        name: [spec.classes[value] if value >= 0 else "" for value in store.label(name).tolist()]
        for name, spec in store.labels.items()
        if spec.kind == "class"
    }
    losses = store.provenance.get("losses")
    return Utterances(
        store.path, store.ids, field("speaker"), field("split"), labels, _seconds(store),
        None if losses is None else losses.get("lost", {}),
    )  # fmt: skip


def _seconds(store: Store) -> np.ndarray:
    if WAVEFORM in store.streams:
        return store.lengths(WAVEFORM) / SAMPLE_RATE_HZ
    if "duration_s" in store.meta:
        return np.asarray(store.meta["duration_s"], dtype=np.float64)
    return np.full(store.count, np.nan)


def of_manifest(found: Manifest) -> Utterances:
    """What a corpus manifest says of its items."""
    classes = [n for n, s in items.described_labels(found).items() if s.kind == "class"]

    def field(name: str) -> list[str]:
        return [str(item.get(name) or "") for item in found.items]

    labels = {
        name: [str((item.get("labels") or {}).get(name) or "") for item in found.items]
        for name in classes
    }
    spans = [(item.get("start"), item.get("end")) for item in found.items]
    seconds = [
        float(e) - float(s or 0) if isinstance(e, (int, float)) else np.nan for s, e in spans
    ]
    path = found.path or Path(found.name)
    return Utterances(
        path, field("id"), field("speaker"), field("split"), labels, np.array(seconds)
    )


def _overview(found: Sequence[Utterances]) -> Table:
    rows = []
    for each in found:
        speakers = {name for name in each.speakers if name}
        known = each.seconds[np.isfinite(each.seconds)]
        per_speaker = sorted(Counter(name for name in each.speakers if name).values())
        lost = "" if each.losses is None else str(sum(each.losses.values()))
        spread = f"{per_speaker[0]} to {per_speaker[-1]}" if per_speaker else ""
        rows.append([
            str(each.path), str(len(each.ids)), str(len(speakers)) if speakers else "", spread,
            f"{known.sum() / 3600:.3f}" if len(known) else "",
            f"{known.mean():.2f}" if len(known) else "", lost,
        ])  # fmt: skip
    columns = ["file", "utterances", "speakers", "utterances a speaker", "hours", "mean seconds",
               "lost"]  # fmt: skip
    return Table.of("Corpora and media stores", columns, rows)


def _of(context: Context, each: Utterances, store: Store | None) -> Iterator[Part]:
    yield SideBySide((*_label_tables(each), *_speakers(each), *_durations(each)))
    yield from _lost(each)
    if store is not None and context.settings.faces and FACE in store.streams:
        yield from _sheet(context, each, store)


def _label_tables(each: Utterances) -> Iterator[Part]:
    for name, values in each.labels.items():
        if 0 < len({*values} - {""}) <= MOST_CLASSES:
            yield TablePart(label_table(name, values, each.splits))


def label_table(name: str, values: Sequence[str], splits: Sequence[str]) -> Table:
    """Utterances of each class by split."""
    columns = _splits(splits)
    counts = Counter(zip(values, splits))
    rows = []
    for label in sorted({*values}, key=lambda value: (not value, value)):
        own = [counts[label, split] for split in columns]
        rows.append([label or NO_LABEL, *map(str, own), str(sum(own))])
    every = [sum(counts[label, split] for label in {*values}) for split in columns]
    rows.append(["all", *map(str, every), str(sum(every))])
    if columns == [""]:
        rows = [[row[0], row[-1]] for row in rows]
        return Table.of(f"Label {name}", [name, "utterances"], rows)
    heads = [split or NO_SPLIT for split in columns]
    return Table.of(f"Label {name} by split", [name, *heads, "all"], rows)


def _splits(splits: Sequence[str]) -> list[str]:
    there = {*splits}
    first = [split for split in SPLITS if split in there]
    return [*first, *sorted(there - {*first, ""}), *([""] if "" in there else [])]


def _speakers(each: Utterances) -> Iterator[Part]:
    """Speakers of each split; a speaker in two splits would be told from the voice."""
    columns = _splits(each.splits)
    if columns == [""] or not any(each.speakers):
        return
    of = {
        split: {s for s, own in zip(each.speakers, each.splits) if own == split and s}
        for split in columns
    }
    rows = []
    for split in columns:
        others = set().union(*(of[other] for other in columns if other != split))
        rows.append([split or NO_SPLIT, str(len(of[split])), str(len(of[split] & others))])
    heads = ["split", "speakers", "in another split too"]
    yield TablePart(Table.of("Speakers by split", heads, rows))


def _durations(each: Utterances) -> Iterator[Part]:
    known = each.seconds[np.isfinite(each.seconds)]
    if len(known) > 1:
        counts, edges = np.histogram(known, bins=min(BINS, len({*known.tolist()})))
        label = f"Durations from {known.min():.2f} to {known.max():.2f} seconds"
        drawn = charts.bars(edges.tolist(), counts.tolist(), "seconds", label)
        yield Chart("Durations", drawn, table=_duration_table(known))


def _duration_table(known: np.ndarray) -> Table:
    names = ("least", "median", "mean", "greatest")
    values = (known.min(), np.median(known), known.mean(), known.max())
    return Table.of("Durations", ["", "seconds"], [[n, f"{v:.2f}"] for n, v in zip(names, values)])


def _lost(each: Utterances) -> Iterator[Part]:
    if each.losses is None:
        return
    if not each.losses:
        yield Note("No recording was lost.")
        return
    rows = [[reason, str(count)] for reason, count in sorted(each.losses.items())]
    yield TablePart(Table.of("Lost recordings", ["reason", "recordings"], rows))
    path = losses_path(each.path)
    if path.is_file():
        listed = manifest.read(path).items
        rows = [[str(i.get("id")), str(i.get("lost") or "")] for i in listed[:MOST_LISTED]]
        more = len(listed) - len(rows)
        note = f"and {more} more, in {path}" if more > 0 else ""
        yield TablePart(Table.of("Which were lost", ["utterance", "why"], rows, note))


def _sheet(context: Context, each: Utterances, store: Store) -> Iterator[Part]:
    """Faces of utterances, evenly over speakers and labels."""
    label = next(iter(each.labels.values()), [""] * len(each.ids))
    tiles = []
    for row in evenly(each.speakers, label, context.settings.faces):
        picture = context.media.picture(middle_face(store, row))
        if picture is not None:
            tiles.append(Tile(each.ids[row], label[row], (each.speakers[row],), picture))
    if tiles:
        yield Sheet(f"Faces, {len(tiles)} of {len(each.ids)} utterances", tuple(tiles))


def evenly(speakers: Sequence[str], labels: Sequence[str], count: int) -> list[int]:
    """`count` rows in which speakers come in turns, and of each speaker the labels."""
    seen: Counter[tuple[str, str]] = Counter()
    turns = []
    for row, pair in enumerate(zip(speakers, labels)):
        turns.append((seen[pair], row))
        seen[pair] += 1
    of: Counter[str] = Counter()
    order = []
    for turn, row in sorted(turns):
        order.append((of[speakers[row]], turn, row))
        of[speakers[row]] += 1
    return sorted(row for _, _, row in sorted(order)[:count])
