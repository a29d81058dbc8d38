"""EfficientNet over faces: its sizes, its padding, its frames, and chunks of long videos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clips import faces
from stores import write_store
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT
from avaffect.data.dataset import dataset_of
from avaffect.models import efficientnet
from avaffect.models.efficientnet import (
    PRESETS,
    EfficientNet,
    EfficientNetConfiguration,
    rounded_width,
)
from avaffect.models.outline import Outlines
from avaffect.recipes.encoding import extraction

TINY = PRESETS["nano"]
CPU = torch.device("cpu")


def trained(configuration: EfficientNetConfiguration = TINY, seed: int = 0) -> EfficientNet:
    """In evaluation mode, with statistics of batch norm as after some training."""
    torch.manual_seed(seed)
    model = EfficientNet(configuration)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model.eval()


# Parameters below the classifiers of torchvision's models of 1000 classes.
@pytest.mark.parametrize(
    ("name", "dim", "blocks", "parameters"),
    [("b0", 1280, 16, 4_007_548), ("b2", 1408, 23, 7_700_994), ("b4", 1792, 32, 17_548_616),
     ("b7", 2560, 55, 63_786_960)],
)  # fmt: skip
def test_published_sizes(name, dim, blocks, parameters):
    with Outlines():
        model = EfficientNet(PRESETS[name])
    assert model.dim == dim and sum(len(stage) for stage in model.stages) == blocks
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert (PRESETS[name] == EfficientNetConfiguration()) is (name == "b2")


def test_widths_are_rounded_to_eights():
    assert [rounded_width(n, 1.1) for n in (16, 24, 40, 320)] == [16, 24, 48, 352]
    # 9 would become 8, which is more than a tenth less.
    assert rounded_width(32, 0.28) == 16


def naive(model: EfficientNet, picture: np.ndarray) -> Tensor:
    """(dim,) of a picture (H, W, 3) at its own size, from the definition."""
    c = model.configuration
    mean, std = np.array(c.face_mean), np.array(c.face_std)
    x = torch.tensor(((picture / 255.0 - mean) / std).transpose(2, 0, 1)[None], dtype=torch.float32)

    def convolved(x: Tensor, unit: nn.Module, kernel: int, stride: int, padding: str) -> Tensor:
        weight, norm = unit.conv.weight, unit.norm
        sides = []
        for side in (x.shape[3], x.shape[2]):
            even = padding == "late" or (padding == "same" and side % 2 == 0)
            less = 1 if stride == 2 and even else 0
            sides += [kernel // 2 - less, kernel // 2]
        x = F.conv2d(F.pad(x, sides), weight, None, stride, groups=x.shape[1] // weight.shape[1])
        shape = (1, -1, 1, 1)
        x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + c.norm_epsilon
                                                    ).sqrt()  # fmt: skip
        return x * norm.weight.view(shape) + norm.bias.view(shape)

    def swish(x: Tensor) -> Tensor:
        return x / (1 + torch.exp(-x))

    x = swish(convolved(x, model.stem, 3, 2, c.padding))
    number = 0
    for stage, (kernel, stride, expansion, _, blocks) in zip(model.stages, c.stages):
        for place in range(blocks):
            block, inputs = stage[place], x
            if expansion > 1:
                x = swish(convolved(x, block.expand, 1, 1, c.padding))
            padding = "symmetric" if number in c.symmetric_blocks else c.padding
            x = swish(convolved(x, block.depthwise, kernel, 1 if place else stride, padding))
            mean_picture = x.mean(dim=(2, 3))
            reduced = swish(block.squeeze.reduce(mean_picture[:, :, None, None]))
            x = x * torch.sigmoid(block.squeeze.expand(reduced))
            x = convolved(x, block.project, 1, 1, c.padding)
            x, number = x + inputs if place else x, number + 1
    return swish(convolved(x, model.top, 1, 1, c.padding)).mean(dim=(2, 3))[0]


@pytest.mark.parametrize("size", [32, 33, 35])
@pytest.mark.parametrize(
    "padding", [("symmetric", ()), ("same", ()), ("late", ()), ("late", (1,))], ids=str
)
@torch.no_grad()
def test_a_frame_is_what_the_network_makes_of_one_picture(padding, size):
    kind, blocks = padding
    model = trained(replace(TINY, padding=kind, symmetric_blocks=blocks, face_size=size))
    batch = faces((3, 2), size=size, channels=3)
    found = model(batch)
    assert found.values.shape == (2, 3, 32) and found.lengths.tolist() == [3, 2]
    for row, step in ((0, 0), (0, 2), (1, 1)):
        expected = naive(model, batch.streams["face"][row, step].numpy())
        torch.testing.assert_close(found.values[row, step], expected, atol=1e-5, rtol=1e-5)
    assert not found.values[1, 2].any()


@torch.no_grad()
def test_paddings_differ():
    batch = faces((2,), size=32, channels=3)
    found = [trained(replace(TINY, padding=p))(batch).values for p in ("symmetric", "same", "late")]
    assert (found[0] - found[1]).abs().max() > 1e-3
    # Of even sides "late" is TensorFlow's.
    assert torch.equal(found[1], found[2])


@torch.no_grad()
def test_chunks_and_batch_mates_never_change_frames(monkeypatch):
    model = trained()
    batch = faces((9, 1, 6, 0), size=32, channels=3)
    whole = model(batch)
    assert whole.lengths.tolist() == [9, 1, 6, 0]
    for row, length in enumerate((9, 1, 6, 0)):
        alone = Batch(
            ["a"], {"face": batch.streams["face"][row : row + 1, :length]},
            {"face": torch.tensor([length])},
        )  # fmt: skip
        found = model(alone).values
        assert found.shape == (1, length, 32)
        torch.testing.assert_close(whole.values[row, :length], found[0], atol=1e-6, rtol=1e-5)
        assert not whole.values[row, length:].any()
    monkeypatch.setattr(efficientnet, "_BLOCK", 5)
    torch.testing.assert_close(model(batch).values, whole.values, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_grey_faces_are_rgb_of_equal_channels_and_sizes_are_converted():
    model = trained()
    grey = faces((4,), size=32, channels=1)
    rgb = replace(grey, streams={"face": grey.streams["face"].repeat(1, 1, 1, 1, 3)})
    assert torch.equal(model(grey).values, model(rgb).values)
    large = replace(rgb, streams={"face": rgb.streams["face"].repeat_interleave(2, 2)
                                  .repeat_interleave(2, 3)})  # fmt: skip
    assert large.streams["face"].shape == (1, 4, 64, 64, 3)
    # Halving gives back pictures that were doubled, but for smoothing across edges.
    assert (model(large).values - model(rgb).values).abs().max() < 1.0
    small = trained(replace(TINY, channels=1, face_mean=(0.4,), face_std=(0.2,)))
    assert small(rgb).values.shape == (1, 4, 32)


def test_training_reaches_every_weight_and_parts_can_be_frozen():
    model = trained().train()
    model(faces((4, 3), size=32, channels=3)).values.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    parts = model.parts()
    assert list(parts) == ["stem", "stage1", "stage2", "top"]
    inside = {id(p) for part in parts.values() for p in part.parameters()}
    assert inside == {id(p) for p in model.parameters()}


def test_other_rates_and_layers_are_refused():
    model = trained()
    batch = replace(faces((2,), size=32, channels=3), rates={"face": 30.0})
    for arguments in ((batch,), (faces((2,), channels=3), 1)):
        with pytest.raises(UsageError):
            model(*arguments)
    assert trained(replace(TINY, rate_hz=30.0))(batch).lengths.tolist() == [2]


@pytest.mark.parametrize(
    "wrong",
    [{"padding": "valid"}, {"channels": 2}, {"face_mean": (0.5,)}, {"stages": ()},
     {"stages": ((4, 1, 1, 8, 1),)}, {"stages": ((3, 3, 1, 8, 1),)}],
    ids=str,
)  # fmt: skip
def test_configurations_of_no_model(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EfficientNet(replace(TINY, **wrong))


def test_a_long_video_is_read_in_parts(tmp_path):
    """Of 1.2 s no batch has more than 0.4 s, and every frame is there once."""
    random = np.random.default_rng(0)
    films = [random.integers(0, 255, (n, 32, 32, 3), dtype=np.uint8) for n in (30, 8, 0, 13)]
    store = write_store(tmp_path / "a.h5", {"face": (25.0, films)})
    dataset = dataset_of([store], store.ids, ("face",))
    encoder = trained()
    extractor = extraction.wrap_encoder(encoder, None, {}, ("face",))
    lengths: list[int] = []

    def watched(batch: Batch):
        lengths.extend(batch.lengths["face"].tolist())
        return encoder(batch)

    extractor.encode = watched
    rows = dict(extraction.compute(extractor, dataset, CPU, SILENT, batch_seconds=0.4))
    assert max(lengths) == 10 and sum(lengths) == 51
    with torch.no_grad():
        for index, film in enumerate(films):
            batch = Batch(
                ["a"], {"face": torch.from_numpy(film)[None]}, {"face": torch.tensor([len(film)])}
            )
            expected = encoder(batch).values[0].numpy()
            np.testing.assert_allclose(rows[index], expected, atol=1e-6, rtol=1e-5)
    means = extraction.pooled_means(extractor, dataset, CPU, SILENT, batch_seconds=0.4)
    np.testing.assert_allclose(means[0], rows[0].mean(axis=0), atol=1e-6, rtol=1e-4)
    assert not means[2].any()
