"""The recordings: labels, speakers, splits, durations, what was lost and why, and faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.core.table import Style, Table
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.exploring import doubts
from avaffect.recipes.exploring.tables import tables
from avaffect.recipes.exploring.utterances import Utterances
from avaffect.recipes.media.preprocess_summary import losses_path
from avaffect.recipes.reporting import charts
from avaffect.recipes.reporting.context import Context, few
from avaffect.recipes.reporting.parts import (
    Chart,
    Folded,
    Group,
    Note,
    Part,
    Section,
    Sheet,
    SideBySide,
    TablePart,
    Tile,
)
from avaffect.recipes.reporting.scored import Scored
from avaffect.recipes.reporting.tiles import duration, seconds_of, tile
from avaffect.recipes.scoring.reports.exploration import ExplorationReport
from avaffect.recipes.scoring.retrieved_clips import Clip, middle_face
from avaffect.settings.explore import ExploreSettings

PEOPLE = Style(for_people=True)
# Rows of a table that is not folded; recordings that were lost, and outliers, that are shown.
MOST_ROWS, MOST_LOST, MOST_OUTLIERS = 12, 20, 8
BINS = 20


def section(context: Context, scored: Scored) -> Section | None:
    """Every corpus and media store that was given or lies behind what was given. Of one whose
    exploration was given too, that is shown."""
    given = context.given
    summaries = {Path(one.file).resolve(): one for one in scored.of(ExplorationReport)}
    stores = {store.path: store for store in (*given.stores, *context.media_stores)}
    media = [s for s in stores.values() if FACE in s.streams or WAVEFORM in s.streams]
    sources = [s.path for s in media] + [m.path for m in given.corpora if m.path is not None]
    groups: list[Part] = []
    rows: list[list[str]] = []
    for path in sources:
        summary = summaries.pop(path.resolve(), None)
        given_of = (context, path, stores.get(path), summary, rows)
        own = context.attempt(f"the data of {path}", _of, *given_of)
        groups.append(Group(path.name, tuple(own)))
    groups += [Group(one.file, (*_doubts(one), *_tables(one))) for one in summaries.values()]
    if not groups:
        return None
    columns = ["file", "utterances", "speakers", "hours", "mean seconds", "lost"]
    table = Table.of("Corpora and media stores", columns, rows)
    overview = (TablePart(table),) if rows else ()
    return Section("data", "Data", (*overview, *groups))


def _of(
    context: Context, path: Path, store: Store | None, summary: ExplorationReport | None,
    rows: list[list[str]],
) -> Iterator[Part]:  # fmt: skip
    """The parts of one source. summary: of an exploration that was given; rows: of the table of
    all, to which its own is added."""
    is_heard = context.settings.listen and summary is None
    settings = ExploreSettings(source=path, without_sound=not is_heard, jobs=1)
    found = context.commands.explore(settings, context.quiet)
    assert found is not None
    if summary is not None:
        # It knows more than what was found without the sound.
        context.quiet.warnings.clear()
        yield from _doubts(summary)
    summary = summary or found.report
    losses = None if store is None else store.provenance.get("losses")
    lost = None if losses is None else dict(losses.get("lost", {}))
    rows.append(_overview(path, found.utterances, lost))
    yield from _tables(summary, *_durations(found.utterances.seconds))
    yield from _lost(path, lost)
    if store is not None:
        yield from _outliers(context, summary, found.utterances, store)
        if context.settings.faces and FACE in store.streams:
            yield from _sheet(context, found.utterances, store)


def _doubts(summary: ExplorationReport) -> list[Part]:
    return few([Note(words, is_warning=True) for words in doubts.of(summary)])


def _tables(summary: ExplorationReport, *beside: Part) -> Iterator[Part]:
    """Short tables, with other parts beside them, and long ones folded."""
    shown = [TablePart(table) for table in tables(summary, PEOPLE)]
    short = [part for part in shown if len(part.table.rows) <= MOST_ROWS]
    yield SideBySide((*short, *beside))
    yield from (Folded(p.table.title, (p,)) for p in shown if len(p.table.rows) > MOST_ROWS)


def _overview(path: Path, of: Utterances, lost: dict[str, int] | None) -> list[str]:
    speakers, known = of.fields.get("speaker"), of.seconds[np.isfinite(of.seconds)]
    return [
        str(path), str(len(of.ids)), str(len(speakers.names)) if speakers else "",
        f"{known.sum() / 3600:.3f}" if len(known) else "",
        f"{known.mean():.2f}" if len(known) else "",
        "" if lost is None else str(sum(lost.values())),
    ]  # fmt: skip


def _durations(seconds: np.ndarray) -> Iterator[Part]:
    known = seconds[np.isfinite(seconds)]
    if len({*known.tolist()}) > 1:
        counts, edges = np.histogram(known, bins=min(BINS, len({*known.tolist()})))
        label = f"Durations from {known.min():.2f} to {known.max():.2f} seconds"
        drawn = charts.bars(edges.tolist(), counts.tolist(), "seconds", label)
        yield Chart("Durations", drawn)


def _lost(path: Path, lost: dict[str, int] | None) -> Iterator[Part]:
    if lost is None:
        return
    if not lost:
        yield Note("No recording was lost.")
        return
    rows = [[reason, str(count)] for reason, count in sorted(lost.items())]
    yield TablePart(Table.of("Lost recordings", ["reason", "recordings"], rows))
    listing = losses_path(path)
    if listing.is_file():
        listed = manifest.read(listing).items
        rows = [[str(i.get("id")), str(i.get("lost") or "")] for i in listed[:MOST_LOST]]
        more = len(listed) - len(rows)
        note = f"and {more} more, in {listing}" if more > 0 else ""
        yield TablePart(Table.of("Which were lost", ["utterance", "why"], rows, note))


def _outliers(
    context: Context, summary: ExplorationReport, of: Utterances, store: Store
) -> Iterator[Part]:
    """What is worth a listen, to be listened to."""
    if summary.sound is None or WAVEFORM not in store.streams:
        return
    listed = summary.sound.listed
    names = dict.fromkeys(one.id for one in listed if one.id in store.rows)
    rows = [store.rows[name] for name in [*names][:MOST_OUTLIERS]]
    clips = [Clip(store.ids[r], store, r, _label(of, r) or None) for r in rows]
    seconds = seconds_of(clips)
    tiles = []
    for clip in clips:
        why = [f"{o.measure}, z {o.z:+.1f}" for o in listed if o.id == clip.identifier]
        tiles.append(tile(context.media, clip, (*why, duration(clip)), seconds))
    if tiles:
        yield Sheet("Worth a listen", tuple(tiles), with_sound=True)


def _label(of: Utterances, row: int) -> str:
    column = next(iter(of.classes.values()), None)
    return "" if column is None else column.at(row)


def _sheet(context: Context, of: Utterances, store: Store) -> Iterator[Part]:
    """Faces of utterances, evenly over speakers and labels."""
    column = of.fields.get("speaker")
    speakers = ["" if column is None else column.at(row) for row in range(len(of.ids))]
    labels = [_label(of, row) for row in range(len(of.ids))]
    tiles = []
    for row in evenly(speakers, labels, context.settings.faces):
        picture = context.media.picture(middle_face(store, row))
        if picture is not None:
            tiles.append(Tile(of.ids[row], labels[row], (), picture))
    if tiles:
        yield Sheet(f"Faces, {len(tiles)} of {count_of(len(of.ids), 'utterance')}", tuple(tiles))


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
