"""Raters' votes as gold, and scores of predicted distributions beside those of their class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.data.manifest import Item
from avaffect.evaluation import distributions
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.settings.class_map import ClassMap

SCORES = distributions.SCORES


@dataclass(frozen=True)
class Votes:
    """Raters' votes for the classes of an utterance: numbers or shares."""

    classes: tuple[str, ...]
    numbers: tuple[float, ...]

    def by_class(self) -> dict[str, float]:
        return dict(zip(self.classes, self.numbers, strict=True))

    def most_voted(self, chosen: ClassMap) -> str | None:
        """The class with most votes, which are added up where classes are merged; None of a tie and
        without votes."""
        summed = chosen.summed(self.by_class())
        (place,) = distributions.majority(distributions.shares(np.array([list(summed.values())])))
        return list(summed)[place] if place >= 0 else None


# Id -> class or votes, None where missing.
Gold = dict[str, str | Votes | None]


def true_classes(gold: Gold, chosen: ClassMap) -> dict[str, str | None]:
    """Id -> class, after --classes; of votes the one with most."""
    return {
        identifier: label.most_voted(chosen) if isinstance(label, Votes) else chosen.renamed(label)
        for identifier, label in gold.items()
    }


@dataclass(frozen=True)
class VoteScores:
    """Mean KL divergence and cross-entropy of the shares of votes of `votes` utterances."""

    kl: float
    ce: float
    votes: int


def by_run(
    items: Sequence[Item], classes: Sequence[str], gold: Gold | None, chosen: ClassMap
) -> dict[RunName, VoteScores]:
    """The scores of each run over `classes`; empty where predictions have no scores, or the gold
    (None: that of the items) no votes. Utterances whose votes are tied count, too."""
    rows: dict[RunName, list[tuple[list[float], list[float]]]] = {}
    for item in items:
        right, predicted = votes_of(item, gold), item.get("scores")
        if right is None or predicted is None:
            continue
        sides = [chosen.summed(predicted), chosen.summed(right)]
        pair = [[side.get(name, 0.0) for name in classes] for side in sides]
        if all(sum(side) > 0 for side in pair):
            rows.setdefault(item.get("run", 0), []).append((pair[0], pair[1]))
    scores: dict[RunName, VoteScores] = {}
    for run, pairs in rows.items():
        shares, votes = (np.array(side) for side in zip(*pairs))
        if chosen:
            # Without the classes that were left out.
            shares = distributions.shares(shares)
        true = distributions.shares(votes)
        scores[run] = VoteScores(
            kl=float(distributions.divergence(shares, true).mean()),
            ce=float(distributions.cross_entropy(shares, true).mean()),
            votes=len(pairs),
        )
    return scores


def votes_of(item: Item, gold: Gold | None) -> Mapping[str, float] | None:
    if gold is None:
        return item.get("gold_scores")
    label = gold.get(item["id"])
    return label.by_class() if isinstance(label, Votes) else None
