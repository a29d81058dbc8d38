"""Predicted traces beside true ones, above the faces of the recording, with its sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from avaffect.core.streams import FACE, WAVEFORM
from avaffect.core.table import Table
from avaffect.data.store.reader import Store
from avaffect.recipes.reporting.charts import WIDTH, Frame, Series, axes, line
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.parts import Part, Section, Traces
from avaffect.recipes.reporting.scored import Scored, gold_of, is_predicted
from avaffect.recipes.reporting.svg import drawing, element, ends
from avaffect.recipes.scoring import gold_traces
from avaffect.recipes.scoring.gold_traces import Trace, TraceSource
from avaffect.recipes.scoring.reports.traces import TraceReport
from avaffect.recipes.scoring.retrieved_clips import seen_frames, track_of

# Of a drawing, in pixels: twice as wide as a curve.
WIDE = 2 * WIDTH
LEFT, RIGHT = 46.0, 12.0
PANEL, BETWEEN, AXIS = 110.0, 26.0, 38.0
FACES = 14
LEGEND = ("true", "predicted")
LEAD = "Recordings of the scored ones, from the best to the worst; play one to follow it."


@dataclass(frozen=True)
class Recording:
    """true, predicted: label -> trace of one rater or run, the mean over several."""

    identifier: str
    true: Mapping[str, Trace]
    predicted: Mapping[str, Trace]


def section(context: Context, scored: Scored) -> Section | None:
    """Every store of predicted traces that was given; None without any."""
    reports = {report.file: report for report in scored.of(TraceReport)}
    parts: list[Part] = []
    for store in context.given.stores:
        if is_predicted(store) and str(store.path) in reports and context.settings.traces:
            report = reports[str(store.path)]
            parts += context.attempt(
                f"the traces of {store.path}",
                _recordings,
                context,
                store,
                report,
            )
    return Section("traces", "Traces", tuple(parts), LEAD) if parts else None


def _recordings(context: Context, store: Store, report: TraceReport) -> Iterator[Part]:
    for each in _some(context, store, report):
        yield _drawn(context, report, each)


def _some(context: Context, store: Store, report: TraceReport) -> Iterator[Recording]:
    """Some recordings, evenly over their scores, the best first."""
    predicted = gold_traces.read(store.path)
    gold = gold_traces.joined([gold_traces.read(path) for path in gold_of(context, store)])
    gold = gold_traces.of_one_rater(gold, report.raters)
    order = sorted(report.recordings, key=lambda i: -_score(report, i))
    places = np.linspace(0, len(order) - 1, min(context.settings.traces, len(order)))
    for identifier in (order[round(place)] for place in places):
        true = _traces(gold, identifier, list(report.gold_labels.values()))
        found = _traces(predicted, identifier, report.labels)
        by_own_name = {
            own: true[other] for own, other in report.gold_labels.items() if other in true
        }
        yield Recording(identifier, by_own_name, found)


def _score(report: TraceReport, identifier: str) -> float:
    values = [of.ccc for of in report.recordings[identifier].values() if of.ccc is not None]
    return float(np.mean(values)) if values else -1.0


def _traces(source: TraceSource, identifier: str, labels: Sequence[str]) -> dict[str, Trace]:
    found = {name: source.labels[name].get(identifier) for name in labels if name in source.labels}
    return {
        name: Trace(trace.times, trace.columns.mean(axis=1))
        for name, trace in found.items()
        if trace is not None
    }


def _drawn(context: Context, report: TraceReport, recording: Recording) -> Traces:
    seconds = max(
        float(t.times[-1]) + t.step_s
        for t in (*recording.true.values(), *recording.predicted.values())
    )
    parts: list[Markup] = []
    labels = [name for name in report.labels if name in recording.predicted]
    for row, label in enumerate(labels):
        is_last = row == len(labels) - 1
        parts.append(_panel(recording, label, seconds, row * (PANEL + BETWEEN), is_last))
    height = len(labels) * (PANEL + BETWEEN) + AXIS
    strip, strip_height = _strip(context, recording.identifier, seconds, height)
    parts += strip
    own = report.recordings[recording.identifier]
    words = ", ".join(f"{n} CCC {s.ccc:.2f}" for n, s in own.items() if s.ccc is not None)
    label = f"True and predicted {' and '.join(labels)} of {recording.identifier}: {words}"
    head = element(
        "line", x1=LEFT, x2=LEFT, y1=0, y2=height + strip_height, class_="playhead",
        data_left=LEFT, data_width=WIDE - LEFT - RIGHT, data_seconds=f"{seconds:.3f}",
    )  # fmt: skip
    shown = drawing(WIDE, height + strip_height, label, *parts, head, class_="plot traces")
    rows = [[name, _number(s.ccc), _number(s.pearson), _number(s.rmse)] for name, s in own.items()]
    table = Table.of(f"Scores of {recording.identifier}", ["label", "CCC", "Pearson", "RMSE"], rows)
    sound = _sound(context, recording.identifier)
    return Traces(recording.identifier, words, shown, sound, table, LEGEND)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _panel(recording: Recording, label: str, seconds: float, top: float, is_last: bool) -> Markup:
    """The traces of one label, its name above; the last one has the times of all."""
    both = [("true", recording.true.get(label)), ("predicted", recording.predicted.get(label))]
    values = [v for _, trace in both if trace is not None for v in trace.values.tolist()]
    frame = Frame(
        (0.0, seconds), ends(values), LEFT, WIDE - RIGHT, top + BETWEEN, top + BETWEEN + PANEL
    )
    parts = [axes(frame, "seconds" if is_last else None, 3)]
    for number, (name, trace) in enumerate(both):
        if trace is not None:
            series = Series(name, tuple(trace.times.tolist()), tuple(trace.values.tolist()), number)
            parts.append(line(frame, series))
    name = element("text", label, x=LEFT, y=top + BETWEEN - 8, class_="panel")
    return element("g", name, *parts)


def _strip(
    context: Context, identifier: str, seconds: float, top: float
) -> tuple[list[Markup], float]:
    """Faces at their times below the traces, and the height that they take; none where no store
    behind the predictions has any."""
    found = next((s for s in context.stores_of(identifier) if FACE in s.streams), None)
    if found is None:
        return [], 0.0
    row = found.rows[identifier]
    faces, rate = found.read(FACE, row), found.streams[FACE].rate_hz
    there = seen_frames(len(faces), track_of(found, row))
    if not len(there) or not rate:
        return [], 0.0
    side = (WIDE - LEFT - RIGHT) / FACES
    parts = []
    for number in range(FACES):
        middle = (number + 0.5) / FACES * seconds
        frame = int(there[np.argmin(np.abs(there / rate - middle))])
        if abs(frame / rate - middle) > seconds / FACES:
            continue
        uri = context.media.picture(faces[frame])
        if uri is not None:
            x = LEFT + number * side
            parts.append(element("image", href=uri, x=x, y=top, width=side - 1, height=side - 1))
    return parts, side if parts else 0.0


def _sound(context: Context, identifier: str) -> str | None:
    for store in context.stores_of(identifier):
        row = store.rows[identifier]
        if WAVEFORM in store.streams and store.lengths(WAVEFORM)[row]:
            return context.media.sound(store.read(WAVEFORM, row))
    return None
