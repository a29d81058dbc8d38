"""Checkpoints of other trainers around the same weights, and mHuBERT's batch norm of positions."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from published import SPECIAL, hubert_settings, save_fairseq
from test_import import TINY, frames_of, random_hubert, speech_batch

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.core.batch import Batch
from avaffect.models.hubert import Hubert
from avaffect.training import checkpoint

SYMBOLS = [*SPECIAL, *map(str, range(20))]


class Runs:
    """Pickles as a call."""

    def __init__(self, path: Path) -> None:
        self.call = os.mkdir, (str(path),)

    def __reduce__(self):
        return self.call


def imported(folder: Path, held: object, *arguments: object, status: int = 0) -> str:
    torch.save(held, folder / "x.pt")
    return invoke(folder, "import", "x.pt", *arguments, "-f", status=status).stderr


def frames(folder: Path) -> torch.Tensor:
    return frames_of(folder / "imported.safetensors", speech_batch())


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    head = {"final_proj.weight": torch.randn(32, 64), "final_proj.bias": torch.zeros(32),
            "label_embs_concat": torch.randn(24, 32)}  # fmt: skip
    return {**random_hubert().state_dict(), **head}


def test_what_s3prl_converts_is_what_fairseq_saved(tmp_path, weights):
    cfg = hubert_settings(normalize=True)
    save_fairseq(tmp_path / "f.pt", weights, cfg, SYMBOLS)
    invoke(tmp_path, "import", "f.pt", "-o", "f.safetensors")
    said = imported(
        tmp_path,
        {"model_weight": weights, "model_cfg": cfg["model"], "task_cfg": cfg["task"],
         "dictionaries_symbols": [SYMBOLS]},
    )  # fmt: skip
    assert "its head predicts 20 units" in said and "warning" not in said
    (header, ours), (of_fairseq, theirs) = (
        checkpoint.load(tmp_path / name) for name in ("imported.safetensors", "f.safetensors")
    )
    assert header["model"] == of_fairseq["model"] and header["model"]["configuration"]["normalise"]
    assert (
        header["prediction"] == of_fairseq["prediction"]
        and header["objective"]["configuration"]["masking"]["span"] == 8
    )
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], atol=0, rtol=0)


CFG = {"config": Namespace(encoder_attention_heads=4, layer_norm_first=False)}


@pytest.mark.parametrize(
    ("wrap", "settings"),
    [
        (lambda w: {"state_dict": {f"model.encoder.{n}": v for n, v in w.items()}},
         {"hyper_parameters": {"cfg": CFG["config"], "dropout": 0.5}, "pytorch-lightning_version":
          "2.0", "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}}]}),
        (lambda w: {"model_state_dict": {f"module.{n}": v for n, v in w.items()}}, CFG),
        (lambda w: {"model": {"state_dict": {f"_orig_mod.{n}": v for n, v in w.items()}}}, CFG),
        (lambda w: {"Upstream": {f"model.{n}": v for n, v in w.items()}, "Featurizer": {},
                    "Downstream": {"fc.weight": torch.zeros(2)}, "Args": Namespace(seed=1)}, CFG),
        (lambda w: {"encoder": w, "head": {"weight": torch.zeros(2, 2)}, "epoch": 3}, CFG),
        (lambda w: w, {}),
    ],
    ids=["Lightning", "DDP", "compiled", "s3prl fine-tuned", "by parts", "bare"],
)  # fmt: skip
def test_wrappers_of_the_same_weights(tmp_path, wrap, settings):
    model = random_hubert()
    bare = () if settings else ("--set", "transformer.heads=4")
    said = imported(tmp_path, {**wrap(model.state_dict()), **settings}, *bare)
    assert "HuBERT" in said or "wav2vec 2.0" in said
    torch.testing.assert_close(frames(tmp_path), model(speech_batch()).values)
    made = checkpoint.load(tmp_path / "imported.safetensors")[0]["model"]["configuration"]
    assert made["transformer"]["heads"] == 4 and made["transformer"]["dropout"] == 0.1


def test_of_two_encoders_the_first_is_said(tmp_path):
    student, teacher = (random_hubert(seed).state_dict() for seed in (0, 1))
    for own in ("", "student."):
        both = {own + n: v for n, v in student.items()}
        both |= {f"teacher.{n}": v for n, v in teacher.items()}
        said = imported(tmp_path, {"model": both, **CFG})
        assert f"2 encoders, named {own}*, teacher.*: {own}* is imported" in said
        torch.testing.assert_close(frames(tmp_path), random_hubert()(speech_batch()).values)


@pytest.mark.parametrize("where", ["model_weight", "model_cfg", "hyper_parameters", "Config"])
def test_a_wrapper_runs_nothing(tmp_path, weights, where):
    held = {"model_weight": dict(weights), "model_cfg": {}, where: {"x": Runs(tmp_path / "ran")}}
    said = imported(tmp_path, held, status=65)
    assert "refused, nothing was run" in said and not (tmp_path / "ran").exists()


def test_circles_and_whole_models_are_refused(tmp_path):
    circle: dict = {"a": {}}
    circle["a"]["b"] = circle
    assert "holds no named weights" in imported(tmp_path, circle, status=65)
    said = imported(tmp_path, Namespace(weights=torch.zeros(2)), status=65)
    assert "an object of the class Namespace" in said and "save its state dict alone" in said


# -- mHuBERT ------------------------------------------------------------------------------------


def of_batch_norm(**changes: object) -> Hubert:
    torch.manual_seed(3)
    transformer = replace(TINY.transformer, position_norm="batch", dropout=0.0, layerdrop=0.0,
                          attention_dropout=0.0)  # fmt: skip
    model = Hubert(replace(TINY, transformer=transformer, input_dropout=0.0, **changes))
    norm = model.encoder.pos_conv[0]
    for value in (norm.weight, norm.bias, norm.mean, norm.variance):
        torch.nn.init.uniform_(value, 0.5, 1.5)
    return model


def test_neighbours_in_a_batch_change_nothing():
    model = of_batch_norm().eval()
    waves = torch.randn(2, 16000)
    both = Batch(["a", "b"], {"waveform": waves}, {"waveform": torch.tensor([9000, 16000])})
    alone = Batch(["a"], {"waveform": waves[:1, :9000]}, {"waveform": torch.tensor([9000])})
    with torch.no_grad():
        found, expected = model(both), model(alone)
    count = int(expected.lengths[0])
    torch.testing.assert_close(found.values[0, :count], expected.values[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("hertz", [50, 25])
@pytest.mark.parametrize("writer", ["transformers", "fairseq"])
def test_mhubert_agrees_with_transformers(tmp_path, writer, hertz):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    strides = [5, 2, 2, 2, 2, 2, 2] + [2] * (hertz == 25)
    kernels = [10, 3, 3, 3, 3, 2, 2] + [2] * (hertz == 25)
    configuration = transformers.HubertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        conv_dim=[16] * len(strides), conv_kernel=kernels, conv_stride=strides,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, conv_pos_batch_norm=True,
    )  # fmt: skip
    model = transformers.HubertModel(configuration).eval()
    norm = model.encoder.pos_conv_embed.batch_norm
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.nn.init.uniform_(value, 0.5, 1.5)
    if writer == "transformers":
        model.save_pretrained(tmp_path / "x.pt")
        invoke(tmp_path, "import", "x.pt")
    else:
        cfg = hubert_settings(
            encoder_attention_heads=2, conv_pos_batch_norm=True,
            conv_feature_layers=str([(16, k, s) for k, s in zip(kernels, strides, strict=True)]),
        )  # fmt: skip
        imported(tmp_path, {"model": as_fairseq(model.state_dict()), "cfg": cfg})
    batch = speech_batch(1.0)
    wave = batch.streams["waveform"]
    wave = wave.float() / 32768.0 if not wave.is_floating_point() else wave
    with torch.no_grad():
        expected = model(wave).last_hidden_state
    np.testing.assert_allclose(
        frames_of(tmp_path / "imported.safetensors", batch), expected, atol=1e-5, rtol=0
    )
    header = checkpoint.load(tmp_path / "imported.safetensors")[0]
    assert header["preprocessing"]["rate_hz"] == hertz


def as_fairseq(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers' names of a base model of few parts, as fairseq has them."""
    pairs = (
        ("masked_spec_embed", "mask_emb"), ("pos_conv_embed.batch_norm", "pos_conv.0"),
        ("pos_conv_embed.conv", "pos_conv.1"), ("feature_projection.layer_norm", "layer_norm"),
        ("feature_projection.projection", "post_extract_proj"), (".attention.", ".self_attn."),
        ("feed_forward.intermediate_dense", "fc1"), ("feed_forward.output_dense", "fc2"),
    )  # fmt: skip
    found = {}
    for name, value in weights.items():
        if name.startswith("feature_extractor"):
            name = name.replace(".conv.", ".0.").replace(".layer_norm.", ".2.")
        elif name.startswith("encoder.layers"):
            name = name.replace(".layer_norm.", ".self_attn_layer_norm.")
        for theirs, fairseqs in pairs:
            name = name.replace(theirs, fairseqs)
        found[name] = value
    return found


def test_settings_that_contradict_the_norm_are_refused(tmp_path):
    model = of_batch_norm()
    said = imported(
        tmp_path, {"model": model.state_dict(), "cfg": hubert_settings(conv_pos_batch_norm=False)},
        status=65,
    )  # fmt: skip
    assert "unexpected" in said and "encoder.pos_conv.1.weight" in said


def test_the_norm_learns():
    model = of_batch_norm().train()
    before = model.encoder.pos_conv[0].mean.clone()
    model(speech_batch()).values.square().mean().backward()
    assert model.encoder.pos_conv[0].weight.grad.abs().sum() > 0
    assert not torch.equal(before, model.encoder.pos_conv[0].mean)
