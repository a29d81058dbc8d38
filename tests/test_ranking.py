"""Average precision, the loss of the order within a recording, and the head of highlights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from label_heads import named, reads
from sklearn.metrics import average_precision_score

from avaffect.core.errors import UsageError
from avaffect.evaluation.ranking import average_precision, expected_precision
from avaffect.models.encoder import Frames
from avaffect.models.heads.highlight import HighlightConfiguration, HighlightHead
from avaffect.objectives.losses.listwise import listwise

SMALL = {"layers": 2, "attention_heads": 2, "ffn_dim": 12, "first_units": 6, "second_units": 5}


def test_average_precision_by_hand() -> None:
    # Places 1, 3 and 4: (1/1 + 2/3 + 3/4) / 3.
    found = average_precision(np.array([9.0, 7, 5, 3, 1]), np.array([1, 0, 1, 1, 0], dtype=bool))
    assert found == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # Equal scores come together: two of four, whatever their order.
    assert average_precision(np.zeros(4), np.array([1, 0, 0, 1], dtype=bool)) == 0.5
    assert np.isnan(average_precision(np.ones(3), np.zeros(3, dtype=bool)))
    with pytest.raises(ValueError, match="NaN"):
        average_precision(np.array([np.nan, 1]), np.array([True, False]))


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 8, 30) if seed % 2 else random.normal(size=30)
    relevant = random.random(30) < 0.3
    relevant[0] = True
    expected = average_precision_score(relevant, scores)
    assert average_precision(scores, relevant) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("count", "relevant"), [(1, 1), (5, 1), (6, 2), (6, 5), (4, 4)])
def test_the_expectation_is_the_mean_over_all_orders(count: int, relevant: int) -> None:
    gold = np.arange(count) < relevant
    orders = itertools.permutations(range(count))
    found = np.mean([average_precision(np.array(order), gold) for order in orders])
    assert expected_precision(count, relevant) == pytest.approx(found, abs=1e-12)
    assert np.isnan(expected_precision(count, 0))


def _naive(prediction: torch.Tensor, gold: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    total = prediction.new_zeros(())
    for row in range(len(prediction)):
        places = [t for t in range(prediction.shape[1]) if known[row, t]]
        if len(places) < 2:
            continue
        over = sum(torch.exp(prediction[row, t]) for t in places)
        true = sum(torch.exp(gold[row, t]) for t in places)
        for t in places:
            q = torch.exp(gold[row, t]) / true
            total = total + q * torch.log(q / (torch.exp(prediction[row, t]) / over))
    return total


def test_the_loss_and_its_gradient_against_a_loop() -> None:
    random = torch.Generator().manual_seed(1)
    shape = (5, 7)
    prediction = torch.randn(shape, generator=random, dtype=torch.float64, requires_grad=True)
    gold = (torch.rand(shape, generator=random, dtype=torch.float64) > 0.6).double()
    known = torch.rand(shape, generator=random) > 0.3
    known[0], known[1] = False, False
    known[1, 2] = True
    gold[~known] = torch.nan
    total, count = listwise(prediction, gold, known)
    expected = _naive(prediction, gold, known)
    assert count == 3 and total.dtype == torch.float64
    assert total.item() == pytest.approx(expected.item(), abs=1e-12) and total > 0
    found, reference = (torch.autograd.grad(x, prediction)[0] for x in (total, expected))
    torch.testing.assert_close(found, reference, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: listwise(x, gold, known)[0], (prediction,))
    # The level of a recording's scores is not learned, and its own softmax is the least loss.
    shifted = listwise(prediction + 3, gold, known)[0]
    assert shifted.item() == pytest.approx(total.item(), abs=1e-9)
    assert listwise(gold.nan_to_num(), gold, known)[0].item() == pytest.approx(0, abs=1e-12)


def _head(dim: int = 4, **options: object) -> HighlightHead:
    torch.manual_seed(0)
    configuration = HighlightConfiguration(reads(dim, 2.0), 1, **{**SMALL, **options})
    return HighlightHead(configuration).eval()


def test_a_score_a_segment_whatever_the_padding_and_the_order() -> None:
    head = _head(segment=1.5)
    assert head.frames_per_step == 3 and head.steps_hz == pytest.approx(1 / 1.5) and head.whole
    values = torch.randn(2, 9, 4)
    values[1, 5:] = 0
    frames = Frames(values, torch.tensor([9, 5]))
    found = head(named(frames)).over_time
    assert found.values.shape == (2, 3, 1) and found.lengths.tolist() == [3, 2]
    assert not found.values[1, 2].any()
    alone = head(named(Frames(values[1:, :5], torch.tensor([5])))).over_time
    torch.testing.assert_close(alone.values, found.values[1:, :2])
    # A set: segments in another order have the same scores in that order.
    order = torch.tensor([2, 0, 1])
    moved = values[:1].view(1, 3, 3, 4)[:, order].reshape(1, 9, 4)
    other = head(named(Frames(moved, torch.tensor([9])))).over_time
    torch.testing.assert_close(other.values[0], found.values[0, order])
    # Other segments matter.
    changed = values[:1].clone()
    changed[:, 6:] = torch.randn(1, 3, 4)
    third = head(named(Frames(changed, torch.tensor([9])))).over_time
    assert (third.values[0, 0] - found.values[0, 0]).abs() > 1e-6


def test_sizes_of_the_head() -> None:
    with pytest.raises(UsageError, match="attention_heads"):
        _head(3)
    head = _head(3, width=8)
    assert head(named(Frames(torch.randn(1, 4, 3), torch.tensor([4])))).utterance.shape == (1, 1)
    shapes = [tuple(p.shape) for n, p in _head().scores.named_parameters() if "weight" in n]
    assert shapes == [(6, 4), (5, 6), (1, 5)]
