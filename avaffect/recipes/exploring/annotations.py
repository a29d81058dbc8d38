"""Summaries of raters' votes and of traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from avaffect.evaluation import annotation
from avaffect.evaluation.distributions import shares
from avaffect.recipes.scoring.reports.exploration import TraceSummary, VoteSummary


def vote_summary(classes: Sequence[str], rows: Iterable[Sequence[float] | None]) -> VoteSummary:
    """rows: votes of each utterance in the order of the classes, None without."""
    unknown = [np.nan] * len(classes)
    votes = np.array([unknown if row is None else row for row in rows], dtype=np.float64)
    votes = votes.reshape(-1, len(classes))
    found = shares(votes)
    known = found[np.isfinite(found).all(axis=1)]
    means = known.mean(axis=0).tolist() if len(known) else []
    agreed = asdict(annotation.agreement(votes))
    return VoteSummary(**agreed, missing=len(votes) - len(known), classes=dict(zip(classes, means)))


def trace_summary(rate_hz: float | None, traces: Iterable[np.ndarray]) -> TraceSummary:
    """traces: as of `annotation.trace_facts`."""
    return TraceSummary(rate_hz=rate_hz, **asdict(annotation.trace_facts(traces)))
