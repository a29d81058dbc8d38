"""FixMatch and CDAC in `adapt`: their losses against naive loops, and what is summed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from test_combined import TwoPhases, combined, context, speech
from test_objectives_av import make_batch, objective
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.objectives import weak_and_strong
from avaffect.objectives.base import Context
from avaffect.objectives.combined import Combined
from avaffect.objectives.losses.adversarial_clustering import (
    adversarial_clustering,
    similar_pairs,
)
from avaffect.objectives.losses.consistency import consistency
from avaffect.objectives.losses.pseudo_label import pseudo_label, pseudo_labels
from avaffect.objectives.masked_prediction import Masking
from avaffect.objectives.semi_supervised import CDAC, FixMatch, Retrieved
from avaffect.objectives.weak_and_strong import Views
from avaffect.signal.augmentations import Augmentation

KNOWN = torch.tensor([True, True, False, True, True, True])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, inputs))


def probability(logits: Tensor, row: int, column: int) -> Tensor:
    return logits[row, column].exp() / sum(value.exp() for value in logits[row])


class TestLosses:
    def test_pseudo_label_is_the_loop(self) -> None:
        weak, strong = drawn(6, 3, seed=1), drawn(6, 3, seed=2)
        labels = pseudo_labels(1.5 * weak, 0.8)
        assert not labels.requires_grad
        expected, chosen = torch.zeros((), dtype=torch.float64), 0
        for row in range(6):
            shares = [float(probability(1.5 * weak, row, c).detach()) for c in range(3)]
            sure = max(shares) >= 0.8
            assert int(labels[row]) == (shares.index(max(shares)) if sure else -1)
            if sure and KNOWN[row]:
                chosen += 1
                expected = expected - probability(strong, row, int(labels[row])).log()
        assert 0 < chosen < 5
        total, count = pseudo_label(strong, labels, KNOWN)
        assert int(count) == 5
        torch.testing.assert_close(total, expected)
        torch.testing.assert_close(gradients(total, strong), gradients(expected, strong))

    def test_adversarial_clustering_is_the_loop(self) -> None:
        features = drawn(6, 7, seed=3).detach()
        # The same largest features in another order, and with others.
        features[1] = features[0].clone()
        first, second = features[0].topk(2).indices.tolist()
        features[1, first], features[1, second] = features[0, second], features[0, first]
        one, other = drawn(6, 3, seed=4), drawn(6, 3, seed=5)
        expected, pairs, similar = torch.zeros((), dtype=torch.float64), 0, 0
        for i in range(6):
            for j in range(6):
                largest = [set(features[k].argsort(descending=True)[:2].tolist()) for k in (i, j)]
                same = largest[0] == largest[1]
                assert bool(similar_pairs(features, 2)[i, j]) == same
                if not (KNOWN[i] and KNOWN[j]):
                    continue
                agreeing = sum(probability(one, i, c) * probability(other, j, c) for c in range(3))
                expected = expected - torch.log(agreeing if same else 1 - agreeing)
                pairs, similar = pairs + 1, similar + (same and i != j)
        assert pairs == 25 and similar == 2
        total, count = adversarial_clustering(features, one.softmax(1), other.softmax(1), KNOWN, 2)
        assert int(count) == 25
        torch.testing.assert_close(total, expected)
        found, naive = (gradients(loss, one, other) for loss in (total, expected))
        torch.testing.assert_close(found, naive)

    def test_a_certain_prediction_has_a_finite_loss(self) -> None:
        logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
        shares, known = logits.softmax(1), torch.ones(2, dtype=torch.bool)
        total, _ = adversarial_clustering(torch.ones(2, 4), shares, shares, known, 2)
        total.backward()
        assert total.isfinite() and logits.grad is not None and logits.grad.isfinite().all()

    def test_consistency_is_the_loop(self) -> None:
        one, other = drawn(6, 3, seed=6), drawn(6, 3, seed=7)
        expected = sum(
            (probability(one, row, c) - probability(other, row, c)) ** 2 / 3
            for row in range(6)
            for c in range(3)
            if KNOWN[row]
        )
        total, count = consistency(one.softmax(1), other.softmax(1), KNOWN)
        assert int(count) == 5
        torch.testing.assert_close(total, expected)
        found, naive = (gradients(loss, one, other) for loss in (total, expected))
        torch.testing.assert_close(found, naive)


class Shown(Views):
    """Strong views that are known: fixed vectors in place of a pass of the encoder."""

    def strong(self, encoder, batch, layer, generator):  # type: ignore[override]
        dtype = torch.float64 if isinstance(encoder, Of4) else torch.float32
        return torch.randn(len(batch), encoder.dim, generator=generator, dtype=dtype)


class Of4(nn.Module):
    dim = 4


def retrieved(pooled: Tensor) -> Retrieved:
    labels = torch.tensor([0, 1, -1, 2, 0, 1])
    return Retrieved(Batch(ids=list("abcdef")), pooled, labels, Of4(), None)  # type: ignore[arg-type]


def test_cdac_trains_classifier_and_encoder_against_each_other() -> None:
    classifier = nn.Linear(4, 3).double()
    pooled = drawn(6, 4, seed=8)
    method = CDAC(Shown(), confidence=0.4, ranked=2)
    drawing = Context(generator=torch.Generator().manual_seed(0))
    step = method.step(classifier, retrieved(pooled), drawing)
    assert step.losses.keys() == {"clustering", "pseudo_label", "consistency"}
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    shares = [classifier(values).softmax(1) for values in (pooled, first)]
    expected, _ = adversarial_clustering(pooled, *shares, KNOWN, 2)
    found = step.losses["clustering"][0]
    torch.testing.assert_close(found, expected)
    for weight, sign in ((pooled, 1), (classifier.weight, -1), (classifier.bias, -1)):
        [own], [naive] = (
            torch.autograd.grad(loss, weight, retain_graph=True) for loss in (found, expected)
        )
        assert naive.abs().max() > 1e-3
        torch.testing.assert_close(own, sign * naive)


def test_the_weight_of_consistency_grows() -> None:
    method = CDAC(Views(), ramp=100, consistency_weight=30.0)
    weights = [method.weights(step)["consistency"] for step in (0, 50, 100, 1000)]
    assert weights == pytest.approx([30 * math.exp(-5), 30 * math.exp(-1.25), 30, 30])
    assert replace(method, ramp=0).weights(0)["consistency"] == 30


@pytest.fixture
def encoder() -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(RecurrentConfiguration(bands=80, layers=1, hidden=6, dim=4))


METHODS = {
    "fixmatch": (FixMatch(Shown(), confidence=0.5, weight=0.25), {"pseudo_label"}),
    "cdac": (
        CDAC(Shown(), confidence=0.5, ranked=2), {"clustering", "pseudo_label", "consistency"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_terms_are_those_of_saaml_and_of_the_method(name: str, encoder: RecurrentEncoder) -> None:
    """L_EC is of the source alone, L_DC of all."""
    method, own = METHODS[name]
    whole = combined(encoder, TwoPhases(encoder), unlabelled=method).eval()
    batch = speech(9000, 8000, 7000, 8500)
    step = whole(batch, context(), "first")
    assert step.losses.keys() == {"emotion", "domain", "size_first"} | own
    counts = {name: float(count) for name, (_, count) in step.losses.items()}
    assert counts["emotion"] == 2 and counts["domain"] == 4 and counts["pseudo_label"] == 2
    assert whole.emotion is not None
    logits = whole.emotion(encoder(batch).mean())
    source = batch.domain == 0
    expected = nn.functional.cross_entropy(
        logits[source], batch.labels["emotion"][source], reduction="sum"
    )
    torch.testing.assert_close(step.losses["emotion"][0], expected)
    assert own <= whole.weights.keys() and whole.weights["pseudo_label"] == method.weight
    assert whole(batch, context(), "second").losses.keys() == {"size_second"}


def test_counts_are_known_before_the_pass(encoder: RecurrentEncoder) -> None:
    whole = combined(encoder, None, unlabelled=METHODS["fixmatch"][0])
    batch = speech(9000, 8000, 0, 8500, 7000, 0)
    step = whole(batch, context())
    assert whole.counts(batch, context()) == {
        name: float(count) for name, (_, count) in step.losses.items()
    }
    assert whole.counts(batch, context())["pseudo_label"] == 2


def test_methods_that_compare_utterances_are_coupled(encoder: RecurrentEncoder) -> None:
    found = {
        name: combined(encoder, None, unlabelled=method).coupled
        for name, (method, _) in METHODS.items()
    }
    assert found == {"fixmatch": False, "cdac": True}
    with pytest.raises(ValueError, match="emotion"):
        type(combined(encoder, None))(encoder, "emotion", unlabelled=METHODS["cdac"][0])


class TestViewsOfSound:
    def test_the_weak_view_is_the_sound(self, encoder: RecurrentEncoder) -> None:
        batch = speech(9000, 8000)
        assert Views.of(encoder, ("waveform",)).weak(batch, torch.Generator()) is batch

    def test_strong_views_differ_and_are_drawn(self, encoder: RecurrentEncoder) -> None:
        views, batch = Views.of(encoder, ("waveform",)), speech(9000, 8000)
        # Rooms and speed, and masks where there are local features to mask.
        assert views.sound is not None and len(views.sound.changes) == 2
        with torch.no_grad():
            found = [
                views.strong(encoder, batch, None, torch.Generator().manual_seed(seed))
                for seed in (1, 1, 2)
            ]
            plain = encoder(batch).mean()
        assert torch.equal(found[0], found[1])
        assert not torch.allclose(found[0], found[2]) and not torch.allclose(found[0], plain)

    def test_faces_alone_are_changed_where_there_are_any(self, encoder: RecurrentEncoder) -> None:
        views, batch = Views.of(encoder, ("waveform", "face")), speech(9000, 8000)
        faces = torch.randint(0, 256, (2, 30, 12, 12, 1), dtype=torch.uint8)
        batch.streams["face"] = faces
        generator = torch.Generator().manual_seed(1)
        weak = views.weak(batch, generator)
        assert torch.equal(weak.waveform, batch.waveform) and weak.face.shape == faces.shape
        assert not torch.equal(weak.face, faces.float())
        # Sound is heard as it is in the strong view.
        strong = views.strong(encoder, batch, None, generator)
        torch.testing.assert_close(strong, encoder(batch).mean())


@pytest.mark.parametrize("method", [FixMatch, CDAC])
@pytest.mark.parametrize("missing", [None, "face", "waveform"])
def test_talking_faces(method: type, missing: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak views of all utterances, strong ones of the retrieved, such without faces among them."""
    seen: list[tuple[int, bool]] = []
    changed = weak_and_strong.augmented

    def augmented(batch: Batch, change: Augmentation, generator: torch.Generator) -> Batch:
        found = changed(batch, change, generator)
        seen.append((len(batch), found is not batch))
        return found

    monkeypatch.setattr(weak_and_strong, "augmented", augmented)
    pretraining = objective(Masking())
    encoder = pretraining.encoder
    heads = [Head(HeadConfiguration(encoder.dim, n, hidden=10)) for n in (3, 2)]
    views = Views.of(encoder, ("waveform", "face"))
    whole = Combined(
        encoder, "emotion", heads[0], heads[1], pretraining, unlabelled=method(views, 0.3)
    )
    batch = make_batch([20, 12, 0, 16, 14, 0], [20, 12, 18, 0, 14, 9])
    if missing is not None:
        for values in (batch.streams, batch.lengths, batch.present):
            values.pop(missing)
    total = sum(value / count for value, count in whole(batch, context()).losses.values())
    total.backward()
    assert total.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in whole.parameters())
    faces = missing != "face"
    strong = [(3, faces)] * (1 if method is FixMatch else 2)
    assert seen == [(6, faces), *strong]
