"""What every encoder of the registry promises."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict
from typing import Any

import pytest
import torch

from avaffect.core.batch import Batch
from avaffect.core.configuration import read
from avaffect.core.errors import UsageError
from avaffect.models import registry
from avaffect.models.encoder import Encoder, FrameEncoder
from avaffect.models.given import GivenFeaturesConfiguration, GivenVectorsConfiguration
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.models.registry import ENCODERS
from avaffect.models.transformer import TransformerConfiguration
from avaffect.models.whisper import WhisperConfiguration

# How many layers there are to choose from in the smallest of each.
DEPTHS = {
    "hubert": 4, "avhubert": 4, "recurrent": 3, "contrastive": 2, "pase": 1, "visual": 0,
    "whisper": 2, "cavmae": 4, "efficientnet": 0, "features": 0, "vectors": 0,
}  # fmt: skip


def presets(name: str) -> dict[str, Any]:
    """Size -> configuration; given features and Whisper have none but that of a test."""
    if name == "features":
        return {"nano": GivenFeaturesConfiguration(3, 10.0)}
    if name == "vectors":
        return {"nano": GivenVectorsConfiguration(3, "mean", "vector")}
    if name == "whisper":
        sizes = TransformerConfiguration(2, 32, 64, 4, pre_norm=True, position_norm="none")
        return {"nano": WhisperConfiguration(sizes, positions=50)}
    return importlib.import_module(ENCODERS[name].value.split(":")[0]).PRESETS


def small(name: str) -> Encoder:
    torch.manual_seed(0)
    return ENCODERS[name].load()(presets(name)["nano"]).eval()


def batch_for(encoder: Encoder) -> Batch:
    """Two utterances, the second shorter, of whatever is read."""
    random = torch.Generator().manual_seed(1)
    streams = {
        "waveform": torch.randint(-999, 999, (2, 6400), generator=random).short(),
        "face": torch.randint(0, 255, (2, 10, 48, 48, 1), generator=random).to(torch.uint8),
        "features": torch.randn(2, 4, 3, generator=random),
        "vector": torch.randn(2, 1, 3, generator=random),
    }
    lengths = {
        "waveform": torch.tensor([6400, 4800]), "face": torch.tensor([10, 7]),
        "features": torch.tensor([4, 3]), "vector": torch.tensor([1, 1]),
    }  # fmt: skip
    read = {name: streams[name] for name in encoder.streams}
    return Batch(["a", "b"], read, {name: lengths[name] for name in read}, rates={"face": 25.0})


def test_each_encoder_is_tested_here() -> None:
    own = {name for name in ENCODERS if ENCODERS.owns(name)}
    assert own == set(DEPTHS)


@pytest.mark.parametrize("name", DEPTHS)
@torch.no_grad()
def test_depth_is_how_many_layers_there_are_to_choose_from(name: str) -> None:
    encoder, batch = small(name), batch_for(small(name))
    assert encoder.depth == DEPTHS[name]
    whole = encoder(batch)
    assert whole.values.shape[2] == encoder.dim
    shapes = set()
    for layer in range(1, encoder.depth + 1):
        found = encoder(batch, layer)
        shapes.add(found.values.shape)
        assert torch.equal(found.valid, whole.valid)
    # Layers of one shape can be weighted.
    assert shapes <= {whole.values.shape}
    for wrong in (encoder.depth + 1, 0, -1):
        with pytest.raises(UsageError):
            encoder(batch, wrong)
        with pytest.raises(UsageError):
            encoder.check_layer(wrong)
    encoder.check_layer(None)


@pytest.mark.parametrize("name", [name for name, depth in DEPTHS.items() if depth])
@torch.no_grad()
def test_every_layer_comes_in_one_pass(name: str) -> None:
    """The layers as they come one by one, and the output in place of the last."""
    encoder, batch = small(name), batch_for(small(name))
    found = encoder.every_layer(batch)
    assert found.values.shape[2] == encoder.layer_count * encoder.dim
    parts = found.values.split(encoder.dim, dim=2)
    assert len(parts) == encoder.layer_count == encoder.depth + 1 - encoder.first_layer
    for layer, part in enumerate(parts, encoder.first_layer):
        if layer:
            alone = encoder(batch, layer if layer < encoder.depth else None)
            torch.testing.assert_close(part, alone.values)
            assert torch.equal(found.valid, alone.valid)
        assert not part[~found.valid].any() and part[found.valid].any()


@torch.no_grad()
def test_layers_of_different_size_do_not_come_together() -> None:
    encoder = RecurrentEncoder(RecurrentConfiguration(layers=2, hidden=6, dim=4))
    batch = batch_for(encoder)
    for one_by_one in (encoder.every_layer, lambda b: FrameEncoder.every_layer(encoder, b)):
        with pytest.raises(UsageError):
            one_by_one(batch)


@pytest.mark.parametrize("name", sorted(set(DEPTHS) - {"vectors", "cavmae"}))
def test_frames_are_counted_before_they_are_made(name: str) -> None:
    encoder = small(name)
    assert isinstance(encoder, FrameEncoder) and encoder.rate_hz > 0
    batch = batch_for(encoder)
    with torch.no_grad():
        found = encoder(batch)
    assert torch.equal(encoder.frame_count(batch.lengths), found.lengths)
    assert encoder.usable(batch.lengths).tolist() == [True, True]
    nothing = {stream: torch.zeros(2, dtype=torch.long) for stream in encoder.streams}
    assert encoder.usable(nothing).tolist() == [False, False]


@pytest.mark.parametrize("name", DEPTHS)
def test_a_description_survives_json(name: str) -> None:
    encoder = small(name)
    built = registry.build(json.loads(json.dumps(registry.describe(encoder))))
    assert type(built) is type(encoder) and built.configuration == encoder.configuration
    for preset in presets(name).values():
        assert read(type(preset), json.loads(json.dumps(asdict(preset)))) == preset
