"""transformers' own HuBERT and wav2vec 2.0, saved to disk and imported, give the same frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.data.store.reader import Store

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SIZES = {
    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128,
    "conv_dim": (32,) * 7, "num_conv_pos_embedding_groups": 16, "num_conv_pos_embeddings": 128,
}  # fmt: skip
LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
MODELS = {
    "hubert": ("HubertConfig", "HubertModel"),
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model"),
    "hubert-ctc": ("HubertConfig", "HubertForCTC"),
    "wav2vec2-pretraining": ("Wav2Vec2Config", "Wav2Vec2ForPreTraining"),
}


@pytest.fixture(scope="module")
def speech(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of some utterances of EmoDB."""
    folder = tmp_path_factory.mktemp("speech")
    invoke(folder, "manifest", "emodb", recordings / "emodb", "-o", "all.jsonl")
    lines = (folder / "all.jsonl").read_text().splitlines()
    (folder / "some.jsonl").write_text("\n".join([lines[0], *lines[1:-1:67], ""]))
    invoke(folder, "seal", "some.jsonl", "--allow-cut", "-o", "few.jsonl")
    invoke(folder, "preprocess", "few.jsonl", "-o", "speech.h5", "-j", 1)
    return folder


def normalised(wave: np.ndarray) -> np.ndarray:
    """What transformers' feature extractor does where its configuration says do_normalize."""
    return (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
@pytest.mark.parametrize("style", ["base", "large"])
@pytest.mark.parametrize("kind", MODELS)
def test_frames_agree_on_real_speech(speech, tmp_path, kind, style, safe):
    configuration_name, model_name = MODELS[kind]
    torch.manual_seed(0)
    configuration = getattr(transformers, configuration_name)(
        **SIZES, **(LARGE if style == "large" else {})
    )
    model = getattr(transformers, model_name)(configuration).eval()
    configuration.save_pretrained(tmp_path / "model")
    if safe:
        model.save_pretrained(tmp_path / "model")
    else:
        torch.save(model.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    if style == "large":
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "model")
    invoke(tmp_path, "import", "model", "-o", "x.safetensors")
    for name, options in (("last", ()), ("second", ("--layer", 2))):
        invoke(tmp_path, "extract", speech / "speech.h5", "--model", "x.safetensors", *options,
               "-o", f"{name}.h5")  # fmt: skip
    media = Store(speech / "speech.h5")
    assert media.count >= 5
    inner = getattr(model, "hubert", None) or getattr(model, "wav2vec2", None) or model
    for row in range(media.count):
        wave = media.read("waveform", row).astype(np.float32) / 32768.0
        wave = normalised(wave) if style == "large" else wave
        with torch.no_grad():
            expected = inner(torch.from_numpy(wave)[None], output_hidden_states=True)
        for name, frames in (
            ("last", expected.last_hidden_state), ("second", expected.hidden_states[2]),
        ):  # fmt: skip
            found = Store(tmp_path / f"{name}.h5").read("features", row)
            np.testing.assert_allclose(found, frames[0].numpy(), atol=1e-5, rtol=0)
