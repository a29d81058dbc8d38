"""Layers of an encoder under a head: one of them, or a weighted sum of all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke

from avaffect.core.errors import UsageError
from avaffect.core.headers import ClassifierHeader, ReadLayers
from avaffect.models.encoder import Frames
from avaffect.models.layer_sum import LayerSum, LayerSumConfiguration
from avaffect.models.layers import read_layers
from avaffect.models.pase import PRESETS, PaseEncoder
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.head_options import RecurrentOptions
from avaffect.training import checkpoint

MEDIA = (Path("a.h5"),)
ENCODER = Path("fav.safetensors")
SHORT = ("--mode", "frozen", "--epochs", 2, "--select", "none", "--batch-utterances", 8)


# -- the sum --------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [4, 1])
@pytest.mark.parametrize("standardise", [False, True])
def test_the_sum_is_that_of_a_naive_loop(standardise: bool, frames: int) -> None:
    """Values and gradients in float64."""
    torch.manual_seed(0)
    sums = LayerSum(LayerSumConfiguration("encoder", 3, 2, standardise=standardise)).double()
    torch.nn.init.normal_(sums.logits)
    mean, std = torch.randn(6).double(), torch.rand(6).double() + 0.5
    if sums.standardisation is not None:
        sums.standardisation.set(mean, std)
    else:
        mean, std = torch.zeros(6), torch.ones(6)
    values = torch.randn(2, frames, 6, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([frames, frames - 1])
    found = sums(Frames(values, lengths))
    weights = torch.exp(sums.logits) / torch.exp(sums.logits).sum()
    expected = torch.zeros(2, frames, 2, dtype=torch.float64)
    for row in range(2):
        for frame in range(int(lengths[row])):
            for layer in range(3):
                for number in range(2):
                    place = 2 * layer + number
                    standard = (values[row, frame, place] - mean[place]) / std[place]
                    expected[row, frame, number] = (
                        expected[row, frame, number] + weights[layer] * standard
                    )
    torch.testing.assert_close(found.values, expected)
    assert found.lengths is lengths
    given = torch.randn_like(expected)
    wrt = (sums.logits, values)
    for one, other in zip(
        torch.autograd.grad((found.values * given).sum(), wrt, retain_graph=True),
        torch.autograd.grad((expected * given).sum(), wrt),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_an_encoder_of_one_layer_has_nothing_to_sum() -> None:
    with pytest.raises(UsageError):
        read_layers(PaseEncoder(PRESETS["nano"]), ReadLayers())
    with pytest.raises(UsageError):
        read_layers(PaseEncoder(PRESETS["nano"]), ReadLayers(layer=2))


# -- finetune -------------------------------------------------------------------------------------


def trained(folder: Path, *options: object, output: str) -> tuple[ClassifierHeader, dict]:
    """A classifier of fav.safetensors' layers, and the scores that it predicts."""
    invoke(folder, "finetune", "a.h5", "--encoder", "fav.safetensors", *options, "-o", output)
    return checkpoint.read(folder / output, ClassifierHeader)


def scores(folder: Path, media: str, model: str) -> np.ndarray:
    invoke(folder, "predict", media, "--model", model, "-o", f"{model}.jsonl")
    lines = (folder / f"{model}.jsonl").read_text(encoding="utf-8").splitlines()[1:-1]
    return np.array([list(json.loads(line)["scores"].values()) for line in lines])


def test_a_layer_is_read_as_extract_reads_it(chain: Path) -> None:
    header, _ = trained(chain, *SHORT, "--layer", 2, output="second.safetensors")
    assert header.layers is not None and header.layers.layer == 2
    invoke(chain, "extract", "a.h5", "--model", "fav.safetensors", "--layer", 2, "-o", "second.h5")
    invoke(chain, "finetune", "second.h5", *SHORT, "-o", "features.safetensors")
    np.testing.assert_allclose(
        scores(chain, "a.h5", "second.safetensors"),
        scores(chain, "second.h5", "features.safetensors"), atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("head", ["linear", "gru"])
def test_all_layers_are_summed_under_a_head(chain: Path, head: str) -> None:
    """Each layer is standardised; the weights are learned, predicted with and described."""
    sizes = () if head == "linear" else ("--hidden", 4, "--gru-layers", 1)
    output = f"{head}-all.safetensors"
    options = (*SHORT, "--head", head, *sizes, "--head-learning-rate", 0.1)
    header, tensors = trained(chain, *options, "--layers", "weighted", output=output)
    assert header.layers == ReadLayers() and header.encoder["name"] == "hubert"
    logits = tensors["runs.0.head.layer_sum.logits"]
    assert logits.shape == (5,) and len(logits.unique()) == 5
    std = tensors["runs.0.head.layer_sum.standardisation.std"]
    assert std.shape == (5 * 128,) and (std != 1).all()
    assert np.isfinite(scores(chain, "a.h5", output)).all()
    weights = header.runs[0].metrics["layers"]
    assert list(weights) == ["0", "1", "2", "3", "4"]
    np.testing.assert_allclose(list(weights.values()), logits.softmax(0), atol=1e-6)
    shown = invoke(chain, "info", output).stdout
    assert any(line.split()[0] == "layers" for line in shown.splitlines() if line.split())
    described = json.loads(invoke(chain, "info", output, "--json").stdout)
    assert described["layers"]["layer"] is None


@pytest.mark.parametrize("mode", ["fine-tuned", "lora"])
def test_the_sum_is_trained_with_the_encoder(chain: Path, mode: str) -> None:
    header, tensors = trained(
        chain, "--layers", "weighted", "--normalise-layers", "--mode", mode, "--steps", 1,
        "--select", "none", output="tuned.safetensors",
    )  # fmt: skip
    assert header.layers == ReadLayers(normalised=True)
    assert tensors["runs.0.head.layer_sum.logits"].any()
    held = "encoder.encoder.layers.0.fc1.weight" if mode == "fine-tuned" else "adapters."
    assert any(name.startswith(f"runs.0.{held}") for name in tensors)
    assert np.isfinite(scores(chain, "a.h5", "tuned.safetensors")).all()


# -- options --------------------------------------------------------------------------------------


def test_a_number_of_layers_is_that_of_the_gru() -> None:
    """--layers 1 of version 0.1, --gru-layers 1, and both beside the encoder's."""
    for given in ({"layers": "1"}, {"layers": 1}, {"gru_layers": 1}):
        settings = FinetuneSettings(media=MEDIA, head="gru", **given)
        complete = settings.with_options(settings.options(RecurrentOptions))
        assert (complete.layers, complete.gru_layers) == (1, None)
        assert complete.options(RecurrentOptions)["layers"] == 1
    both = FinetuneSettings(
        media=MEDIA, head="gru", layers="weighted", gru_layers=3, encoder=ENCODER
    )
    complete = both.with_options(both.options(RecurrentOptions))
    assert (complete.layers, complete.gru_layers) == ("weighted", 3)
    assert complete.options(RecurrentOptions) == both.options(RecurrentOptions)


@pytest.mark.parametrize(
    "options",
    [{"layers": "all"}, {"layers": "0"}, {"layers": 2}, {"gru_layers": 2}, {"layers": "weighted"},
     {"head": "gru", "layers": 2, "gru_layers": 2}, {"layer": 2}, {"layer": 0, "encoder": ENCODER},
     {"layer": 2, "layers": "weighted", "encoder": ENCODER},
     {"normalise_layers": True, "encoder": ENCODER}],
)  # fmt: skip
def test_options_of_layers_that_do_not_suit_are_refused(options: dict) -> None:
    with pytest.raises(UsageError):
        FinetuneSettings(media=MEDIA, **options)


def test_a_layer_that_the_encoder_does_not_have_is_refused(chain: Path) -> None:
    words = ("finetune", "a.h5", "--encoder", "fav.safetensors", "-o", "no.safetensors")
    said = invoke(chain, *words, "--layer", 5, status=2).stderr
    assert "layers 1 to 4" in said
