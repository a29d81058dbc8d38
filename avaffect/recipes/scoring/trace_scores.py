"""Scores of one trace label over recordings and runs, as reports hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.evaluation import concordance
from avaffect.evaluation.classification import defined
from avaffect.evaluation.concordance import SCORES, Agreement, Concordance, CountedAgreement
from avaffect.evaluation.statistics import mean_and_std, mean_defined
from avaffect.recipes.scoring.class_pairs import Units
from avaffect.recipes.scoring.reports.traces import Ends

# All values as one trace; the mean of the recordings' own scores.
WAYS = ("pooled", "mean")
LEVEL = 0.95
# Draws of recordings that are scored at once.
BLOCK = 1000
A = TypeVar("A", bound=Agreement)


@dataclass(frozen=True)
class LabelMoments:
    """ids: of K recordings; moments: (runs, K, 8), see evaluation.concordance; unpredicted: known
    gold values at times without a prediction."""

    ids: list[str]
    moments: np.ndarray
    unpredicted: int = 0

    @property
    def counts(self) -> np.ndarray:
        """(runs, K): values that are known on both sides."""
        return self.moments[..., 0]

    @property
    def empty(self) -> list[str]:
        """Recordings without a value to score in any run."""
        return [i for i, counts in zip(self.ids, self.counts.T) if not counts.any()]

    @property
    def runs_differ(self) -> bool:
        """Whether runs predict different recordings."""
        return bool(((self.counts > 0) != (self.counts[:1] > 0)).any())

    @property
    def constant(self) -> list[str]:
        """Recordings whose prediction, in any run, or gold does not vary."""
        flat = np.asarray(concordance.constant(self.moments).any(axis=0))
        return [identifier for identifier, found in zip(self.ids, flat) if found]


@dataclass(frozen=True)
class LabelScores:
    """Of one label: pooled, mean and recordings as in `Concordance`, means over runs; std: way ->
    standard deviations over runs (None of one run); runs: of each.

    Undefined scores of a run are left out of means over runs; a count is None where runs differ in
    it.
    """

    pooled: CountedAgreement
    mean: Agreement
    recordings: dict[str, CountedAgreement]
    std: dict[str, Agreement]
    runs: tuple[Concordance, ...]


def over_runs(name: str, found: LabelMoments, biased: bool) -> LabelScores:
    """Raises DataError naming a run without a value to score."""
    runs = []
    for number, moments in enumerate(found.moments):
        try:
            runs.append(concordance.evaluate(dict(zip(found.ids, moments)), biased))
        except ValueError as error:
            run = f"run {number}: " if len(found.moments) > 1 else ""
            raise DataError(f"{name}: {run}{error}") from error
    own = {i: [run.recordings[i] for run in runs if i in run.recordings] for i in found.ids}
    return LabelScores(
        pooled=_mean([run.pooled for run in runs]),
        mean=_mean([run.mean for run in runs]),
        recordings={i: _mean(scores) for i, scores in own.items() if scores},
        std={way: _std([getattr(run, way) for run in runs]) for way in WAYS},
        runs=tuple(runs),
    )


def intervals(
    found: LabelMoments, resamples: int, seed: int, biased: bool, units: Units | None = None
) -> dict[str, Ends]:
    """way -> score -> [low, high]: percentiles of the mean over runs, of bootstrap draws of
    recordings, or of units of several.

    Recordings are drawn with replacement, as many as there are: values within one are not
    independent. Of `units`, such as speakers, each is drawn with all that is of it. None where a
    score is undefined in every draw.
    """
    count = len(found.ids) if units is None else units.count
    column = slice(None) if units is None else np.array([units.place[i] for i in found.ids])
    random = seeds.generator(seed, "bootstrap", count)
    drawn: list[dict[str, dict[str, np.ndarray]]] = []
    for start in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - start)
        weights = random.multinomial(count, np.full(count, 1 / count), size=size)[:, column]
        runs = [concordance.resampled(moments, weights, biased) for moments in found.moments]
        drawn.append({
            way: {s: _known_mean(np.stack([run[way][s] for run in runs])) for s in SCORES}
            for way in WAYS
        })  # fmt: skip
    return {
        way: {s: _middle(np.concatenate([block[way][s] for block in drawn])) for s in SCORES}
        for way in WAYS
    }


def _mean(found: Sequence[A]) -> A:
    means: dict[str, Any] = {
        name: mean_defined([getattr(run, name) for run in found]) for name in SCORES
    }
    counts = {run.count for run in found if isinstance(run, CountedAgreement)}
    if counts:
        means["count"] = counts.pop() if len(counts) == 1 else None
    return replace(found[0], **means)


def _std(found: Sequence[Agreement]) -> Agreement:
    spread = {}
    for name in SCORES:
        known = [value for run in found if (value := getattr(run, name)) is not None]
        spread[name] = defined(mean_and_std(known)[1]) if known else None
    return Agreement.from_dict(spread)


def _known_mean(values: np.ndarray) -> np.ndarray:
    """(runs, B) -> (B,): the mean of the defined values, NaN without any."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    undefined = np.full(total.shape, np.nan)
    return np.divide(total, known.sum(axis=0), out=undefined, where=known.any(axis=0))


def _middle(values: np.ndarray) -> tuple[float, ...] | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    return tuple(float(v) for v in np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
