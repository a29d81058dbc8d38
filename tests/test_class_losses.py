"""Losses of classes with weights, smoothed targets and the focal factor, against loops."""

from __future__ import annotations

import math

import pytest
import torch
from label_heads import linear, of_class

from avaffect.core.batch import Batch
from avaffect.objectives.base import Context
from avaffect.objectives.criteria import ClassCriterion, DistributionCriterion
from avaffect.objectives.emphasis import Emphasis
from avaffect.objectives.losses.cross_entropy import cross_entropy
from avaffect.objectives.losses.focal import focal, soft_focal
from avaffect.objectives.losses.kullback_leibler import kullback_leibler
from avaffect.objectives.losses.soft_cross_entropy import soft_cross_entropy
from avaffect.objectives.supervised import Supervised

NAN = float("nan")
TARGETS = torch.tensor([0, 2, -1, 1, 0])
SHARES = torch.tensor([[0.5, 0.5, 0], [0, 0, 1], [NAN] * 3, [0.2, 0.3, 0.5], [1, 0, 0]]).double()
WEIGHTS = (0.5, 2.0, 3.0)


def scores() -> torch.Tensor:
    drawn = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (3 * drawn).requires_grad_()


def naive(
    logits: torch.Tensor, shares: torch.Tensor, gamma: float = 0.0, smoothing: float = 0.0,
    of_classes: tuple[float, ...] = (1, 1, 1), divergence: bool = False,
) -> tuple[torch.Tensor, int]:  # fmt: skip
    """Row by row and class by class."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for row, right in zip(logits, shares.tolist()):
        if math.isnan(right[0]):
            continue
        count += 1
        weight = sum(s * w for s, w in zip(right, of_classes))
        exponentials = [torch.exp(value) for value in row]
        for place, share in enumerate(right):
            share = share * (1 - smoothing) + smoothing / len(right)
            p = exponentials[place] / sum(exponentials)
            total = total - weight * share * (1 - p) ** gamma * torch.log(p)
            if divergence and share:
                total = total + weight * share * math.log(share)
    return total, count


def one_hot(targets: torch.Tensor) -> torch.Tensor:
    rows = [[NAN] * 3 if t < 0 else [float(t == c) for c in range(3)] for t in targets.tolist()]
    return torch.tensor(rows, dtype=torch.float64)


def same(found: tuple, expected: tuple, logits: torch.Tensor, again: torch.Tensor) -> None:
    assert float(found[1]) == expected[1] == 4
    torch.testing.assert_close(found[0].double(), expected[0])
    torch.testing.assert_close(
        torch.autograd.grad(found[0], logits)[0], torch.autograd.grad(expected[0], again)[0]
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_losses_equal_a_loop(gamma: float) -> None:
    logits, again = scores(), scores()
    same(focal(logits, TARGETS, gamma=gamma), naive(again, one_hot(TARGETS), gamma), logits, again)
    logits, again = scores(), scores()
    same(soft_focal(logits, SHARES, gamma=gamma), naive(again, SHARES, gamma), logits, again)


def test_focal_losses_of_certain_scores_have_gradients() -> None:
    certain = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    for gamma in (0.0, 0.5, 2.0):
        total, _ = focal(certain, torch.tensor([0, 0]), gamma=gamma)
        (slope,) = torch.autograd.grad(total, certain)
        assert total.item() == pytest.approx(200.0) and slope.isfinite().all()
        assert slope[1, 1] == pytest.approx(1.0)


def test_weighted_losses_equal_a_loop() -> None:
    rows = Emphasis(WEIGHTS).weights(TARGETS)
    assert rows.tolist() == [0.5, 3.0, 0.0, 2.0, 0.5]
    soft = Emphasis(WEIGHTS).weights(SHARES)
    torch.testing.assert_close(soft, torch.tensor([1.25, 3.0, 0.0, 2.2, 0.5]))
    for function, given, targets, more in (
        (cross_entropy, rows, TARGETS, {}),
        (focal, rows, TARGETS, {"gamma": 1.5}),
        (soft_cross_entropy, soft, SHARES, {}),
        (soft_focal, soft, SHARES, {"gamma": 1.5}),
        (kullback_leibler, soft, SHARES, {}),
    ):
        logits, again = scores(), scores()
        shares = one_hot(targets) if targets.ndim == 1 else targets
        expected = naive(again, shares, **more, of_classes=WEIGHTS,
                         divergence=function is kullback_leibler)  # fmt: skip
        same(function(logits, targets, given.double(), **more), expected, logits, again)


@pytest.mark.parametrize("loss", ["ce", "focal"])
def test_smoothed_and_weighted_targets_in_a_criterion(loss: str) -> None:
    emphasis = Emphasis(WEIGHTS, 0.3, 1.5)
    gamma = 1.5 if loss == "focal" else 0.0
    classes = ClassCriterion("emotion", 0, {loss: 1.0}, emphasis)
    votes = DistributionCriterion("votes", 0, {loss: 1.0}, emphasis)
    for criterion, targets in ((classes, TARGETS), (classes, SHARES), (votes, SHARES)):
        logits, again = scores(), scores()
        (found,) = criterion.found(logits, targets).values()
        shares = one_hot(targets) if targets.ndim == 1 else targets
        same(found, naive(again, shares, gamma, 0.3, WEIGHTS), logits, again)


def test_a_criterion_without_options_is_as_before() -> None:
    logits = scores()
    found = ClassCriterion("emotion", 0, {"ce": 1.0}).found(logits, TARGETS)["classification"]
    expected = torch.nn.functional.cross_entropy(logits, TARGETS, ignore_index=-1, reduction="sum")
    assert torch.equal(found[0], expected)


def test_micro_batches_do_not_change_weighted_losses() -> None:
    torch.manual_seed(0)
    criteria = [ClassCriterion("emotion", 0, {"focal": 1.0}, Emphasis(WEIGHTS, 0.1))]
    objective = Supervised(of_class(linear(4, 3)), criteria)
    whole = Batch(list("abcde"), {"pooled": torch.randn(5, 4)}, labels={"emotion": TARGETS})
    parts = [
        Batch(whole.ids[rows], {"pooled": whole.streams["pooled"][rows]},
              labels={"emotion": TARGETS[rows]})
        for rows in (slice(0, 2), slice(2, 5))
    ]  # fmt: skip
    (total,), *each = (
        [v for v in objective(b, Context()).losses.values()] for b in (whole, *parts)
    )
    torch.testing.assert_close(sum(e[0][0] for e in each), total[0])
    counted = [objective.counts(part, Context())["focal_emotion"] for part in parts]
    assert counted == [float(e[0][1]) for e in each] and sum(counted) == float(total[1]) == 4
