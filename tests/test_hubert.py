from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import generator
from small_encoders import check_feature_grad_mult

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.models.encoder import Frames
from avaffect.models.hubert import PRESETS, Hubert
from avaffect.models.published import names
from avaffect.models.published.names import Layout

GOLDEN = np.load(Path(__file__).parent / "golden" / "hubert_tiny_transformers.npz")
TINY = PRESETS["tiny"]
TINY_LARGE = replace(
    TINY,
    transformer=replace(TINY.transformer, pre_norm=True),
    conv_norm="layer",
    conv_bias=True,
)
STYLES = {"base": TINY, "large": TINY_LARGE}
EVERY_KIND = {
    **STYLES,
    "normalised": replace(TINY_LARGE, normalise=True),
    "nano": PRESETS["nano"],
}


def golden_model(style: str) -> Hubert:
    model = Hubert(STYLES[style]).eval()
    model.load_state_dict(
        {
            name: torch.from_numpy(
                generator.weight(names.to_transformers(name), tuple(value.shape))
            )
            for name, value in model.state_dict().items()
        }
    )
    return model


def speech(*samples: int) -> Batch:
    """int16 utterances of these lengths, padded with noise that no result may depend on."""
    generator_ = torch.Generator().manual_seed(len(samples))
    waveform = torch.randint(-9000, 9000, (len(samples), max(samples)), generator=generator_)
    waveform = waveform.to(torch.int16)
    lengths = torch.tensor(samples)
    return Batch(
        ids=[str(i) for i in range(len(samples))],
        streams={"waveform": waveform},
        lengths={"waveform": lengths},
        present={"waveform": lengths > 0},
    )


def row(batch: Batch, index: int) -> Batch:
    """One utterance alone, without its padding."""
    samples = int(batch.lengths["waveform"][index])
    return Batch(
        ids=[batch.ids[index]],
        streams={"waveform": batch.streams["waveform"][index : index + 1, :samples]},
        lengths={"waveform": torch.tensor([samples])},
    )


@pytest.mark.parametrize("style", STYLES)
@torch.no_grad()
def test_tiny_models_give_the_golden_values(style):
    model = golden_model(style)
    wave = torch.from_numpy(generator.waveform(2, 8000))
    batch = Batch(["a", "b"], {"waveform": wave}, {"waveform": torch.tensor([8000, 8000])})
    features = model.features(batch)
    assert features.lengths.tolist() == [24, 24]

    def check(name, value):
        np.testing.assert_allclose(value.numpy(), GOLDEN[f"{style}/{name}"], atol=1e-4, rtol=0)

    check("conv", features.values.transpose(1, 2))
    check("h0", model.contextualise(features, layer=0).values)
    check("h1", model.contextualise(features, layer=1).values)
    check("last", model.contextualise(features).values)
    # In the golden file "masked" means attention masked: frames 18-23 of row 1 are padding.
    masked = model.contextualise(Frames(features.values, torch.tensor([24, 18]))).values
    expected = torch.from_numpy(GOLDEN[f"{style}/last_masked"]).clone()
    expected[1, 18:] = 0.0
    torch.testing.assert_close(masked, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("preset", "millions"), [("base", 94.371712), ("large", 315.43872)])
def test_published_sizes(preset, millions):
    with torch.device("meta"):
        model = Hubert(PRESETS[preset])
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, abs=0.5)


def test_nano_has_at_most_a_million_parameters():
    assert sum(p.numel() for p in Hubert(PRESETS["nano"]).parameters()) <= 1_000_000


@pytest.mark.parametrize("kind", EVERY_KIND)
@torch.no_grad()
def test_padding_and_batch_mates_never_change_frames(kind):
    torch.manual_seed(0)
    model = Hubert(EVERY_KIND[kind]).eval()
    batch = speech(9000, 16000, 3217, 400, 0, 120)
    together = model(batch)
    expected = model.frame_count(batch.lengths)
    assert together.lengths.tolist() == expected.tolist() == [27, 49, 9, 1, 0, 0]
    for index, frames in enumerate(together.lengths.tolist()):
        alone = model(row(batch, index))
        assert alone.lengths.tolist() == [frames]
        torch.testing.assert_close(
            together.values[index, :frames], alone.values[0, :frames], atol=1e-5, rtol=0
        )
        assert not together.values[index, frames:].any()


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_utterances_without_a_frame_train_without_nan(kind):
    model = Hubert(EVERY_KIND[kind])
    frames = model(speech(0, 399))
    assert frames.lengths.tolist() == [0, 0]
    assert not frames.values.any()
    frames.values.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", EVERY_KIND)
@torch.no_grad()
def test_silence_is_finite(kind):
    model = Hubert(EVERY_KIND[kind]).eval()
    batch = speech(8000)
    batch.streams["waveform"] = torch.zeros_like(batch.streams["waveform"])
    assert model(batch).values.isfinite().all()


@pytest.mark.parametrize("kind", EVERY_KIND)
@torch.no_grad()
def test_int16_and_unit_floats_are_the_same_sound(kind):
    model = Hubert(EVERY_KIND[kind]).eval()
    batch = speech(8000)
    floats = row(batch, 0)
    floats.streams["waveform"] = floats.streams["waveform"].float() / 32768.0
    torch.testing.assert_close(model(batch).values, model(floats).values)


def test_layers_are_counted_from_one_and_leave_out_the_final_norm():
    model = golden_model("large")
    batch = speech(8000)
    last = model(batch).values
    raw = model(batch, layer=2).values
    torch.testing.assert_close(model.encoder.layer_norm(raw), last)
    with pytest.raises(UsageError, match="layers 1 to 2"):
        model(batch, layer=3)


@torch.no_grad()
def test_masked_frames_are_replaced_by_the_mask_embedding():
    model = golden_model("base")
    batch = speech(8000)
    features = model.features(batch)
    mask = torch.zeros(1, 24, dtype=torch.bool)
    mask[0, 5:9] = True
    hidden = model.contextualise(features, mask).values
    other = Frames(features.values.clone(), features.lengths)
    other.values[0, 5:9] += torch.randn(4, 32)
    torch.testing.assert_close(model.contextualise(other, mask).values, hidden)
    model.mask_emb.add_(1.0)
    assert (model.contextualise(features, mask).values - hidden).abs().max() > 1e-3


def test_feature_grad_mult_scales_the_front_end_alone():
    def model_of(factor: float) -> Hubert:
        torch.manual_seed(0)
        return Hubert(replace(TINY, feature_grad_mult=factor)).eval()

    check_feature_grad_mult(model_of, speech(8000))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("parametrized", [False, True])
def test_published_names_translate_both_ways(style, parametrized):
    ours = list(Hubert(STYLES[style]).state_dict())
    theirs = [names.to_transformers(name, parametrized) for name in ours]
    assert len(set(theirs)) == len(ours)
    assert ("encoder.pos_conv_embed.conv.weight_g" in theirs) is not parametrized
    assert names.encoders(theirs) == [Layout("transformers")]
    assert names.to_ours(theirs, Layout("transformers")) == dict(zip(theirs, ours))


def test_unknown_published_names_are_refused():
    with pytest.raises(KeyError):
        names.to_transformers("lm_head.weight")
    assert names.encoders(["lm_head.weight"]) == []
    assert names.to_ours(["lm_head.weight"], Layout("transformers")) == {"lm_head.weight": None}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_bfloat16_autocast_stays_close(kind):
    torch.manual_seed(0)
    model = Hubert(EVERY_KIND[kind]).eval()
    batch = speech(8000, 5000)
    full = model(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(batch)
    assert half.values.dtype == torch.float32
    assert (half.values - full.values).norm() / full.values.norm() < 0.05
    half.values.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_mean_leaves_padding_out():
    values = torch.tensor([[[2.0], [4.0], [0.0]], [[0.0], [0.0], [0.0]]])
    torch.testing.assert_close(
        Frames(values, torch.tensor([2, 0])).mean(), torch.tensor([[3.0], [0.0]])
    )
