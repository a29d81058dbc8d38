"""The visual encoder, alone and in the hands of the other commands."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from clips import TINY, faces, tiny_encoder
from torch import nn

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.data.store.reader import Store
from avaffect.models import registry, visual
from avaffect.models.visual import PRESETS, VisualEncoder
from avaffect.recipes.encoding import checkpoints
from avaffect.signal.images import resize
from avaffect.training import checkpoint


@pytest.fixture
def encoder() -> VisualEncoder:
    """In evaluation mode, with statistics of batch norm as after some training."""
    model = tiny_encoder()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def test_shapes_and_the_published_size():
    with torch.device("meta"):
        base = VisualEncoder(PRESETS["base"])
    # torchvision's ResNet-18 without its classifier, with a stem over five grey pictures.
    count = sum(p.numel() for p in base.parameters())
    assert (base.dim, count) == (512, 11_176_512 - 9_408 + 5 * 7 * 7 * 64)
    nano = VisualEncoder(PRESETS["nano"]).eval()
    assert sum(p.numel() for p in nano.parameters()) < 1_000_000
    found = nano(faces((7, 3), size=48))
    assert found.values.shape == (2, 7, 64)
    assert found.lengths.tolist() == [7, 3]


@torch.no_grad()
def test_a_frame_is_what_resnet_makes_of_standardised_pictures(encoder):
    batch = faces()
    pixels = batch.streams["face"][0, :9, :, :, 0].double() / 255
    clip = ((pixels - 0.3) / 0.2).float()
    stem = encoder.resnet.frontend3D
    seen = torch.nn.functional.conv3d(clip[None, None], stem[0].weight, None, (1, 2, 2), (2, 3, 3))[
        0
    ].transpose(0, 1)
    for module in stem[1:]:
        seen = module(seen)
    expected = encoder.resnet.trunk(seen).mean((2, 3))
    torch.testing.assert_close(encoder(batch).values[0], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_padding_and_batch_mates_change_nothing(encoder):
    batch = faces()
    together = encoder(batch)
    assert together.values.shape == (4, 9, 32)
    assert not together.values[~together.valid].any()
    for row, length in enumerate((9, 1, 6, 0)):
        alone = replace(
            batch,
            streams={"face": batch.streams["face"][row : row + 1, :length]},
            lengths={"face": torch.tensor([length])},
        )
        found = encoder(alone).values[0]
        torch.testing.assert_close(found, together.values[row, :length], atol=1e-5, rtol=1e-4)
    # Blocks of frames give what the whole gives, and so does a pass that has gradients.
    with torch.enable_grad():
        whole = encoder(batch).values
    torch.testing.assert_close(whole.detach(), together.values, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_blocks_of_a_long_film_meet_without_a_seam(encoder, monkeypatch):
    batch = faces((23, 5, 11))
    whole = encoder(batch).values
    seen = []
    encoder.resnet.register_forward_hook(lambda module, given, made: seen.append(len(given[0])))
    monkeypatch.setattr(visual, "_BLOCK", 4)
    torch.testing.assert_close(encoder(batch).values, whole, atol=1e-5, rtol=1e-4)
    # Of the film, each block holds its own pictures and two at either end.
    assert len(seen) == 10 and max(seen) == 8


@torch.no_grad()
def test_stored_pictures_are_resized_and_views_are_not(encoder):
    large = faces((4,), size=40)
    small = replace(large, streams={"face": resize(large.streams["face"], 32)})
    torch.testing.assert_close(encoder(large).values, encoder(small).values)
    view = replace(large, streams={"face": large.streams["face"].float()})
    whole = encoder.embed(large.streams["face"][..., 0] / 255.0, torch.tensor([4]))
    torch.testing.assert_close(encoder(view).values, whole.values)
    assert (encoder(view).values - encoder(large).values).abs().max() > 1e-3


@torch.no_grad()
def test_colours_are_seen_grey(encoder):
    batch = faces((4,))
    grey = batch.streams["face"]
    colours = replace(batch, streams={"face": grey.expand(-1, -1, -1, -1, 3)})
    torch.testing.assert_close(encoder(colours).values, encoder(batch).values, atol=1e-2, rtol=0)


def test_its_parts_are_the_stem_and_the_rest(encoder):
    parts = encoder.parts()
    assert list(parts) == ["stem", "trunk"]
    held = [p for part in parts.values() for p in part.parameters()]
    assert {id(p) for p in held} == {id(p) for p in encoder.parameters()}
    assert [tuple(p.shape) for p in parts["stem"].parameters()] == [(4, 1, 5, 7, 7), (4,), (4,)]


def test_what_it_cannot_do_is_said(encoder):
    with pytest.raises(UsageError, match="no layers"):
        encoder(faces(), layer=2)
    fast = faces()
    fast.rates["face"] = 30.0
    with pytest.raises(UsageError, match="25 faces a second, and this store holds 30"):
        encoder(fast)
    with pytest.raises(DataError, match="face_std 0"):
        registry.build({"name": "visual", "configuration": {"face_std": 0.0}})


def test_a_header_makes_the_like(encoder):
    described = registry.describe(encoder)
    assert described == {"name": "visual", "configuration": asdict(TINY)}
    assert registry.build(described).load_state_dict(encoder.state_dict())


# -- in the hands of the other commands -----------------------------------------------------------


@pytest.fixture(scope="module")
def folder(split_films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of six people with two emotions, and a visual encoder as it was initialised."""
    found = tmp_path_factory.mktemp("visual")
    shutil.copy(split_films / "a.h5", found)
    torch.manual_seed(0)
    encoder = VisualEncoder(replace(PRESETS["nano"], face_mean=0.5, face_std=0.2))
    checkpoints.save_encoder(
        found / "visual.safetensors", encoder, None, provenance={"command": "test", "inputs": []}
    )
    return found


def test_features_are_extracted(folder, tmp_path):
    invoke(folder, "extract", "a.h5", "--model", "visual.safetensors", "-o", tmp_path / "f.h5")
    media, found = Store(folder / "a.h5"), Store(tmp_path / "f.h5")
    spec = found.streams["features"]
    assert (spec.rate_hz, spec.shape) == (25.0, (64,))
    np.testing.assert_array_equal(found.lengths("features"), media.lengths("face"))
    encoder = checkpoints.load_encoder(folder / "visual.safetensors", torch.device("cpu"))[0]
    pictures = torch.from_numpy(np.array(media.read("face", 3)))[None]
    lengths = {"face": torch.tensor([pictures.shape[1]])}
    with torch.no_grad():
        expected = encoder(Batch(["x"], {"face": pictures}, lengths, {}, {"face": 25.0}))
    np.testing.assert_allclose(found.read("features", 3), expected.values[0], atol=1e-4)


@pytest.mark.parametrize("mode", ["frozen", "fine-tuned", "scratch"])
def test_heads_are_trained_on_it(folder, tmp_path, mode):
    invoke(folder, "finetune", "a.h5", "--encoder", "visual.safetensors", "--mode", mode,
           "--epochs", 1, "-o", tmp_path / "er.safetensors")  # fmt: skip
    header, tensors = checkpoint.load(tmp_path / "er.safetensors")
    assert header["preprocessing"]["streams"] == ["face"]
    stem = tensors.get("runs.0.encoder.resnet.frontend3D.0.weight")
    before = checkpoint.load(folder / "visual.safetensors")[1]["resnet.frontend3D.0.weight"]
    assert (stem is None) == (mode == "frozen")
    assert stem is None or not torch.equal(stem, before)
    found = invoke(folder, "predict", "a.h5", "--model", tmp_path / "er.safetensors",
                   "-o", tmp_path / "p.jsonl")  # fmt: skip
    assert "predictions" in found.stderr


def test_a_projector_is_trained_on_it(folder, tmp_path):
    invoke(folder, "train-projector", "a.h5", "--encoder", "visual.safetensors", "--epochs", 1,
           "-o", tmp_path / "projector.safetensors")  # fmt: skip
    found = invoke(folder, "finetune", "a.h5", "--encoder", "visual.safetensors",
                   "--modality", "audio", "-o", tmp_path / "x.safetensors", status=2)  # fmt: skip
    assert "this encoder reads face alone" in found.stderr
