"""What `Combined` forwards of the pre-training within it, whatever that is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.objectives.base import Context, Needs, ParameterGroup, Pretraining, Step
from avaffect.objectives.combined import Combined
from avaffect.objectives.cropping import crop

RATES = {"waveform": 16000.0, "face": 25.0}


class TwoPhases(Pretraining):
    """Trains a part of the encoder in one phase, a head in the other; notes what it is told."""

    phases = ("first", "second")
    coupled = True
    betas = (0.5, 0.9)
    epsilon = 1e-6
    loss = "size"

    def __init__(self, encoder: RecurrentEncoder, seconds: float | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, 1)
        self.seconds = seconds
        self.told: list[tuple[str, str, float]] = []
        self.lengths: list[list[int]] = []

    @property
    def needs(self) -> Needs:
        return Needs(crop_s=self.seconds)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        self.lengths.append(batch.lengths["waveform"].tolist())
        size = self.head(self.encoder(batch).mean()).square()
        return Step({f"size_{phase}": (size.sum(), float(len(batch)))})

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        if phase == "first":
            return [ParameterGroup("output", list(self.encoder.output.parameters()), {"lr": 7.0})]
        return [ParameterGroup("all", list(self.head.parameters()), {"weight_decay": 0.25})]

    def before_step(self, context: Context, phase: str = "main") -> None:
        self.told.append(("before", phase, context.progress))

    def after_step(self, context: Context, phase: str = "main") -> None:
        self.told.append(("after", phase, context.progress))

    def collapse(self, metrics) -> str | None:
        return f"size {metrics['size']}"


def speech(*samples: int) -> Batch:
    lengths = torch.tensor(samples)
    sound = torch.randint(-900, 900, (len(samples), max(samples)), dtype=torch.int16)
    faces = torch.arange(30, dtype=torch.uint8)[None, :, None, None, None]
    return Batch(
        ids=[f"u{n}" for n in range(len(samples))],
        streams={"waveform": sound, "face": faces.expand(len(samples), 30, 2, 2, 1)},
        lengths={"waveform": lengths, "face": lengths // 640},
        present={"waveform": lengths > 0, "face": lengths > 0},
        rates=dict(RATES),
        labels={"emotion": torch.arange(len(samples)) % 2},
        domain=torch.arange(len(samples)) % 2,
    )


@pytest.fixture
def encoder() -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(RecurrentConfiguration(bands=80, layers=1, hidden=6, dim=4))


def combined(encoder: RecurrentEncoder, inner: Pretraining | None, **options) -> Combined:
    heads = [Head(HeadConfiguration(encoder.dim, 2)) for _ in range(2)]
    return Combined(encoder, "emotion", *heads, pretraining=inner, **options)


def context(seed: int = 0) -> Context:
    return Context(progress=0.25, generator=torch.Generator().manual_seed(seed))


def test_phases_coupling_and_the_optimiser_are_those_of_the_pre_training(encoder):
    whole = combined(encoder, TwoPhases(encoder), learning_rates={"encoder": 0.1, "heads": 0.2})
    assert (whole.phases, whole.coupled) == (("first", "second"), True)
    assert (whole.betas, whole.epsilon) == ((0.5, 0.9), 1e-6)
    assert combined(encoder, None).phases == ("main",) and not combined(encoder, None).coupled
    batch = speech(9000, 8000)
    assert whole(batch, context(), "first").losses.keys() == {"size_first", "emotion", "domain"}
    assert whole(batch, context(), "second").losses.keys() == {"size_second"}
    first, second = (whole.parameter_groups(phase) for phase in whole.phases)
    # L_EC and L_DC train all of the encoder, at its rate; what else a group says is kept.
    assert [(g.name, g.options) for g in first] == [
        ("encoder_output", {"lr": 0.1}), ("encoder_left", {"lr": 0.1}), ("heads", {"lr": 0.2}),
    ]  # fmt: skip
    assert [(g.name, g.options) for g in second] == [("encoder", {"weight_decay": 0.25, "lr": 0.1})]
    listed = [id(p) for group in (*first, *second) for p in group.parameters]
    assert sorted(listed) == sorted(id(p) for p in whole.parameters())


def test_classifiers_read_the_layer_that_is_chosen() -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(RecurrentConfiguration(bands=80, layers=2, hidden=4, dim=4))
    inner, batch = TwoPhases(encoder), speech(9000, 8000)
    with torch.no_grad():
        for layer in (None, 1):
            whole = combined(encoder, inner, layer=layer)
            assert whole.emotion is not None
            scores = whole.emotion(encoder(batch, layer=layer).mean())
            expected = F.cross_entropy(scores, batch.labels["emotion"], reduction="sum")
            found = whole(batch, context(), "first").losses["emotion"]
            torch.testing.assert_close(found[0], expected)
    with pytest.raises(UsageError):
        combined(encoder, inner, layer=3)


def test_hooks_and_collapse_are_passed_on(encoder):
    inner = TwoPhases(encoder)
    whole = combined(encoder, inner)
    whole.before_step(context(), "first")
    whole.after_step(context(), "second")
    assert inner.told == [("before", "first", 0.25), ("after", "second", 0.25)]
    assert whole.collapse({"size": 3}) == "size 3"
    alone = combined(encoder, None)
    alone.before_step(context())
    alone.after_step(context())
    assert alone.collapse({}) is None


def test_losses_that_it_does_not_name_are_weighed_too(encoder):
    whole = combined(encoder, TwoPhases(encoder), weights={"pretraining": 0.5, "domain": 2.0})
    whole(speech(9000, 8000), context(), "first")
    assert whole.weights == {"emotion": 1.0, "domain": 2.0, "size_first": 0.5}
    inner = TwoPhases(encoder)
    inner.weights = {"emotion": 1.0}
    with pytest.raises(ValueError, match="emotion"):
        combined(encoder, inner)


def test_the_pre_training_reads_clips_of_its_length_and_the_classifiers_all(encoder):
    inner = TwoPhases(encoder, seconds=0.2)
    whole = combined(encoder, inner).eval()
    batch = speech(16000, 8000, 2000)
    step = whole(batch, context(), "first")
    assert inner.lengths == [[3200, 3200, 2000]]
    expected = nn.functional.cross_entropy(
        whole.emotion(encoder(batch).mean()), batch.labels["emotion"], reduction="sum"
    )
    torch.testing.assert_close(step.losses["emotion"][0], expected)


def test_clips_of_all_streams_begin_together():
    batch = speech(16000, 12000, 2000)
    firsts = set()
    for seed in range(200):
        found = crop(batch, 0.2, torch.Generator().manual_seed(seed))
        assert found.lengths["waveform"].tolist() == [3200, 3200, 2000]
        assert found.lengths["face"].tolist() == [5, 5, 3]
        assert found.streams["face"].shape == (3, 5, 2, 2, 1)
        for row in range(2):
            # A picture's value is its place: 640 samples each.
            first = int(found.face[row, 0, 0, 0, 0])
            assert found.face[row, :, 0, 0, 0].tolist() == list(range(first, first + 5))
            start = 640 * first
            sound = batch.waveform[row, start : start + 3200]
            assert torch.equal(found.waveform[row], sound)
            firsts.add((row, first))
        assert torch.equal(found.waveform[2, :2000], batch.waveform[2, :2000])
    assert {first for row, first in firsts if row == 0} == set(range(21))
    assert max(first for row, first in firsts if row == 1) == 13
    assert torch.equal(batch.lengths["waveform"], torch.tensor([16000, 12000, 2000]))


class Sees(TwoPhases):
    """Notes which streams it sees, and whether it was told to drop none itself."""

    def __init__(self, encoder: RecurrentEncoder) -> None:
        super().__init__(encoder)
        self.seen: list[tuple[bool, bool]] = []
        self.keeps = False

    def keep_modalities(self) -> None:
        self.keeps = True

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        self.seen.append(tuple(bool(batch.present[name].any()) for name in RATES))  # type: ignore[arg-type]
        return Step({})


def test_a_batch_may_lose_one_modality_in_all_terms(encoder, monkeypatch):
    inner = Sees(encoder)
    assert not combined(encoder, inner).pretraining.keeps
    whole = combined(encoder, inner, modality_dropout=0.6)
    assert inner.keeps
    classified: list[tuple[bool, bool]] = []
    monkeypatch.setattr(
        whole, "_classify",
        lambda pooled, batch, *_: classified.append(
            tuple(bool(batch.present[name].any()) for name in RATES)
        ),
    )  # fmt: skip
    for seed in range(300):
        whole(speech(9000, 8000), context(seed), "first")
    assert classified == inner.seen
    shares = [inner.seen.count(kept) / 300 for kept in ((True, True), (True, False), (False, True))]
    assert shares == pytest.approx([0.4, 0.3, 0.3], abs=0.08)
