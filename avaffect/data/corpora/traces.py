"""Traces of corpora: from tables of values over time to traces at one rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from avaffect.data.corpora.common import Corpus
from avaffect.data.trace_files import TraceFile
from avaffect.data.traces import on_grid, widest_gap

# Decimals: corpora give six at most.
DIGITS = 6


def add_traces(
    corpus: Corpus, label: str, files: Mapping[str, TraceFile], nominal_hz: float, raters: bool
) -> dict[str, list[Any]]:
    """Describe a label of `corpus`; its values by key, each from time 0 of the recording.

    files: key -> a table whose columns are the raters, or whose one column is the label. The rate
    is that of most tables, nominal_hz where none has one; tables with other times are resampled to
    it and counted, and so are those with gaps, and those without a known value, which are left out.
    """
    known = (file.rate_hz or _rate_between_gaps(file) for file in files.values())
    rates = Counter(rate for rate in known if rate is not None)
    rate_hz = rates.most_common(1)[0][0] if rates else nominal_hz
    names = list(dict.fromkeys(name for file in files.values() for name in file.columns))
    corpus.labels[label] = {"kind": "trace", "rate_hz": rate_hz}
    if raters:
        corpus.labels[label]["raters"] = names
    found = {}
    for key, file in files.items():
        unknown = np.full(len(file.times), np.nan)
        columns = [file.columns.get(name, unknown) for name in names]
        if all(np.isnan(column).all() for column in columns):
            corpus.lost[f"no value of {label} is known (kept without it)"].append(key)
            continue
        gaps = _gaps(file)
        if gaps.any():
            corpus.lost[f"times of {label} have gaps (nothing is known there)"].append(key)
        if file.rate_hz != rate_hz and not (gaps.any() and _rate_between_gaps(file) == rate_hz):
            reason = f"times of {label} are not even at {rate_hz:g} Hz (interpolated)"
            corpus.lost[reason].append(key)
        values = on_grid(file.times, np.stack(columns, axis=1), rate_hz)
        found[key] = _listed(values if raters else values[:, 0])
    return found


def _gaps(file: TraceFile) -> np.ndarray:
    """(T - 1,) bool: steps that are wider than two of the table's own."""
    steps = np.diff(file.times)
    typical = float(np.median(steps)) if len(steps) else 0.0
    return steps > widest_gap(typical, typical)


def _rate_between_gaps(file: TraceFile) -> float | None:
    """Values per second of a table that is evenly spaced but for its gaps; None of others."""
    gaps = _gaps(file)
    if not gaps.any():
        return None
    # Each gap is made one step wide.
    times = np.cumsum(np.where(gaps, np.median(np.diff(file.times)), np.diff(file.times)))
    return replace(file, times=np.concatenate([[0.0], times])).rate_hz


def report_unused(corpus: Corpus, rated: Iterable[str]) -> None:
    """Count keys with ratings but without a recording; recordings that were left out count as
    present."""
    there = {item["id"].removeprefix(f"{corpus.name}_") for item in corpus.items}
    there |= {name for names in corpus.left_out.values() for name in names}
    for key in sorted(set(rated) - there):
        corpus.lost["rated, but the recording is not there"].append(key)


def joined_raters(files: Mapping[str, TraceFile], rate_hz: float) -> TraceFile:
    """Rater -> a table with one column, merged into one table of even times with a column for each
    rater.

    Times without a rating are NaN. Needs one rater or more.
    """
    values = {
        rater: on_grid(file.times, next(iter(file.columns.values())), rate_hz)
        for rater, file in files.items()
    }
    count = max(map(len, values.values()))
    columns = {rater: np.full(count, np.nan) for rater in values}
    for rater, found in values.items():
        columns[rater][: len(found)] = found
    return replace(next(iter(files.values())), times=np.arange(count) / rate_hz, columns=columns)


def evenly(file: TraceFile, rate_hz: float) -> TraceFile:
    """The table at even times from 0 on."""
    columns = {name: on_grid(file.times, v, rate_hz) for name, v in file.columns.items()}
    count = max(map(len, columns.values()))
    return replace(file, times=np.arange(count) / rate_hz, columns=columns)


def _listed(values: np.ndarray) -> list[Any]:
    """As in JSON: null where a value is unknown."""
    if values.ndim == 1:
        return [None if math.isnan(v) else round(v, DIGITS) for v in values.tolist()]
    return [_listed(row) for row in values]
