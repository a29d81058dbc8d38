"""Reports of `eval-class`: of predicted classes, and of a retrieval's pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass, field

from avaffect.core.record import Record, nullable
from avaffect.evaluation.calibration import Calibration
from avaffect.evaluation.classification import Classification, ClassScores, Confusion
from avaffect.evaluation.permutation import PermutationTest
from avaffect.evaluation.retrieval_quality import RetrievalScores, Shared
from avaffect.recipes.scoring.reports.base import Numbered, Report

# Of fewer, an interval of percentiles is too narrow.
FEW_SPEAKERS = 10


@dataclass(frozen=True, kw_only=True)
class ClassRun(Classification, Numbered):
    """One run. kl, ce: mean divergence and cross-entropy of `votes` utterances' shares of votes;
    None where predictions are of no votes. shared_distance: mean over utterances; None where
    predictions have none."""

    kl: float | None = None
    ce: float | None = None
    votes: int | None = None
    shared_distance: float | None = None


@dataclass(frozen=True, kw_only=True)
class Intervals(Record):
    """Confidence intervals by bootstrap. percent: of the draws that lie between the bounds; over:
    speakers or utterances, of which `units` are drawn, `draws` times; bounds: score -> lower and
    upper."""

    percent: float
    over: str
    units: int
    draws: int
    bounds: dict[str, tuple[float, float]]

    @property
    def narrow(self) -> bool:
        """Whether there are too few speakers for intervals of percentiles."""
        return self.units < FEW_SPEAKERS


@dataclass(frozen=True, kw_only=True)
class GroupScores(Record):
    """Scores of the utterances with one value of a field: means over runs. few: whether there are
    too few to say much; speakers: None where predictions do not name them; chance: see
    `evaluation.classification.chance`."""

    value: str
    count: int
    speakers: int | None
    few: bool
    accuracy: float
    ua: float
    f1_micro: float
    f1_macro: float
    chance: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ClassReport(Report):
    """target        name of the label
    split         that was scored; None: all
    accuracy, ua, f1_micro, f1_macro, kl, ce, shared_distance, per_class  means over runs
    confusion     sums over runs
    std           score -> standard deviation over runs; None of one run
    count         scored utterances
    missing_gold  utterances without a gold label
    seen          how many of them were used in the classifier's training, by status; None where
                  predictions do not record it
    chance        score -> what knowing the frequencies of classes alone reaches
    intervals, permutation, calibration, groups (field -> values)  None where they were not wanted
    """

    file: str
    content: str = "predictions"
    target: str
    split: str | None
    accuracy: float
    ua: float
    f1_micro: float
    f1_macro: float
    kl: float | None = None
    ce: float | None = None
    shared_distance: float | None = None
    per_class: dict[str, ClassScores]
    confusion: Confusion
    std: dict[str, float | None]
    count: int
    missing_gold: int
    seen: dict[str, int] | None = nullable()
    chance: dict[str, float] | None = None
    intervals: Intervals | None = None
    permutation: PermutationTest | None = None
    calibration: Calibration | None = None
    groups: dict[str, tuple[GroupScores, ...]] | None = None
    runs: tuple[ClassRun, ...]


@dataclass(frozen=True, kw_only=True)
class _Drawn(Report):
    file: str
    content: str = "retrieval"
    target: str
    temperature: float | None
    queries: int
    distinct: int
    effective_size: float | None


@dataclass(frozen=True, kw_only=True)
class RetrievalReport(RetrievalScores, _Drawn):
    """target          name of the label
    temperature     of the retrieval
    queries         their number
    distinct        number of different utterances that were drawn
    effective_size  median over queries
    count           draws; missing_gold: those of utterances without a label
    pool            its utterances; hours, pool_hours: of the distinct draws, and of the pool
    shared          label, speaker, sex, corpus, text -> how often draws have that of their query

    None and {} where the stores do not say, or are not there.
    """

    missing_gold: int
    pool: int | None = None
    hours: float | None = None
    pool_hours: float | None = None
    shared: dict[str, Shared] = field(default_factory=dict)
