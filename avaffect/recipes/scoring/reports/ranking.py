"""Reports of `eval-rank`."""

from __future__ import annotations

from dataclasses import dataclass, field

from avaffect.core.record import Record, nullable
from avaffect.recipes.scoring.reports.base import Numbered, Report
from avaffect.recipes.scoring.reports.traces import Missing


@dataclass(frozen=True, kw_only=True)
class RankRun(Numbered):
    """One run: label -> mean average precision."""

    map: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RankedRecording(Record):
    """ap         average precision, the mean over runs
    chance     its expectation for a random order
    segments   with a known gold and prediction; relevant: of these
    """

    ap: float
    chance: float
    segments: int
    relevant: int


@dataclass(frozen=True, kw_only=True)
class RankReport(Report):
    """labels      that were scored; gold_labels: their names in the gold
    split       that was scored; None: all
    threshold   above which the gold is relevant
    raters      gold standard of several raters
    map         label -> mean average precision, the mean over runs; std: over runs, None of one
    chance      label -> the expectation of map for random orders
    recordings  id -> label -> its own scores
    count       recordings that both sides have; missing: those that one side lacks
    without     label -> recordings in which nothing is relevant, left out
    throughout  label -> recordings in which everything is relevant, left out
    seen        how many recordings were used in the classifier's training, by status; None where
                predictions do not record it
    gold        content ids
    """

    file: str
    content: str = "ranking"
    labels: tuple[str, ...] = ()
    gold_labels: dict[str, str] = field(default_factory=dict)
    split: str | None
    threshold: float
    raters: str
    map: dict[str, float] = field(default_factory=dict)
    std: dict[str, float | None] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    recordings: dict[str, dict[str, RankedRecording]] = field(default_factory=dict)
    count: int
    missing: Missing = Missing()
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)
    throughout: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen: dict[str, int] | None = nullable()
    runs: tuple[RankRun, ...]
    gold: tuple[str, ...] = ()
