"""CAV-MAE and Social-MAE against the values of their authors' code (tests/golden)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import named_weights
from label_heads import NAME, linear
from torch import Tensor

from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models.cavmae import CAVMAE, LETTERS, CAVMAEConfiguration
from avaffect.models.cavmae_decoder import DecoderConfiguration
from avaffect.models.encoder import Tokens
from avaffect.models.patches import hidden, picture_patches, sine_cosine, spectrum_patches
from avaffect.models.published.cavmae import translate
from avaffect.objectives.losses.audiovisual_contrast import contrast
from avaffect.objectives.losses.patch_reconstruction import patch_errors
from avaffect.objectives.masked_autoencoding import (
    MaskedAutoencoding,
    MaskedAutoencodingConfiguration,
)
from avaffect.signal.features import kaldi_filterbank

FOLDER = Path(__file__).parent / "golden"
TINY = CAVMAEConfiguration(dim=32, heads=4, ffn_dim=128, face_size=32, spectrum_frames=64)
DECODER = DecoderConfiguration(16, 2, 4)
CLOSE = {"atol": 1e-4, "rtol": 0}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / "social_tiny.npz"))


def weights(mode: str, size: str = "tiny") -> dict[str, Tensor]:
    """The authors' names -> generated values; of the full size without values."""
    keys = json.loads((FOLDER / f"social_{size}_keys.json").read_text())["keys"][mode]
    if size == "full":
        return {name: torch.empty(shape, device="meta") for name, shape in keys.items()}
    return {
        name: torch.from_numpy(named_weights.weight(name, shape)) for name, shape in keys.items()
    }


def objective(**changes: object) -> MaskedAutoencoding:
    configuration = MaskedAutoencodingConfiguration(DECODER, **changes)
    model = MaskedAutoencoding(CAVMAE(TINY), configuration).eval()
    encoder, decoder, left = translate(weights("pretrain"))
    assert not left
    model.encoder.load_state_dict(encoder)
    model.decoder.load_state_dict(decoder)
    return model


@pytest.fixture(scope="module")
def patches(golden) -> dict[str, Tensor]:
    faces = torch.from_numpy(golden["input_video"]).permute(0, 4, 2, 3, 1)
    return {
        WAVEFORM: spectrum_patches(torch.from_numpy(golden["input_audio"]), 16),
        FACE: picture_patches(faces, 16, 2),
    }


@pytest.fixture(scope="module")
def noise(golden) -> dict[str, Tensor]:
    return {
        WAVEFORM: torch.from_numpy(golden["noise_audio"]),
        FACE: torch.from_numpy(golden["noise_video"]),
    }


def test_the_patch_embeddings_give_the_golden_tokens(golden, patches) -> None:
    encoder = objective().encoder
    for stream, letter in LETTERS.items():
        found = encoder.get_submodule(f"patch_embed_{letter}")(patches[stream])
        np.testing.assert_allclose(found.detach(), golden[f"patch_embed_{letter}"], **CLOSE)


@torch.no_grad()
def test_masked_encoding_and_decoding_give_the_golden_values(golden, patches, noise) -> None:
    model = objective()
    found = model.reconstruct(patches, noise)
    for stream, letter in LETTERS.items():
        mask = hidden(found.kept[stream], patches[stream].shape[1])
        assert np.array_equal(mask.numpy(), golden[f"mask_{letter}"] > 0)
        np.testing.assert_allclose(found.embedded[stream], golden[f"latent_c_{letter}"], **CLOSE)
        predicted = found.predicted[stream]
        np.testing.assert_allclose(predicted[:, :4, :8], golden[f"pred_{letter}"], **CLOSE)
        total = float(predicted.double().sum())
        assert total == pytest.approx(float(golden[f"pred_{letter}_sum"]), abs=1e-2)
    tokens = [model.encoder.encode(s, patches[s], found.kept[s]) for s in patches]
    joint = model.encoder.join(torch.cat(tokens, dim=1))
    np.testing.assert_allclose(joint, golden["latent_joint"], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("normalise", [False, True])
def test_losses_are_golden(golden, patches, noise, normalise: bool) -> None:
    model = objective(normalise=normalise, video_order="released")
    expected = golden["loss_normpix" if normalise else "loss"]
    found = model.reconstruct(patches, noise)
    errors = [_error(found, stream, normalise) for stream in (WAVEFORM, FACE)]
    means = {stream: tokens.mean(dim=1) for stream, tokens in found.embedded.items()}
    losses, matched = contrast(means[FACE], means[WAVEFORM], torch.arange(3), 0.05)
    weighted = 0.01 * float(losses.mean())
    got = [sum(errors) + weighted, sum(errors), *errors, weighted, float(matched.float().mean())]
    np.testing.assert_allclose(got, expected, **CLOSE)


@torch.no_grad()
def test_the_loss_of_videos_in_the_encoders_order_is_golden(golden, patches, noise) -> None:
    model = objective()
    found = model.reconstruct(patches, noise)
    got = _error(found, FACE, normalise=False)
    assert got == pytest.approx(float(golden["loss_mae_v_encoder_order"]), abs=1e-4)
    np.testing.assert_allclose(found.wanted[FACE][:, :4, :12], golden["target_v_hwt"], **CLOSE)
    released = objective(video_order="released").wanted(FACE, patches[FACE])
    np.testing.assert_allclose(released[:, :4, :12], golden["target_v_thw"], **CLOSE)


def _error(found, stream: str, normalise: bool) -> float:
    counted = hidden(found.kept[stream], found.wanted[stream].shape[1])
    return float(
        patch_errors(found.predicted[stream], found.wanted[stream], normalise)[counted].mean()
    )


@torch.no_grad()
def test_unmasked_tokens_are_golden(golden, patches) -> None:
    encoder = objective().encoder
    alone = {stream: encoder.encode(stream, patches[stream]) for stream in patches}
    found = {
        "a_only": encoder.join(alone[WAVEFORM], "a"),
        "v_only": encoder.join(alone[FACE], "v"),
        "joint": encoder.join(torch.cat(list(alone.values()), dim=1)),
    }
    for name, tokens in found.items():
        np.testing.assert_allclose(tokens, golden[f"enc_{name}"], **CLOSE)
        pooled = golden[f"enc_{name.removesuffix('_only')}_pooled"]
        np.testing.assert_allclose(tokens.mean(dim=1), pooled, **CLOSE)


@torch.no_grad()
def test_fine_tuned_outputs_are_golden(golden, patches) -> None:
    known = weights("finetune")
    encoder = CAVMAE(TINY).eval()
    own, decoder, left = translate(known)
    assert not decoder and len(left) == 4
    encoder.load_state_dict(own)
    head = linear(32, 6, pooled_norm=True)
    own_names = {"mlp_head.0": "norm", "mlp_head.1": "layers.1"}
    head.load_state_dict({own_names[n[:10]] + n[10:]: known[n] for n in left})
    alone = {stream: encoder.encode(stream, patches[stream]) for stream in patches}
    modes = {
        "audioonly": (alone[WAVEFORM], "a"),
        "videoonly": (alone[FACE], "v"),
        "multimodal": (torch.cat(list(alone.values()), dim=1), ""),
    }
    for mode, (tokens, letter) in modes.items():
        joined = encoder.join(tokens, letter)
        all_valid = torch.ones(joined.shape[:2], dtype=torch.bool)
        found = head({NAME: Tokens(joined, all_valid)}).utterance
        np.testing.assert_allclose(found, golden[f"ft_{mode}"], **CLOSE)


@pytest.mark.parametrize("mode, count", [("pretrain", 192_772_608), ("finetune", 165_547_782)])
def test_the_published_size_has_the_published_parameters(mode: str, count: int) -> None:
    with torch.device("meta"):
        model = MaskedAutoencoding(CAVMAE(CAVMAEConfiguration()), MaskedAutoencodingConfiguration())
        head = torch.nn.Sequential(torch.nn.LayerNorm(768), torch.nn.Linear(768, 6))
    parts = (model.encoder, model.decoder if mode == "pretrain" else head)
    assert sum(p.numel() for part in parts for p in part.parameters()) == count
    encoder, decoder, left = translate(weights(mode, "full"))
    own = model.encoder.state_dict()
    assert {n: v.shape for n, v in own.items()} == {n: v.shape for n, v in encoder.items()}
    wanted = model.decoder.state_dict() if mode == "pretrain" else {}
    assert {n: v.shape for n, v in wanted.items()} == {n: v.shape for n, v in decoder.items()}
    assert len(left) == (0 if mode == "pretrain" else 4)


def test_the_filterbank_is_golden() -> None:
    known = np.load(FOLDER / "fbank.npz")
    found = kaldi_filterbank(torch.from_numpy(known["wave"]))
    np.testing.assert_allclose(found, known["fbank_hanning"], **CLOSE)
    other = kaldi_filterbank(torch.from_numpy(named_weights.sym("input:wave2", (16000,), 1)))
    np.testing.assert_allclose(other, known["fbank_noise"], **CLOSE)
    silent = kaldi_filterbank(torch.zeros(4000))
    np.testing.assert_allclose(silent, known["fbank_zeros"], **CLOSE)
    assert kaldi_filterbank(torch.zeros(399)).shape == (0, 128)


def test_fixed_positions_are_golden() -> None:
    known = np.load(FOLDER / "pos_embed.npz")
    rows = {
        "a_768": (768, 8, 64, [0, 1, 2, 63, 64, 65, 511]),
        "v196_768": (768, 14, 14, [0, 1, 13, 14, 15, 195]),
        "v784_768": (768, 28, 28, [0, 1, 27, 28, 29, 783]),
        "tiny_2x3_8": (8, 2, 3, slice(None)),
    }
    for name, (dim, height, width, some) in rows.items():
        found = sine_cosine(dim, height, width)[some]
        np.testing.assert_allclose(found, known[f"cavmae_{name}"], atol=1e-5)
