from __future__ import annotations

import pytest
import torch
from label_heads import inputs_of, linear, of_class
from small_encoders import SMALL_TRANSFORMER

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.gradient_reversal import reversal_strength
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.models.heads.linear import LinearHead
from avaffect.models.heads.projector import Projector, ProjectorConfiguration
from avaffect.models.hubert import Hubert, HubertConfiguration
from avaffect.objectives.base import Context, Objective, Step
from avaffect.objectives.combined import Combined
from avaffect.objectives.criteria import ClassCriterion
from avaffect.objectives.masked_prediction import (
    MaskedPrediction,
    MaskedPredictionConfiguration,
    Masking,
    align_units,
)
from avaffect.objectives.projector import ProjectorTraining
from avaffect.objectives.supervised import Supervised

SMALL = HubertConfiguration(
    SMALL_TRANSFORMER,
    front_end="logmel",
    conv_layers=((16, 3, 2),),
    input_dropout=0.0,
    feature_grad_mult=1.0,
    final_dim=8,
)  # fmt: skip
CLASSES = 6


def make_batch(*samples: int, unit_rate: float = 100.0, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(samples)
    windows = ((lengths - 400) // 160 + 1).clamp(min=0)
    unit_lengths = windows if unit_rate == 100.0 else (windows + 1) // 2
    shape = (len(samples), max(samples))
    waveform = torch.randint(-9000, 9000, shape, generator=generator).to(torch.int16)
    shape = (len(samples), max(1, int(unit_lengths.max())))
    units = torch.randint(0, CLASSES, shape, generator=generator, dtype=torch.int32)
    return Batch(
        ids=[str(i) for i in range(len(samples))],
        streams={"waveform": waveform, "units": units},
        lengths={"waveform": lengths, "units": unit_lengths},
        present={"waveform": lengths > 0, "units": unit_lengths > 0},
        rates={"waveform": 16000.0, "units": unit_rate},
        labels={"emotion": torch.arange(len(samples)) % 3},
        domain=torch.arange(len(samples)) % 2,
    )


def rows(batch: Batch, index: list[int]) -> Batch:
    part = batch.map(lambda value: value[index])
    part.ids = [batch.ids[i] for i in index]
    return part


def context(seed: int = 0, progress: float = 0.5) -> Context:
    return Context(progress=progress, generator=torch.Generator().manual_seed(seed))


def masked_prediction(encoder: Hubert | None = None, **options) -> MaskedPrediction:
    torch.manual_seed(0)
    encoder = encoder or Hubert(SMALL)
    return MaskedPrediction(encoder, MaskedPredictionConfiguration(CLASSES, **options))


def saaml(*, terms: str = "ec dc pt", **options) -> Combined:
    torch.manual_seed(0)
    encoder = Hubert(SMALL)
    heads = {
        "emotion": Head(HeadConfiguration(encoder.dim, 3, hidden=10)) if "ec" in terms else None,
        "domain": Head(HeadConfiguration(encoder.dim, 2, hidden=10)) if "dc" in terms else None,
    }
    pretraining = masked_prediction(encoder) if "pt" in terms else None
    return Combined(encoder, "emotion", **heads, pretraining=pretraining, **options)


def total(objective: Objective, step: Step) -> torch.Tensor:
    return sum(
        objective.weights.get(name, 1.0) * value / count
        for name, (value, count) in step.losses.items()
    )


def as_floats(step: Step) -> dict[str, tuple[float, float]]:
    return {name: (value.item(), float(count)) for name, (value, count) in step.losses.items()}


def test_units_are_aligned_by_time():
    units = torch.arange(10)[None]
    at_100 = align_units(units, torch.tensor([9]), 100.0, 50.0, 6)
    assert at_100.tolist() == [[0, 2, 4, 6, 8, -1]]
    at_50 = align_units(units, torch.tensor([3]), 50.0, 50.0, 5)
    assert at_50.tolist() == [[0, 1, 2, -1, -1]]
    at_25 = align_units(units, torch.tensor([3]), 25.0, 50.0, 7)
    assert at_25.tolist() == [[0, 0, 1, 1, 2, 2, -1]]
    nothing = align_units(torch.zeros(1, 0, dtype=torch.int32), torch.tensor([0]), 50.0, 50.0, 2)
    assert nothing.tolist() == [[-1, -1]]


@torch.no_grad()
@pytest.mark.parametrize("unit_rate", [100.0, 50.0])
def test_masked_prediction_equals_its_definition(unit_rate):
    """Encoder, mask, target and mean, put together by hand from the objective's own parts."""
    objective = masked_prediction(unmasked_weight=1.0).eval()
    batch = make_batch(16000, 9000, unit_rate=unit_rate)
    step = objective(batch, context())
    plan = objective.plan(batch, context().generator)
    local = objective.encoder.features(batch)
    features, lengths = local.values, local.lengths
    frames = objective.encoder.contextualise(local, plan.mask).values
    sums = {"masked": [0.0, 0], "unmasked": [0.0, 0]}
    for b, length in enumerate(lengths.tolist()):
        for t in range(length):
            unit = int(batch.streams["units"][b, int(t * unit_rate / 50)])
            name = "masked" if plan.mask[b, t] else "unmasked"
            sums[name][0] -= float(objective.head(frames[b, t]).log_softmax(-1)[unit])
            sums[name][1] += 1
    losses = as_floats(step)
    for name, (value, count) in sums.items():
        assert losses[name] == (pytest.approx(value, rel=1e-4), count)
    valid = [features[b, :length] for b, length in enumerate(lengths.tolist())]
    penalty = float(torch.cat(valid).square().mean())
    value, count = losses["features_penalty"]
    assert value / count == pytest.approx(penalty, rel=1e-5)
    assert objective.weights == {"masked": 1.0, "unmasked": 1.0, "features_penalty": 10.0}


def test_unweighed_losses_are_measured_only():
    step = masked_prediction()(make_batch(16000, 9000), context())
    assert set(step.losses) == {"masked", "features_penalty"}
    assert not step.metrics["unmasked"][0].requires_grad
    right, asked = step.metrics["masked_accuracy"]
    assert asked == step.losses["masked"][1] and 0 <= right <= asked


def test_utterances_without_units_take_no_part():
    objective = masked_prediction(masking=Masking(same_count=False)).eval()
    batch = make_batch(16000, 12000, 9000)
    batch.lengths["units"] = torch.tensor([98, 0, 54])
    step = as_floats(objective(batch, context()))
    without = rows(batch, [0, 2])
    assert step["masked"][1] == as_floats(objective(without, context()))["masked"][1]
    assert step["features_penalty"] == pytest.approx(
        as_floats(objective(without, context()))["features_penalty"], rel=1e-5
    )


@pytest.mark.parametrize("samples", [(0, 399), (400, 16000), (1200,)])
def test_tiny_utterances_train_without_nan(samples):
    objective = masked_prediction(unmasked_weight=1.0)
    step = objective(make_batch(*samples), context())
    sum(value for value, _ in step.losses.values()).backward()
    assert all(value.isfinite() for value, _ in step.losses.values())
    assert all(p.grad.isfinite().all() for p in objective.parameters() if p.grad is not None)


def classification(
    head: LinearHead, encoder: Encoder | None = None, frozen: bool = False, penalty: float = 0.0
) -> Supervised:
    inputs = None if encoder is None else inputs_of(encoder)
    criteria = [ClassCriterion("emotion", 0, {"ce": 1.0})]
    return Supervised(of_class(head), criteria, inputs, frozen, penalty=penalty)


OBJECTIVES = {
    "masked": lambda: masked_prediction(unmasked_weight=0.5),
    "saaml": saaml,
    "saaml-without-pt": lambda: saaml(terms="ec dc"),
    "classification": lambda: classification(linear(16, 3), Hubert(SMALL)),
    "penalty": lambda: classification(linear(16, 3), Hubert(SMALL), penalty=0.1),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_counts_are_known_before_the_forward_pass(name):
    objective = OBJECTIVES[name]()
    batch = make_batch(16000, 9000, 300, 12000)
    batch.labels["emotion"][3] = -1
    here = context(7)
    counts = objective.counts(batch, here)
    step = objective(batch, here)
    assert counts == {name: float(count) for name, (_, count) in step.losses.items()}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_generator_alone_decides_what_is_drawn(name):
    objective = OBJECTIVES[name]().eval()
    batch = make_batch(16000, 12000)
    first, again = (as_floats(objective(batch, context(1))) for _ in range(2))
    assert first == again
    if "masked" in first:
        assert first["masked"] != as_floats(objective(batch, context(2)))["masked"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_few_steps_lower_the_loss(name):
    torch.manual_seed(0)
    objective = OBJECTIVES[name]()
    batch = make_batch(16000, 16000, 9000, 12000)
    optimiser = torch.optim.Adam(objective.parameters(), lr=3e-3)
    totals = []
    for _ in range(25):
        loss = total(objective, objective(batch, context(progress=0.0)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        totals.append(loss.item())
    assert totals[-1] < 0.8 * totals[0]


def test_objectives_run_under_bfloat16_autocast():
    for name in OBJECTIVES:
        objective = OBJECTIVES[name]().eval()
        batch = make_batch(16000, 9000)
        full = as_floats(objective(batch, context()))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            step = objective(batch, context())
        sum(value for value, _ in step.losses.values()).backward()
        half = as_floats(step)
        for loss, (value, count) in full.items():
            assert half[loss][1] == count
            assert half[loss][0] == pytest.approx(value, rel=0.02)


def test_saaml_terms_come_and_go():
    batch = make_batch(16000, 9000)
    for terms, names in {
        "ec dc pt": {"emotion", "domain", "masked", "features_penalty"},
        "ec dc": {"emotion", "domain"},
        "pt": {"masked", "features_penalty"},
        "ec": {"emotion"},
    }.items():
        objective = saaml(terms=terms)
        assert set(objective(batch, context()).losses) == names
        names_ = list(objective.state_dict())
        assert sum(name.endswith("mask_emb") for name in names_) == 1


def test_saaml_parts_equal_their_own_objectives():
    objective = saaml(weights={"pretraining": 0.5}).eval()
    batch = make_batch(16000, 9000)
    step = as_floats(objective(batch, context(3)))
    alone = as_floats(objective.pretraining(batch, context(3)))
    for name, value in alone.items():
        assert step[name] == pytest.approx(value, rel=1e-5)
    pooled = objective.encoder(batch).mean()
    expected = torch.nn.functional.cross_entropy(
        objective.emotion(pooled), batch.labels["emotion"], reduction="sum"
    )
    assert step["emotion"] == (pytest.approx(expected.item(), rel=1e-5), 2)
    assert objective.weights["masked"] == 0.5
    assert objective.weights["features_penalty"] == 5.0


def test_saaml_domain_gradient_is_reversed_in_the_encoder_only():
    batch = make_batch(16000, 9000)
    objective = saaml(terms="dc").eval()
    gradients = {}
    for progress in (0.2, 0.8):
        objective.zero_grad()
        objective(batch, context(progress=progress)).losses["domain"][0].backward()
        gradients[progress] = {
            name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None
        }
    pooled = objective.encoder(batch).mean()
    objective.zero_grad()
    torch.nn.functional.cross_entropy(
        objective.domain(pooled), batch.domain, reduction="sum"
    ).backward()
    for name, parameter in objective.named_parameters():
        for progress, found in gradients.items():
            if parameter.grad is None:
                assert name not in found
                continue
            factor = 1.0 if name.startswith("domain") else -reversal_strength(progress)
            torch.testing.assert_close(found[name], factor * parameter.grad, rtol=1e-3, atol=1e-6)


def test_saaml_groups_have_their_own_learning_rates_and_all_parameters_once():
    objective = saaml(learning_rates={"encoder": 1e-5, "heads": 1e-3})
    groups = {group.name: group for group in objective.parameter_groups()}
    assert {name: group.options for name, group in groups.items()} == {
        "encoder": {"lr": 1e-5},
        "heads": {"lr": 1e-3},
    }
    listed = [id(p) for group in groups.values() for p in group.parameters]
    assert sorted(listed) == sorted(id(p) for p in objective.parameters())
    encoder = {id(p) for p in objective.encoder.parameters()}
    assert encoder <= {id(p) for p in groups["encoder"].parameters}


def test_saaml_refuses_a_pretraining_of_another_encoder():
    with pytest.raises(ValueError, match="must own the encoder"):
        Combined(Hubert(SMALL), "emotion", pretraining=masked_prediction())


def test_a_frozen_encoder_stays_as_it_is():
    encoder = Hubert(SMALL)
    objective = classification(linear(16, 3), encoder, frozen=True)
    objective.train()
    assert not encoder.training and objective.head.training
    objective(make_batch(9000, 16000), context()).losses["classification"][0].backward()
    assert all(p.grad is None for p in encoder.parameters())
    assert [group.name for group in objective.parameter_groups()] == ["heads"]


def test_pooled_vectors_give_what_the_encoder_would():
    encoder = Hubert(SMALL).eval()
    head = linear(16, 3)
    batch = make_batch(9000, 16000)
    with torch.no_grad():
        batch.streams["pooled"] = encoder(batch).mean()
    live = as_floats(classification(head, encoder)(batch, context()))
    pooled = as_floats(classification(head)(batch, context()))
    assert live["classification"] == pytest.approx(pooled["classification"])


def test_projector_separates_classes_with_the_paper_s_weights():
    torch.manual_seed(0)
    projector = Projector(ProjectorConfiguration(dim=12, classes=3))
    objective = ProjectorTraining(projector, "emotion", learning_rates={"heads": 1e-2})
    assert objective.coupled and objective.weights == {"metric": 1.0, "classification": 0.5}
    labels = torch.arange(60) % 3
    vectors = torch.randn(3, 12)[labels] + 0.5 * torch.randn(60, 12)
    batch = Batch(
        ids=[str(i) for i in range(60)],
        streams={"pooled": vectors},
        labels={"emotion": labels},
    )
    optimiser = torch.optim.Adam(
        [{"params": g.parameters, **g.options} for g in objective.parameter_groups()]
    )
    for _ in range(40):
        step = objective(batch, context())
        optimiser.zero_grad()
        total(objective, step).backward()
        optimiser.step()
    right, count = step.metrics["accuracy"]
    assert count == 60 and right / count > 0.95
    embeddings = torch.nn.functional.normalize(projector(vectors), dim=1)
    similarity = embeddings @ embeddings.T
    same = labels[:, None] == labels[None]
    assert similarity[same].mean() > similarity[~same].mean() + 0.3


def test_projector_may_train_its_encoder():
    encoder = Hubert(SMALL)
    projector = Projector(ProjectorConfiguration(dim=16, classes=3))
    objective = ProjectorTraining(projector, "emotion", encoder)
    step = objective(make_batch(9000, 16000, 9000, 8000, 200), context())
    assert step.losses["classification"][1] == 4
    total(objective, step).backward()
    assert encoder.post_extract_proj.weight.grad.abs().sum() > 0
    assert [group.name for group in objective.parameter_groups()] == ["encoder", "heads"]
