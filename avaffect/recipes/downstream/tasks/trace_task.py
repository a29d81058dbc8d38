"""A label over time of each utterance (Shukla et al. 2021, SS-VAERR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.dataset import Dataset
from avaffect.data.items import fits
from avaffect.data.traces import Traces, delayed, resample
from avaffect.evaluation import concordance, ranking
from avaffect.evaluation.binning import clusters, equal_width
from avaffect.evaluation.trace_scale import is_usual
from avaffect.recipes.downstream.tasks.base import Line
from avaffect.recipes.downstream.tasks.scalar_task import (
    concordance_ended,
    never_changes,
    set_scale,
)
from avaffect.settings.label_losses import (
    BINS,
    KL,
    WIDTH,
    Weights,
    bins_of,
    only_ranks,
    takes_values,
)
from avaffect.training.ending import ending

if TYPE_CHECKING:
    from avaffect.models.heads.labels import LabelHead, Readout
    from avaffect.objectives.criteria import TraceCriterion

# The mean average precision of values 0 and 1, "is a highlight".
MAP = "map"
# Standard deviations in the unit of a head's output, for labels that are not on the usual scale, -1
# to 1. Losses and their weights were published for that scale; there the unit is about 1.
UNIT = 3.0
# Share of the divergence of equal scores above which nothing was learned.
NEARLY_CHANCE = 0.97


@dataclass(frozen=True)
class TraceTask:
    """traces: values (T,) of each utterance, no steps where it has none; losses: loss -> weight;
    delay_s: annotation delay: frames are trained on the annotation of this much later. Scored by
    CCC over all steps and, of values 0 and 1, by the mean of the utterances' average precisions."""

    name: str
    traces: Traces
    losses: Weights
    delay_s: float = 0.0
    kind = "trace"
    classes: ClassVar[tuple[str, ...]] = ()
    over_time = True
    scores = ("ccc", MAP)

    @property
    def columns(self) -> int:
        return 1

    @property
    def known(self) -> np.ndarray:
        return np.array([not np.isnan(v).all() for v in self.traces.values], dtype=bool)

    def chosen(self, mask: np.ndarray) -> TraceTask:
        values = [self.traces.values[row] for row in np.flatnonzero(mask).tolist()]
        return replace(self, traces=replace(self.traces, values=values))

    def check(self, where: str) -> None:
        """Every loss needs gold that varies, and nCCE as many different values as clusters."""
        if len(np.unique(self._learned())) < 2:
            late = f" after the first {self.delay_s:g} s (--delay)" if self.delay_s else ""
            raise DataError(
                f"{where}: {self.name} never changes in the training part{late}; there is nothing "
                "to learn"
            )
        self._centres(where)

    def doubts(self) -> list[str]:
        values = _joined(self.traces.values)
        few = len(np.unique(values[~np.isnan(values)])) < 2
        return [never_changes(self.name)] if few else []

    def strata(self) -> None:
        return None

    def counted(self) -> dict[str, int]:
        return {}

    def unfitting(self, durations_s: np.ndarray) -> np.ndarray:
        """(N,) bool: utterances whose values last longer or shorter than the given seconds (N,)."""
        rate_hz = self.traces.rate_hz
        pairs = zip(self.traces.values, durations_s.tolist(), strict=True)
        return np.array([bool(len(v)) and not fits(len(v), rate_hz, s) for v, s in pairs], bool)

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        values = [
            resample(value, self.traces.rate_hz, rate_hz, ahead_s=self.delay_s)
            for value in self.traces.values
        ]
        traces = {**dataset.traces, self.name: Traces(rate_hz, 0, values)}
        return replace(dataset, traces=traces)

    def readout(self, where: str) -> Readout:
        from avaffect.models.heads.labels import Readout

        bins = len(self._centres(where))
        return Readout(
            self.name, self.kind, value=takes_values(self.losses), bins=bins, scaled=True
        )

    def fit(self, head: LabelHead, number: int, where: str) -> None:
        """The scale and the bins of these labels travel with the weights."""
        import torch

        learned = self._learned()
        if not is_usual(learned):
            set_scale(head, number, learned, UNIT)
        centres = self._centres(where)
        if len(centres):
            head.centres(number).copy_(torch.from_numpy(centres))

    def criterion(self, number: int, alone: bool) -> TraceCriterion:
        from avaffect.objectives.criteria import TraceCriterion

        return TraceCriterion(self.name, number, self.losses)

    def score(self, found: Sequence[np.ndarray], rate_hz: float) -> dict[str, float]:
        pairs = []
        for values, gold in zip(found, self.traces.values, strict=True):
            predicted = delayed(values, rate_hz, self.delay_s)
            pairs.append((predicted, resample(gold, self.traces.rate_hz, rate_hz, len(predicted))))
        predicted, gold = (_joined(side) for side in zip(*pairs))
        scores = {"ccc": concordance.ccc(predicted, gold)}
        if self.is_binary:
            scores[MAP] = _mean_precision(pairs)
        return {name: score for name, score in scores.items() if not np.isnan(score)}

    def ended(self, lines: Sequence[Line], alone: bool) -> tuple[bool, bool]:
        """Chance: no concordance; of a loss of the order alone, the divergence of equal scores."""
        if not only_ranks(self.losses):
            return concordance_ended(lines, self.name)
        found = ending(lines, self.criterion(0, alone).called(KL))
        if found is None:
            return False, False
        chance = found.late > NEARLY_CHANCE * self._divergence()
        return not chance and found.falling(self._divergence()), chance

    @property
    def ranks(self) -> bool:
        """Whether the order of a recording's values alone is learned."""
        return only_ranks(self.losses)

    @property
    def is_binary(self) -> bool:
        """Whether every known value is 0 or 1."""
        values = _joined(self.traces.values)
        return bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())

    def _divergence(self) -> float:
        """The mean of the loss kl where all scores of a recording are equal."""
        found = []
        for values in self.traces.values:
            known = values[~np.isnan(values)].astype(np.float64)
            if len(known) > 1:
                shares = np.exp(known - known.max())
                shares /= shares.sum()
                found.append(float((shares * np.log(shares * len(known))).sum()))
        return float(np.mean(found)) if found else 0.0

    def _learned(self) -> np.ndarray:
        """(N,) known values that some frame is trained on: with a delay, no frame has the first
        values."""
        first = int(np.ceil(round(self.delay_s * self.traces.rate_hz, 6)))
        values = _joined([value[first:] for value in self.traces.values])
        return values[~np.isnan(values)]

    def _centres(self, where: str) -> np.ndarray:
        """(bins,) centres of the loss; none where it has no bins."""
        cut = bins_of(self.losses)
        if cut is None:
            return np.empty(0)
        if cut == WIDTH:
            return equal_width(self._learned(), BINS)
        try:
            return clusters(self._learned(), BINS)
        except DataError as error:
            raise DataError(f"{where}: {self.name}: {error}") from error


def _mean_precision(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Of predicted and gold (T,) of each utterance, over those with a 1; NaN without any."""
    found = []
    for predicted, gold in pairs:
        known = ~np.isnan(gold) & ~np.isnan(predicted)
        found.append(ranking.average_precision(predicted[known], gold[known] > 0))
    there = [value for value in found if not np.isnan(value)]
    return float(np.mean(there)) if there else float("nan")


def without_order(traces: Traces) -> tuple[Traces, np.ndarray]:
    """The traces without those whose known values are all equal, in which there is nothing to rank;
    and (N,) bool, which these are."""
    flat = [len(v) > 0 and len(np.unique(v[~np.isnan(v)])) == 1 for v in traces.values]
    values = [v[:0] if is_flat else v for v, is_flat in zip(traces.values, flat)]
    return replace(traces, values=values), np.array(flat, dtype=bool)


def _joined(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=np.float32), *values])
