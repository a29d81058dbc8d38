"""AV-HuBERT against values of the published code: features, layers, losses, gradients, names.

The golden pictures are standardised already and the golden sound is no waveform: both enter where
the branches begin. There padded frames had pictures too, which `features` never looks at: the
branches see all 12 frames, and the padding begins with the Transformer.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import generator

from avaffect.models.avhubert import PRESETS, AVHubert, AVHubertConfiguration
from avaffect.models.encoder import Frames
from avaffect.models.heads.units import PredictionHead, PredictionHeadConfiguration
from avaffect.models.resnet import clip_windows

FOLDER = Path(__file__).parent / "golden"
FORWARD = np.load(FOLDER / "avhubert_tiny_forward.npz")
LOSS = np.load(FOLDER / "avhubert_tiny_loss.npz")
KEYS = json.loads((FOLDER / "avhubert_keys.json").read_text())
HEAD_KEYS = {"label_embs_concat", "final_proj.weight", "final_proj.bias"}
B, T = 2, 12
EVERY_FRAME = torch.ones(B, T, dtype=torch.bool)
LENGTHS = torch.tensor([12, 9])
TINY = replace(PRESETS["tiny"], feature_grad_mult=1.0)


def load(module: torch.nn.Module) -> torch.nn.Module:
    module.load_state_dict(
        {
            name: torch.from_numpy(generator.weight(name, tuple(value.shape)))
            for name, value in module.state_dict().items()
        }
    )
    return module.eval()


def tiny(masking: str = "input", pre_norm: bool = True) -> AVHubert:
    transformer = replace(TINY.transformer, pre_norm=pre_norm)
    return load(AVHubert(replace(TINY, masking=masking, transformer=transformer)))


@pytest.fixture(scope="module")
def model() -> AVHubert:
    return tiny()


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """sound (B, T, 104), packed pictures (B T, 1, 88, 88)"""
    sound = torch.from_numpy(generator.audio(B, T)).transpose(1, 2)
    pictures = torch.from_numpy(generator.video(B, T)).transpose(1, 2).flatten(0, 1)
    return sound, pictures


def features(model: AVHubert, modalities: str = "av", lengths=(T, T)) -> Frames:
    sound, pictures = inputs()
    video = (
        model.embed_pictures(pictures, EVERY_FRAME)
        if "v" in modalities
        else model.embed_pictures(pictures[:0], ~EVERY_FRAME)
    )
    audio = model.embed_audio(sound, EVERY_FRAME if "a" in modalities else ~EVERY_FRAME)
    return Frames(torch.cat([audio, video], dim=2), torch.as_tensor(lengths))


def check(name: str, value: torch.Tensor, lengths: torch.Tensor | None = None) -> None:
    expected = torch.from_numpy(FORWARD[name]).clone()
    if lengths is not None:
        expected[~(torch.arange(T)[None] < lengths[:, None])] = 0.0
    torch.testing.assert_close(value, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_resnet_gives_the_golden_values(model):
    _, pictures = inputs()
    found = model.feature_extractor_video.resnet(pictures, clip_windows(EVERY_FRAME))
    check("resnet_out", found.view(B, T, 512).transpose(1, 2))


@torch.no_grad()
def test_fused_frames_and_every_layer(model):
    fused = features(model)
    check("av_postproj", model.post_extract_proj(model.layer_norm(fused.values)))
    check("av_layer1", model.contextualise(fused, layer=1).values)
    check("av_layer2_noLN", model.contextualise(fused, layer=2).values)
    check("av_final", model.contextualise(fused).values)


@pytest.mark.parametrize(
    ("modalities", "name"), [("av", "av_final"), ("a", "audio_only"), ("v", "video_only")]
)
@torch.no_grad()
def test_each_modality_whole_and_padded(model, modalities, name):
    fused = features(model, modalities)
    check(name, model.contextualise(fused).values)
    padded = model.contextualise(Frames(fused.values, LENGTHS)).values
    check(f"{name}_padded", padded, LENGTHS)


@torch.no_grad()
def test_layers_normalised_after_their_sublayers():
    post_norm = tiny(pre_norm=False)
    check("postnorm_av_final", post_norm.contextualise(features(post_norm)).values)


def masked_frames(model: AVHubert, case: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """frames in context, the mask, and the fused features of a golden loss"""
    if case.startswith("feature"):
        mask = torch.from_numpy(LOSS["feature_mask"])
        fused = Frames(features(model).values, LENGTHS)
        return model.contextualise(fused, mask).values, mask, fused.values
    sound, pictures = inputs()
    audio_mask, video_mask = (torch.from_numpy(LOSS[f"{name}_mask"]) for name in ("audio", "video"))
    source = torch.from_numpy(LOSS["video_src_index"])
    audio = model.embed_audio(sound, EVERY_FRAME, audio_mask)
    video = model.embed_pictures(pictures, EVERY_FRAME, source)
    fused = Frames(torch.cat([audio, video], dim=2), LENGTHS)
    return model.contextualise(fused).values, audio_mask | video_mask, fused.values


@pytest.mark.parametrize("case", ["feature", "feature100", "input"])
def test_losses_and_gradients(case):
    model = tiny(masking="input" if case == "input" else "feature")
    head = load(PredictionHead(PredictionHeadConfiguration(64, 24, 32, temperature=0.1)))
    frames, mask, fused = masked_frames(model, case)
    targets = torch.from_numpy(LOSS["labels_100hz" if case == "feature100" else "labels_25hz"])
    if case == "feature100":
        targets = targets[:, ::4]
    valid = torch.arange(T)[None] < LENGTHS[:, None]

    logits = head(frames[mask & valid])
    torch.testing.assert_close(logits, torch.from_numpy(LOSS[f"{case}/logit_m"]), atol=1e-4, rtol=0)
    masked = F.cross_entropy(logits, targets[mask & valid], reduction="sum")
    unmasked = F.cross_entropy(head(frames[~mask & valid]), targets[~mask & valid], reduction="sum")
    penalty = fused.square().mean()
    size = int(LOSS[f"{case}/sample_size"])
    assert size == int((mask & valid).sum())
    total = masked + 10.0 * penalty * size
    for name, value in (
        ("loss_m", masked), ("loss_u", unmasked), ("features_pen", penalty), ("loss_total", total),
    ):  # fmt: skip
        assert float(value.detach()) == pytest.approx(float(LOSS[f"{case}/{name}"]), rel=1e-3)

    total.backward()
    parameters = dict([*model.named_parameters(), *head.named_parameters()])
    prefix = f"{case}/gradnorm_noscale/"
    checked = [name for name in LOSS.files if name.startswith(prefix)]
    assert len(checked) == 7
    for name in checked:
        norm = float(parameters[name.removeprefix(prefix)].grad.norm())
        assert norm == pytest.approx(float(LOSS[name]), rel=1e-3), name


@pytest.mark.parametrize("preset", KEYS)
def test_names_and_shapes_are_the_published_ones(preset):
    configuration: AVHubertConfiguration = PRESETS[preset]
    dim, rows = configuration.transformer.dim, KEYS[preset]["label_embs_concat"][0]
    with torch.device("meta"):
        modules = (
            AVHubert(configuration),
            PredictionHead(PredictionHeadConfiguration(dim, rows, configuration.final_dim)),
        )
    encoder, head = ({n: list(t.shape) for n, t in m.state_dict().items()} for m in modules)
    assert set(head) == HEAD_KEYS
    assert {**encoder, **head} == KEYS[preset]
