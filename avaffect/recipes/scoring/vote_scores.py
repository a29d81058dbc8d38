"""Scores of predicted distributions over classes beside those of their most frequent class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avaffect.data.manifest import Item, Manifest
from avaffect.evaluation import distributions
from avaffect.recipes.scoring.reports.base import RunName

SCORES = distributions.SCORES


@dataclass(frozen=True)
class VoteScores:
    """Mean KL divergence and cross-entropy of the shares of votes of `votes` utterances."""

    kl: float
    ce: float
    votes: int


def by_run(found: Manifest, items: list[Item]) -> dict[RunName, VoteScores]:
    """The scores of each run; empty where the predictions are of no votes. Utterances without a
    most frequent class count, too."""
    classes = found.header.classes or ()
    rows: dict[RunName, list[tuple[list[float], list[float]]]] = {}
    for item in items:
        right, said = item.get("gold_scores"), item.get("scores")
        if right is not None and said is not None:
            pair = [[side.get(name, 0.0) for name in classes] for side in (said, right)]
            rows.setdefault(item.get("run", 0), []).append((pair[0], pair[1]))
    scores: dict[RunName, VoteScores] = {}
    for run, pairs in rows.items():
        predicted, votes = (np.array(side) for side in zip(*pairs))
        right = distributions.shares(votes)
        scores[run] = VoteScores(
            kl=float(distributions.divergence(predicted, right).mean()),
            ce=float(distributions.cross_entropy(predicted, right).mean()),
            votes=len(pairs),
        )
    return scores
