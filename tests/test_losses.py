"""Losses against naive loops, golden values and finite differences."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.models.heads.units import PredictionHead, PredictionHeadConfiguration
from avaffect.objectives.losses.cross_entropy import accuracy, cross_entropy
from avaffect.objectives.losses.domain import domain_adversarial
from avaffect.objectives.losses.masked_prediction import masked_prediction
from avaffect.objectives.losses.multi_similarity import MultiSimilarity

GOLDEN = np.load(Path(__file__).parent / "golden" / "ms_loss.npz")


def naive_multi_similarity(embeddings, labels, alpha, beta, base, epsilon):
    """Equations 1-3 word for word: loops over anchors and pairs."""
    unit = [e / e.norm() for e in embeddings]
    total = 0.0
    for i in range(len(unit)):
        same = [k for k in range(len(unit)) if k != i and labels[k] == labels[i]]
        other = [k for k in range(len(unit)) if labels[k] != labels[i]]
        if not same or not other:
            hard_same, hard_other = [], []
        else:
            lowest = min(float(unit[i] @ unit[k]) for k in same)
            highest = max(float(unit[i] @ unit[k]) for k in other)
            hard_other = [k for k in other if float(unit[i] @ unit[k]) > lowest - epsilon]
            hard_same = [k for k in same if float(unit[i] @ unit[k]) < highest + epsilon]
        positive = sum(torch.exp(-alpha * (unit[i] @ unit[k] - base)) for k in hard_same)
        negative = sum(torch.exp(beta * (unit[i] @ unit[k] - base)) for k in hard_other)
        total = total + torch.log(torch.as_tensor(1.0 + positive)) / alpha
        total = total + torch.log(torch.as_tensor(1.0 + negative)) / beta
    return total / len(unit)


@pytest.mark.parametrize("base", [0.5, 1.0])
@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_multi_similarity_gives_the_golden_values(base, epsilon):
    embeddings = torch.from_numpy(GOLDEN["emb"])
    labels = torch.from_numpy(GOLDEN["labels"])
    total, count = MultiSimilarity(base=base, epsilon=epsilon)(embeddings, labels)
    expected = float(GOLDEN[f"loss_mined_base{base}_eps{epsilon}"])
    assert (total / count).item() == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_multi_similarity_equals_the_equations(seed):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(12, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (12,), generator=generator)
    total, count = MultiSimilarity()(embeddings, labels)
    expected = naive_multi_similarity(embeddings, labels.tolist(), 2.0, 50.0, 1.0, 0.5)
    assert (total / count).item() == pytest.approx(expected.item(), rel=1e-9)


def test_multi_similarity_leaves_unlabelled_rows_out():
    embeddings = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, -1, 0, 1, -1, 1, 0])
    whole = MultiSimilarity()(embeddings, labels)
    kept = MultiSimilarity()(embeddings[labels >= 0], labels[labels >= 0])
    torch.testing.assert_close(whole, kept)
    assert whole[1] == 6


@pytest.mark.parametrize("labels", [[0, 0, 0], [0], [], [-1, -1], [0, 1]])
def test_multi_similarity_without_pairs_is_a_finite_number_with_a_gradient(labels):
    embeddings = torch.randn(len(labels), 4, requires_grad=True)
    total, count = MultiSimilarity()(embeddings, torch.tensor(labels, dtype=torch.long))
    total.backward()
    assert total.isfinite() and embeddings.grad.isfinite().all()
    assert count == sum(label >= 0 for label in labels)


def test_cross_entropy_is_the_mean_negative_logarithm_of_labelled_rows():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [9.0, 9.0, 9.0]])
    total, count = cross_entropy(logits, torch.tensor([0, 2, -1]))
    first = -math.log(math.exp(2) / (math.exp(2) + 1 + math.exp(-1)))
    second = -math.log(1 / (2 + math.e))
    assert count == 2
    assert total.item() == pytest.approx(first + second, rel=1e-6)
    assert [int(v) for v in accuracy(logits, torch.tensor([0, 2, -1]))] == [1, 2]


def test_cross_entropy_without_labels_is_zero():
    logits = torch.randn(3, 2, requires_grad=True)
    total, count = cross_entropy(logits, torch.tensor([-1, -1, -1]))
    total.backward()
    assert (total.item(), count.item()) == (0.0, 0) and not logits.grad.any()


def prediction_example():
    generator = torch.Generator().manual_seed(0)
    head = PredictionHead(PredictionHeadConfiguration(dim=5, classes=4, final_dim=3)).double()
    frames = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 4, (2, 6), generator=generator)
    targets[1, 4:] = -1
    selected = torch.rand(2, 6, generator=generator) < 0.6
    return head, frames, targets, selected


@torch.no_grad()
def test_masked_prediction_equals_a_loop_over_hidden_frames():
    head, frames, targets, selected = prediction_example()
    (total, count), (right, asked) = masked_prediction(head, frames, targets, selected)
    expected, number, correct = 0.0, 0, 0
    for b in range(2):
        for t in range(6):
            if not selected[b, t] or targets[b, t] < 0:
                continue
            projected = head.final_proj.weight @ frames[b, t] + head.final_proj.bias
            scores = [
                float(projected @ e / (projected.norm() * e.norm())) / 0.1
                for e in head.label_embs_concat
            ]
            normaliser = math.log(sum(math.exp(s) for s in scores))
            expected += normaliser - scores[targets[b, t]]
            correct += scores.index(max(scores)) == targets[b, t]
            number += 1
    assert number > 0
    assert total.item() == pytest.approx(expected, rel=1e-9)
    assert [count.item(), asked.item(), right.item()] == [number, number, correct]


def test_masked_prediction_gradient_agrees_with_finite_differences():
    head, frames, targets, selected = prediction_example()
    frames.requires_grad_(True)
    parameters = list(head.parameters())
    assert torch.autograd.gradcheck(
        lambda f, *_: masked_prediction(head, f, targets, selected)[0][0], (frames, *parameters)
    )


def test_multi_similarity_gradient_agrees_with_finite_differences():
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(8, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    for loss in (MultiSimilarity(), MultiSimilarity(base=0.5, epsilon=0.1)):
        assert torch.autograd.gradcheck(lambda e, loss=loss: loss(e, labels)[0], (embeddings,))


def test_domain_loss_trains_its_classifier_and_opposes_the_features():
    torch.manual_seed(0)
    classifier = Head(HeadConfiguration(dim=3, outputs=2, hidden=5)).double()
    pooled = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    domain = torch.tensor([0, 1, 0, 1, 1, -1])

    def loss(strength):
        return domain_adversarial(classifier, pooled, domain, strength)[0]

    logits = classifier(pooled)
    expected = -sum(logits[i].log_softmax(0)[domain[i]] for i in range(5))
    total, count = loss(0.3)
    assert count == 5
    torch.testing.assert_close(total, expected)
    wanted = [pooled, *classifier.parameters()]
    plain = torch.autograd.grad(expected, wanted)
    reversed_ = torch.autograd.grad(total, wanted)
    torch.testing.assert_close(reversed_[0], -0.3 * plain[0])
    for ours, theirs in zip(reversed_[1:], plain[1:]):
        torch.testing.assert_close(ours, theirs)
    assert not torch.autograd.grad(loss(0.0)[0], pooled)[0].any()
