"""`import` of WavLM: transformers' own and Microsoft's layout give the same frames, every layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from real_speech import every_layer_agrees, padding_and_batch_mates_change_nothing
from test_hubert import TINY, TINY_LARGE
from test_hubert import speech as noise
from test_import_transformers import LARGE, SIZES, speech  # noqa: F401

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.models.hubert import Hubert
from avaffect.models.relative_positions import buckets_of
from avaffect.recipes.encoding import checkpoints

CPU = torch.device("cpu")
RELATIVE = {"relative_buckets": 32, "relative_distance": 100}
STYLES = {
    "base": replace(TINY, transformer=replace(TINY.transformer, **RELATIVE)),
    "large": replace(
        TINY_LARGE, normalise=True, transformer=replace(TINY_LARGE.transformer, **RELATIVE)
    ),
}
CFG = {
    "extractor_mode": "default", "encoder_layers": 2, "encoder_attention_heads": 4,
    "relative_position_embedding": True, "num_buckets": 32, "max_distance": 100,
    "gru_rel_pos": True, "conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
}  # fmt: skip


def saved_by_microsoft(path: Path, style: str) -> Hubert:
    torch.manual_seed(1)
    model = Hubert(STYLES[style]).eval()
    cfg = {**CFG, "layer_norm_first": style == "large", "normalize": style == "large"}
    torch.save({"cfg": cfg, "model": model.state_dict()}, path)
    return model


@pytest.mark.parametrize("style", STYLES)
def test_the_original_file(tmp_path, style):
    model = saved_by_microsoft(tmp_path / "WavLM.pt", style)
    found = invoke(tmp_path, "import", "WavLM.pt", "-o", "x.safetensors")
    assert "WavLM of fairseq, 2 layers of 64" in found.stderr
    encoder, header = checkpoints.load_encoder(tmp_path / "x.safetensors", CPU)
    assert header.published is not None and header.published.kind == "wavlm"
    batch = noise(9000, 16000)
    with torch.no_grad():
        torch.testing.assert_close(encoder(batch).values, model(batch).values, atol=1e-5, rtol=0)


def test_what_is_no_whole_wavlm_is_refused(tmp_path):
    model = saved_by_microsoft(tmp_path / "x.pt", "base")
    assert invoke(tmp_path, "import", "x.pt", "--as", "hubert", status=65).stderr
    weights = model.state_dict()
    del weights["encoder.layers.1.self_attn.grep_linear.bias"]
    torch.save({"cfg": CFG, "model": weights}, tmp_path / "y.pt")
    words = invoke(tmp_path, "import", "y.pt", status=65).stderr
    assert "1 missing: encoder.layers.1.self_attn.grep_linear.bias" in words


@pytest.mark.parametrize("style", STYLES)
def test_padding_and_batch_mates_never_change_frames(style):
    torch.manual_seed(0)
    padding_and_batch_mates_change_nothing(Hubert(STYLES[style]).eval())


def test_buckets_of_distances():
    """Against a loop, for eight buckets up to a distance of 20."""
    found = buckets_of(40, 8, 20, CPU)
    for query in range(40):
        for key in range(40):
            far = abs(key - query)
            grown = 2 + int(np.log(max(far, 1) / 2) / np.log(20 / 2) * 2 + 1e-9)
            expected = (4 if key > query else 0) + (far if far < 2 else min(grown, 3))
            assert found[query, key] == expected


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["WavLM", "UniSpeech", "UniSpeechSat"])
def test_every_layer_agrees_on_real_speech(speech, tmp_path, name, style):  # noqa: F811
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    more = LARGE if style == "large" else {}
    configuration = getattr(transformers, f"{name}Config")(**SIZES, **more)
    model = getattr(transformers, f"{name}Model")(configuration).eval()
    for parameter in (p for n, p in model.named_parameters() if "rel_pos" in n or "rel_attn" in n):
        torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "model")
    invoke(tmp_path, "import", "model", "--set", "normalise=false", "-o", "x.safetensors")
    encoder = checkpoints.load_encoder(tmp_path / "x.safetensors", CPU)[0]
    every_layer_agrees(encoder, model, speech / "speech.h5")
