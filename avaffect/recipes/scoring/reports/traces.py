"""Reports of `eval-ccc`: of predicted traces, and of numbers of utterances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from avaffect.core.record import Record, nullable
from avaffect.evaluation.concordance import Agreement, CountedAgreement
from avaffect.recipes.scoring.reports.base import Numbered, Report

# Score -> its ends, None where it is undefined in every draw.
Ends = dict[str, tuple[float, ...] | None]


@dataclass(frozen=True, kw_only=True)
class TraceRun(Numbered):
    """One run: label -> scores. mean: of recordings; None where there are none. shared_distance:
    mean over utterances; None where predictions have none."""

    pooled: dict[str, CountedAgreement]
    mean: dict[str, Agreement] | None = None
    shared_distance: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spread(Record):
    """Standard deviations over runs; None of one run."""

    pooled: dict[str, Agreement] = field(default_factory=dict)
    mean: dict[str, Agreement] | None = None


@dataclass(frozen=True, kw_only=True)
class Interval(Record):
    """Of `level` of `draws` bootstrap draws: label -> score -> [low, high]. over: speakers or
    utterances, of which `units` are drawn; None of recordings, and in older reports."""

    level: float
    draws: int
    over: str | None = None
    units: int | None = None
    pooled: dict[str, Ends]
    mean: dict[str, Ends] | None = None


@dataclass(frozen=True, kw_only=True)
class Missing(Record):
    """Recordings that one side lacks."""

    predictions: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Overhang(Record):
    """Recordings that were cut off on one side, and by how many seconds at most."""

    recordings: int = 0
    longest_s: float = 0


@dataclass(frozen=True, kw_only=True)
class Truncated(Record):
    """Excess length on each side."""

    predictions: Overhang = Overhang()
    gold: Overhang = Overhang()


@dataclass(frozen=True, kw_only=True)
class GroupAgreement(Record):
    """Scores of the recordings (or utterances) with one value of a field: label -> means over
    runs. few: whether there are too few to say much."""

    value: str
    count: int
    few: bool
    scores: dict[str, CountedAgreement]


@dataclass(frozen=True, kw_only=True)
class TraceReport(Report):
    """labels        that were scored; gold_labels: their names in the gold
    split         that was scored; None: all
    variant       of CCC: biased or unbiased
    raters        gold standard of several raters
    delay         seconds by which predictions were moved
    rate_hz       values a second; None where recordings differ
    pooled        label -> scores of all values as one trace, means over runs
    mean          label -> means of the recordings' own scores
    recordings    id -> label -> its own scores
    count         scored recordings; missing: those that one side lacks
    truncated     excess length on either side
    unpredicted   label -> values of the gold without a prediction
    constant      label -> recordings whose prediction or gold does not vary
    seen          how many recordings were used in the classifier's training, by status; None
                  where predictions do not record it
    gold          content ids
    chance        label -> score -> what a constant gives, of all values
    groups        field -> values; None where they were not asked for

    Fields with a default are missing in some reports that `compare` reads.
    """

    ways: ClassVar[tuple[str, ...]] = ("pooled", "mean")

    file: str
    content: str = "traces"
    labels: tuple[str, ...] = ()
    gold_labels: dict[str, str] = field(default_factory=dict)
    split: str | None
    variant: str
    raters: str
    delay: float
    rate_hz: float | None
    pooled: dict[str, CountedAgreement] = field(default_factory=dict)
    mean: dict[str, Agreement] = field(default_factory=dict)
    std: Spread = Spread()
    recordings: dict[str, dict[str, CountedAgreement]] = field(default_factory=dict)
    interval: Interval | None = None
    count: int
    missing: Missing = Missing()
    truncated: Truncated = Truncated()
    unpredicted: dict[str, int] = field(default_factory=dict)
    constant: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen: dict[str, int] | None = nullable()
    runs: tuple[TraceRun, ...]
    gold: tuple[str, ...] = ()
    chance: dict[str, dict[str, float]] | None = None
    groups: dict[str, tuple[GroupAgreement, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class ScalarReport(Report):
    """As `TraceReport`, of numbers of utterances; missing_gold: label -> utterances without a gold
    value."""

    ways: ClassVar[tuple[str, ...]] = ("pooled",)

    file: str
    content: str = "scalars"
    labels: tuple[str, ...] = ()
    split: str | None
    variant: str
    pooled: dict[str, CountedAgreement] = field(default_factory=dict)
    std: Spread = Spread()
    count: int
    missing_gold: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] | None = nullable()
    runs: tuple[TraceRun, ...]
    interval: Interval | None = None
    gold: tuple[str, ...] = ()
    gold_labels: dict[str, str] = field(default_factory=dict)
    chance: dict[str, dict[str, float]] | None = None
    groups: dict[str, tuple[GroupAgreement, ...]] | None = None


ConcordanceReport = TraceReport | ScalarReport
