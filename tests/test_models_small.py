from __future__ import annotations

import json
import math

import pytest
import torch

from avaffect.core.errors import DataError
from avaffect.models import registry
from avaffect.models.encoder import Maskable
from avaffect.models.gradient_reversal import reversal_strength, reverse_gradient
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.models.heads.projector import Projector, ProjectorConfiguration
from avaffect.models.heads.units import PredictionHead, PredictionHeadConfiguration
from avaffect.models.hubert import PRESETS, Hubert
from avaffect.models.quantiser import Quantiser, QuantiserConfiguration
from avaffect.models.registry import ENCODERS
from avaffect.models.standardisation import Standardisation


def test_quantiser_finds_the_nearest_centroid_after_standardisation():
    torch.manual_seed(0)
    quantiser = Quantiser(QuantiserConfiguration(clusters=7, dim=5))
    quantiser.centroids.normal_()
    frames = 3.0 + 2.0 * torch.randn(2, 11, 5)
    quantiser.standardisation.set(torch.full((5,), 3.0), torch.full((5,), 2.0))
    units = quantiser(frames)
    for b in range(2):
        for t in range(11):
            x = (frames[b, t] - 3.0) / 2.0
            distances = [float((x - c).norm()) for c in quantiser.centroids]
            assert int(units[b, t]) == distances.index(min(distances))


@torch.no_grad()
def test_units_do_not_depend_on_precision():
    torch.manual_seed(0)
    quantiser = Quantiser(QuantiserConfiguration(clusters=50, dim=39))
    quantiser.centroids.normal_()
    frames = torch.randn(500, 39)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = quantiser(frames)
    assert torch.equal(half, quantiser(frames))


def test_standardisation_centres_constant_dimensions_only():
    standardisation = Standardisation(2)
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    standardisation.fit(x)
    torch.testing.assert_close(standardisation(x), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


def test_gradient_reversal_agrees_with_finite_differences():
    """Backwards it is exactly -strength times the gradient of the identity."""
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, dtype=torch.float64)

    def function(value):
        return (value.sin() * weight).sum()

    function(reverse_gradient(x, 0.7)).backward()
    step = 1e-6
    for i in range(4):
        for j in range(3):
            offset = torch.zeros_like(x)
            offset[i, j] = step
            with torch.no_grad():
                numeric = (function(x + offset) - function(x - offset)) / (2 * step)
            assert float(x.grad[i, j]) == pytest.approx(-0.7 * float(numeric), abs=1e-8)
    torch.testing.assert_close(reverse_gradient(x, 0.7), x)


def test_reversal_strength_grows_from_zero_to_nearly_one():
    assert reversal_strength(0.0) == 0.0
    assert reversal_strength(0.1) == pytest.approx((math.e - 1) / (math.e + 1))
    assert reversal_strength(1.0) == pytest.approx(0.99990920)


def test_heads_have_the_published_sizes():
    projector = Projector(ProjectorConfiguration(dim=768, classes=4))
    assert [tuple(p.shape) for p in projector.parameters()] == [
        (256, 768), (256,), (32, 256), (32,), (4, 32), (4,),
    ]  # fmt: skip
    domain = Head(HeadConfiguration(dim=768, outputs=2, hidden=100))
    assert [tuple(p.shape) for p in domain.parameters()] == [(100, 768), (100,), (2, 100), (2,)]
    assert domain(torch.zeros(3, 768)).shape == (3, 2)


def test_prediction_head_gives_cosines_over_its_temperature():
    torch.manual_seed(0)
    head = PredictionHead(PredictionHeadConfiguration(dim=6, classes=3, final_dim=4))
    assert set(head.state_dict()) == {
        "final_proj.weight", "final_proj.bias", "label_embs_concat",
    }  # fmt: skip
    frame = torch.randn(6)
    projected = head.final_proj.weight @ frame + head.final_proj.bias
    for score, embedding in zip(head(frame), head.label_embs_concat):
        cosine = (projected @ embedding) / (projected.norm() * embedding.norm())
        assert score.item() == pytest.approx(cosine.item() / 0.1, abs=1e-4)


MODULES = {
    "hubert": lambda: Hubert(PRESETS["nano"]),
    "quantiser": lambda: Quantiser(QuantiserConfiguration(3, 4)),
    "projector": lambda: Projector(ProjectorConfiguration(dim=8, classes=2)),
    "head": lambda: Head(HeadConfiguration(dim=8, outputs=2)),
    "prediction_head": lambda: PredictionHead(PredictionHeadConfiguration(dim=8, classes=5)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_description_rebuilds_its_module(name):
    module = MODULES[name]()
    description = json.loads(json.dumps(registry.describe(module)))
    assert description["name"] == name
    again = registry.build(description)
    again.load_state_dict(module.state_dict())
    assert again.configuration == module.configuration


def test_descriptions_from_elsewhere_are_refused_in_words():
    with pytest.raises(DataError, match="unknown encoder 'perceptron'"):
        registry.build({"name": "perceptron", "configuration": {}})
    with pytest.raises(DataError, match="this head does not fit"):
        registry.build({"name": "head", "configuration": {"width": 3}})


def test_which_encoders_tell_local_features_from_their_context() -> None:
    """Masked prediction and its like need both; pictures alone and given features have neither."""
    assert isinstance(Hubert(PRESETS["nano"]), Maskable)
    for name in ("visual", "features"):
        kind = ENCODERS[name].load()
        assert not hasattr(kind, "features") and not hasattr(kind, "contextualise")
