"""Objectives over an encoder of two modalities: what is hidden, what is missing, what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_encoders import SMALL_TRANSFORMER

from avaffect.core.batch import Batch
from avaffect.models.avhubert import AVHubert, AVHubertConfiguration
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.objectives.base import Context
from avaffect.objectives.combined import Combined
from avaffect.objectives.masked_prediction import (
    MaskedPrediction,
    MaskedPredictionConfiguration,
    Masking,
)
from avaffect.objectives.masking import span_mask, substitute_frames

SMALL = AVHubertConfiguration(
    SMALL_TRANSFORMER,
    face_size=24, crop_size=20, width=4, masking="feature", input_dropout=0.0,
    feature_grad_mult=1.0, final_dim=8,
)  # fmt: skip
CLASSES = 6


def make_batch(faces: list[int], sounds: list[int]) -> Batch:
    """Utterances with so many pictures, and sound of so many frames of 40 ms; 0 is missing."""
    generator = torch.Generator().manual_seed(0)
    count, frames = len(faces), torch.tensor([max(pair) for pair in zip(faces, sounds)])
    lengths = {"face": torch.tensor(faces), "waveform": 640 * torch.tensor(sounds), "units": frames}
    steps = {name: int(value.max()) for name, value in lengths.items()}
    wave = torch.randint(-9000, 9000, (count, steps["waveform"]), generator=generator)
    face = torch.randint(0, 256, (count, steps["face"], 24, 24, 1), generator=generator)
    units = torch.randint(0, CLASSES, (count, steps["units"]), generator=generator)
    return Batch(
        [str(index) for index in range(count)],
        {"waveform": wave.to(torch.int16), "face": face.to(torch.uint8), "units": units.int()},
        lengths,
        {name: value > 0 for name, value in lengths.items()},
        {"waveform": 16000.0, "face": 25.0, "units": 25.0},
        {"emotion": torch.arange(count) % 3},
        torch.arange(count) % 2,
    )


def context(seed: int = 0) -> Context:
    return Context(progress=0.5, generator=torch.Generator().manual_seed(seed))


def objective(masking: Masking, **weights: float) -> MaskedPrediction:
    torch.manual_seed(0)
    encoder = AVHubert(replace(SMALL, masking=masking.kind))
    return MaskedPrediction(encoder, MaskedPredictionConfiguration(CLASSES, masking, **weights))


def test_masks_cover_what_av_hubert_hides() -> None:
    """Coverage at 400 frames: audio 0.517, video 0.248, either 0.636 (batches of 8)."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.full((8,), 400)
    masks = [
        (
            span_mask(lengths, 400, generator, 0.8, 10),
            span_mask(lengths, 400, generator, 0.3, 5),
        )
        for _ in range(40)
    ]
    audio, video = (torch.stack(kind) for kind in zip(*masks))
    assert float(audio.float().mean()) == pytest.approx(0.517, abs=0.01)
    assert float(video.float().mean()) == pytest.approx(0.248, abs=0.01)
    assert float((audio | video).float().mean()) == pytest.approx(0.636, abs=0.01)


def test_hidden_pictures_are_replaced_by_a_run_of_others() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(3, 12, dtype=torch.bool)
    mask[0, 2:5] = mask[0, 8:10] = True
    mask[1, 0:2] = True
    mask[2, 1:5] = True
    seen = set()
    for _ in range(200):
        source = substitute_frames(mask, torch.tensor([12, 3, 6]), generator)
        for start, stop in ((2, 5), (8, 10)):
            run = source[0, start:stop].tolist()
            assert run == list(range(run[0], run[0] + stop - start))
            assert run[-1] < start or run[0] >= stop
            assert run[0] >= 0 and run[-1] < 12
            seen.add(run[0])
        assert source[0, [0, 1, 5, 6, 7, 10, 11]].tolist() == [0, 1, 5, 6, 7, 10, 11]
    # Runs before and after, every place that is free.
    assert seen == {*range(7), 5, 6, 7, 8, 9, 10}
    # Two of three frames, four of six: nothing of the clip is left to stand in.
    assert source[1].tolist() == [-1, -1, *range(2, 12)]
    assert source[2].tolist() == [0, -1, -1, -1, -1, *range(5, 12)]


def test_an_input_mask_hides_what_is_there() -> None:
    """Without sound only hidden pictures count, without pictures only hidden sound."""
    batch = make_batch([40, 40, 0], [40, 0, 40])
    pretext = objective(Masking(kind="input"))
    plan = pretext.plan(batch, torch.Generator().manual_seed(3))
    replaced = plan.corruption.video_source != torch.arange(40)
    assert torch.equal(plan.mask, plan.corruption.audio | replaced)
    assert plan.corruption.audio[0].any() and replaced[0].any()
    assert not plan.corruption.audio[1].any() and replaced[1].any()
    assert plan.corruption.audio[2].any() and not replaced[2].any()


@torch.no_grad()
def test_hidden_sound_and_pictures_do_not_reach_the_encoder() -> None:
    batch = make_batch([30], [30])
    pretext = objective(Masking(kind="input")).eval()
    plan = pretext.plan(batch, torch.Generator().manual_seed(3))
    # No run that stands in may be hidden itself, or its change would show.
    plan.corruption.video_source[plan.corruption.video_source != torch.arange(30)] = -1
    before = pretext.encoder.features(batch, plan.corruption).values
    hidden = plan.corruption.video_source[0] < 0
    batch.streams["face"][0, hidden] = 255 - batch.streams["face"][0, hidden]
    torch.testing.assert_close(
        pretext.encoder.features(batch, plan.corruption).values, before, atol=1e-6, rtol=0
    )
    # A frame of sound is four windows, the last of which reaches 15 ms into the next frame.
    quiet = torch.nonzero(plan.corruption.audio[0, :-1] & plan.corruption.audio[0, 1:])[0]
    start = 640 * int(quiet) + 300
    batch.streams["waveform"][0, start : start + 400] = 0
    torch.testing.assert_close(
        pretext.encoder.features(batch, plan.corruption).values, before, atol=1e-6, rtol=0
    )
    assert (pretext.encoder.features(batch).values - before).abs().max() > 1e-2


def test_an_utterance_never_loses_its_only_modality() -> None:
    batch = make_batch([20, 20, 0], [20, 0, 20])
    dropped = []
    pretext = objective(Masking(modality_dropout=0.5, audio_dropout=0.25))
    for seed in range(400):
        plan = pretext.plan(batch, torch.Generator().manual_seed(seed))
        dropped.append(plan.dropped)
        shown = plan.apply(batch)
        kept = (shown.lengths["face"] > 0) | (shown.lengths["waveform"] > 0)
        assert kept.all() and plan.lengths.tolist() == [20, 20, 20]
        if plan.dropped is not None:
            assert shown.lengths[plan.dropped][0] == 0
    shares = {name: dropped.count(name) / 400 for name in (None, "waveform", "face")}
    assert shares == pytest.approx({None: 0.5, "waveform": 0.125, "face": 0.375}, abs=0.07)


@pytest.mark.parametrize("kind", ["feature", "input"])
def test_counts_are_known_before_the_pass(kind: str) -> None:
    batch = make_batch([20, 12, 0, 0], [20, 0, 15, 0])
    pretext = objective(Masking(kind=kind, modality_dropout=0.5), unmasked_weight=1.0)
    for seed in range(6):
        expected = pretext.counts(batch, context(seed))
        step = pretext(batch, context(seed))
        assert {n: float(count) for n, (_, count) in step.losses.items()} == expected


@pytest.mark.parametrize("kind", ["feature", "input"])
@pytest.mark.parametrize("missing", ["face", "waveform"])
def test_a_batch_may_lack_a_modality_altogether(kind: str, missing: str) -> None:
    batch = make_batch([20, 12], [20, 12])
    batch.streams.pop(missing), batch.lengths.pop(missing), batch.present.pop(missing)
    step = objective(Masking(kind=kind, modality_dropout=0.5))(batch, context())
    sum(value for value, _ in step.losses.values()).backward()
    assert all(value.isfinite() for value, _ in step.losses.values())


@pytest.mark.parametrize(
    "masking", [Masking(), Masking(modality_dropout=1.0), Masking(kind="input")]
)
def test_adaptation_classifies_what_nothing_is_hidden_of(masking: Masking) -> None:
    """Whatever the pretext hides, L_EC and L_DC read a pass that hides nothing."""
    batch = make_batch([20, 12, 0, 16], [20, 12, 18, 0])
    pretraining = objective(masking)
    encoder = pretraining.encoder
    heads = [Head(HeadConfiguration(encoder.dim, n, hidden=10)) for n in (3, 2)]
    whole = Combined(encoder, "emotion", *heads, pretraining=pretraining).eval()
    step = whole(batch, context())
    logits = heads[0](encoder(batch).mean())
    expected = torch.nn.functional.cross_entropy(logits, batch.labels["emotion"], reduction="sum")
    torch.testing.assert_close(step.losses["emotion"][0], expected)
    alone = pretraining(batch, context())
    torch.testing.assert_close(step.losses["masked"][0], alone.losses["masked"][0])
    whole.train()
    for value, _ in whole(batch, context()).losses.values():
        assert value.isfinite()


def test_adaptation_drops_the_modalities_in_place_of_its_pre_training() -> None:
    """Both terms then read the same features, and the counts are known before the pass."""
    batch = make_batch([20, 12, 16], [20, 12, 16])
    pretraining = objective(Masking(modality_dropout=1.0))
    encoder = pretraining.encoder
    heads = [Head(HeadConfiguration(encoder.dim, n, hidden=10)) for n in (3, 2)]
    whole = Combined(
        encoder, "emotion", *heads, pretraining=pretraining, modality_dropout=1.0
    ).eval()
    everybody, kept = torch.ones(3, dtype=torch.bool), set()
    for seed in range(8):
        step = whole(batch, context(seed))
        counts = {name: float(count) for name, (_, count) in step.losses.items()}
        assert whole.counts(batch, context(seed)) == counts
        found = [
            torch.nn.functional.cross_entropy(
                heads[0](encoder(batch.without(name, everybody)).mean()), batch.labels["emotion"],
                reduction="sum",
            )
            for name in ("face", "waveform")
        ]  # fmt: skip
        close = [torch.allclose(step.losses["emotion"][0], loss, atol=1e-5) for loss in found]
        assert close.count(True) == 1
        kept.add(close.index(True))
    assert kept == {0, 1}
    assert pretraining.configuration.masking.modality_dropout == 1.0
