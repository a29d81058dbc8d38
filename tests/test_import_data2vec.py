"""`import` of data2vec-audio: transformers' own and fairseq's layout give the same frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from chain import invoke
from real_speech import every_layer_agrees, padding_and_batch_mates_change_nothing
from test_hubert import TINY_LARGE
from test_hubert import speech as noise
from test_import_transformers import speech  # noqa: F401

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.core.headers import EncoderHeader
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import Hubert
from avaffect.recipes.encoding import checkpoints

SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "conv_dim": (32,) * 7, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 19,
}  # fmt: skip
OURS = replace(
    TINY_LARGE,
    conv_bias=False,
    transformer=replace(
        TINY_LARGE.transformer, pre_norm=False, position_norm="layer", position_layers=3,
        position_kernel=19,
    ),
)  # fmt: skip


def imported(folder: Path, source: str) -> tuple[Encoder, EncoderHeader]:
    invoke(folder, "import", source, "--set", "normalise=false", "--set", "transformer.heads=4",
           "-o", "x.safetensors")  # fmt: skip
    return checkpoints.load_encoder(folder / "x.safetensors", torch.device("cpu"))


def drawn() -> Hubert:
    torch.manual_seed(1)
    model = Hubert(OURS).eval()
    for parameter in model.encoder.pos_conv.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@torch.no_grad()
def test_the_original_file(tmp_path: Path) -> None:
    model, batch = drawn(), noise(9000, 16000)
    torch.save({"model": model.state_dict()}, tmp_path / "d2v.pt")
    encoder, header = imported(tmp_path, "d2v.pt")
    assert header.published is not None and header.published.kind == "data2vec"
    assert encoder.configuration.transformer == OURS.transformer
    torch.testing.assert_close(encoder(batch).values, model(batch).values, atol=1e-5, rtol=0)
    weights = model.state_dict()
    del weights["encoder.pos_conv.1.0.bias"]
    torch.save({"model": weights}, tmp_path / "y.pt")
    assert invoke(tmp_path, "import", "y.pt", "-o", "y.safetensors", status=65).stderr


def test_padding_and_batch_mates_never_change_frames() -> None:
    padding_and_batch_mates_change_nothing(drawn())


def test_every_layer_agrees_on_real_speech(speech: Path, tmp_path: Path) -> None:  # noqa: F811
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    model = transformers.Data2VecAudioModel(transformers.Data2VecAudioConfig(**SMALL)).eval()
    model.save_pretrained(tmp_path / "model")
    encoder, _ = imported(tmp_path, "model")
    every_layer_agrees(encoder, model, speech / "speech.h5")
