"""The report of `explore`: what a corpus is like before a training."""

from __future__ import annotations

from dataclasses import dataclass, field

from avaffect.core.record import Record
from avaffect.recipes.scoring.reports.base import Report


@dataclass(frozen=True, kw_only=True)
class Spread(Record):
    """Of `count` known values: least, 5 %, median, 95 %, greatest, mean and sum; None without
    any."""

    count: int
    least: float | None = None
    low: float | None = None
    median: float | None = None
    high: float | None = None
    greatest: float | None = None
    mean: float | None = None
    total: float | None = None


@dataclass(frozen=True, kw_only=True)
class FieldSummary(Record):
    """A field such as speaker. values: how many different ones; counts: value -> utterances, {} of
    very many values; missing: utterances without it; fewest, median, most: utterances a value."""

    values: int
    counts: dict[str, int]
    missing: int
    fewest: int
    median: float
    most: int


@dataclass(frozen=True, kw_only=True)
class LabelByField(Record):
    """counts: value of the field -> class -> utterances, {} of very many values; lacking: class ->
    how many values have no utterance of it, of the classes that any lacks; cramers_v: association
    of the two, 0 to 1, see `evaluation.balance`; None where either has one value."""

    counts: dict[str, dict[str, int]]
    lacking: dict[str, int]
    cramers_v: float | None = None


@dataclass(frozen=True, kw_only=True)
class LabelBalance(Record):
    """classes: class -> utterances; missing: without the label; by: field -> the same by value;
    told_by: "class" where each class is of one speaker alone, "speaker" where each speaker has one
    class alone, else None."""

    classes: dict[str, int]
    missing: int
    by: dict[str, LabelByField]
    told_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class VoteSummary(Record):
    """Raters' votes; see `evaluation.annotation.Agreement`. missing: utterances without votes;
    classes: class -> mean share of the votes, {} without any."""

    count: int
    missing: int
    classes: dict[str, float]
    raters: float | None = None
    top: float | None = None
    unanimous: float | None = None
    tied: float | None = None
    kappa: float | None = None


@dataclass(frozen=True, kw_only=True)
class TraceSummary(Record):
    """Values over time; see `evaluation.annotation.TraceFacts`. rate_hz: values a second."""

    count: int
    rate_hz: float | None = None
    raters: int = 1
    least: float | None = None
    greatest: float | None = None
    mean: float | None = None
    std: float | None = None
    constant: float | None = None
    unknown: float | None = None


@dataclass(frozen=True, kw_only=True)
class Alike(Record):
    """A group of utterances that sound the same. count: how many; ids, splits, speakers: the first
    of them."""

    count: int
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    speakers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Duplicates(Record):
    """groups: of utterances that sound the same; utterances: in all of them; across_splits,
    across_speakers: groups; listed: those across splits first, then the largest."""

    groups: int
    utterances: int
    across_splits: int
    across_speakers: int
    listed: tuple[Alike, ...]


@dataclass(frozen=True, kw_only=True)
class Outlier(Record):
    """An utterance whose measure is far from the others: z, see `evaluation.balance.modified_z`."""

    id: str
    media: str
    measure: str
    value: float
    z: float


@dataclass(frozen=True, kw_only=True)
class Sound(Record):
    """measures: measure -> "all" or a split -> its spread; clipped: utterances with clipped
    samples, None where that is not recorded; most_clipped: id -> clipped samples, of those with the
    most; unusable: reason -> utterances; outliers: how many
    utterances have one; listed: the farthest."""

    measures: dict[str, dict[str, Spread]]
    clipped: int | None
    most_clipped: dict[str, int]
    unusable: dict[str, int]
    outliers: int
    listed: tuple[Outlier, ...]


@dataclass(frozen=True, kw_only=True)
class ExplorationReport(Report):
    """count       utterances
    fields      split, speaker, sex and others -> summary
    labels      labels of classes
    numbers     labels of numbers -> "all" or a split -> spread
    votes       labels of raters' votes -> agreement
    traces      labels over time -> range, rate and constancy
    seconds     "all" or a split -> spread of durations
    speakers_across_splits  how many speakers are in several splits; None without either
    confounded  label or field -> measure -> share of its variance between classes (epsilon squared)
    sound, duplicates  None where sound was not looked at
    """

    file: str
    content: str = "exploration"
    count: int
    fields: dict[str, FieldSummary]
    labels: dict[str, LabelBalance]
    numbers: dict[str, dict[str, Spread]]
    seconds: dict[str, Spread]
    speakers_across_splits: int | None = None
    confounded: dict[str, dict[str, float]] = field(default_factory=dict)
    sound: Sound | None = None
    duplicates: Duplicates | None = None
    votes: dict[str, VoteSummary] = field(default_factory=dict)
    traces: dict[str, TraceSummary] = field(default_factory=dict)
