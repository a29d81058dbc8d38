"""Corpora's tables of values over time -> labels of the kind trace on one grid of times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from avaffect.data.corpora.common import Corpus
from avaffect.data.trace_files import TraceFile
from avaffect.data.traces import on_grid

# Digits behind the point: corpora give six at most.
DIGITS = 6


def add_traces(
    corpus: Corpus, label: str, files: Mapping[str, TraceFile], nominal_hz: float, raters: bool
) -> dict[str, list[Any]]:
    """Describe a label of `corpus`; its values by key, each from time 0 of the recording.

    files: key -> a table whose columns are the raters, or whose one column is the label. The rate
    is that of most tables, nominal_hz where none has one; tables of other times are put on it and
    counted.
    """
    rates = Counter(file.rate_hz for file in files.values() if file.rate_hz)
    rate_hz = rates.most_common(1)[0][0] if rates else nominal_hz
    names = list(dict.fromkeys(name for file in files.values() for name in file.columns))
    corpus.labels[label] = {"kind": "trace", "rate_hz": rate_hz}
    if raters:
        corpus.labels[label]["raters"] = names
    found = {}
    for key, file in files.items():
        if file.rate_hz != rate_hz:
            reason = f"times of {label} are not even at {rate_hz:g} Hz (interpolated)"
            corpus.lost[reason].append(key)
        unknown = np.full(len(file.times), np.nan)
        columns = [file.columns.get(name, unknown) for name in names]
        values = on_grid(file.times, np.stack(columns, axis=1), rate_hz)
        found[key] = _listed(values if raters else values[:, 0])
    return found


def _listed(values: np.ndarray) -> list[Any]:
    """As JSON has it: null where a value is not known."""
    if values.ndim == 1:
        return [None if math.isnan(v) else round(v, DIGITS) for v in values.tolist()]
    return [_listed(row) for row in values]
