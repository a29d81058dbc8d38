"""Reports of `compare`: rows of scores over runs, beside a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from avaffect.core.record import Record
from avaffect.evaluation.paired import McNemar
from avaffect.recipes.scoring.reports.base import Report, RunName


@dataclass(frozen=True, kw_only=True)
class ClassFacts(Record):
    """Conditions that must agree for scores of classes to compare."""

    target: str
    split: str | None
    count: int


@dataclass(frozen=True, kw_only=True)
class ScalarFacts(Record):
    """Conditions that must agree for scores of numbers to compare; gold: content ids; gold_labels:
    of each label."""

    gold: tuple[str, ...]
    gold_labels: dict[str, str]
    variant: str
    split: str | None
    count: int


@dataclass(frozen=True, kw_only=True)
class TraceFacts(Record):
    """Conditions that must agree for scores of traces to compare; gold and gold_labels as of
    numbers."""

    gold: tuple[str, ...]
    gold_labels: dict[str, str]
    raters: str
    rate_hz: float | None
    variant: str
    delay: float
    split: str | None
    count: int


@dataclass(frozen=True, kw_only=True)
class RankFacts(Record):
    """Conditions that must agree for scores of rankings to compare; gold and gold_labels as of
    numbers."""

    gold: tuple[str, ...]
    gold_labels: dict[str, str]
    raters: str
    threshold: float
    split: str | None
    count: int


# In this order a record of JSON is of the first whose keys are all there.
Facts = ClassFacts | TraceFacts | RankFacts | ScalarFacts


@dataclass(frozen=True, kw_only=True)
class Compared(Record):
    """One score: values of the runs, their mean and standard deviation, and the difference from the
    baseline's with its t-test; of single runs p and the bounds low and high by bootstrap over their
    speakers or utterances. None: undefined, without a baseline, or not to be tested."""

    values: tuple[float | None, ...]
    mean: float | None
    std: float | None
    difference: float | None
    t: float | None
    degrees: float | None
    p: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class UtteranceTests(Record):
    """Tests of a single run against that of the baseline, by utterance. over: speakers or
    utterances, of which `units` are drawn, `draws` times; percent: of the draws that lie between
    the bounds of a difference; mcnemar: is the row right in more utterances than the baseline?
    None of numbers."""

    over: str
    units: int
    draws: int
    percent: float
    mcnemar: McNemar | None = None


@dataclass(frozen=True, kw_only=True)
class ComparedRow(Record):
    """name, file  of the report
    curve, at   its curve, and its point there; None: it is on none
    against     name of the baseline's row; None of the baseline itself
    facts       conditions that must agree
    seen        how many of `count` were used in the classifier's training, by status
    scores      score -> comparison; per_class: class -> comparison of its F1
    utterances  tests by utterance; None of several runs, or of reports without their predictions
    """

    name: str
    file: str
    curve: str | None
    at: float | None
    against: str | None
    runs: tuple[RunName, ...]
    facts: Facts
    seen: dict[str, int] | None
    scores: dict[str, Compared]
    per_class: dict[str, Compared]
    utterances: UtteranceTests | None = None

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> ComparedRow:
        """The facts are the keys that are no field."""
        own = {item.name for item in fields(cls)}
        facts = {key: value for key, value in found.items() if key not in own}
        return super().from_dict({**{k: v for k, v in found.items() if k in own}, "facts": facts})

    def to_dict(self) -> dict[str, Any]:
        """The facts are keys of the same object."""
        found: dict[str, Any] = {}
        for key, value in super().to_dict().items():
            found |= value if key == "facts" else {key: value}
        return found


@dataclass(frozen=True, kw_only=True)
class Comparison(Report):
    """of        content of the reports: predictions, traces, scalars or ranking
    scores    that were compared
    baseline  name of a row or a curve
    test      paired or unpaired
    chance    row -> score -> what chance gives, of the scores of which that is known
    """

    content: str = "comparison"
    of: str
    scores: tuple[str, ...]
    baseline: str
    test: str
    rows: tuple[ComparedRow, ...]
    chance: dict[str, dict[str, float]] | None = None
