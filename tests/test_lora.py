"""finetune --mode lora: low-rank adapters in the attention of an encoder, and merge-lora."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import test_avhubert
import test_hubert
import test_whisper
import torch
from chain import check_stopped_and_resumed, invoke
from label_heads import linear, named, of_class
from tiny_training import run
from torch import nn

from avaffect.core import headers
from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.core.headers import Adapters, ClassifierHeader, EncoderHeader
from avaffect.core.streams import WAVEFORM
from avaffect.data.store.reader import Store
from avaffect.models import lora
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import Hubert
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.pase import PaseConfiguration, PaseEncoder
from avaffect.models.recurrent import PRESETS as RECURRENT
from avaffect.models.recurrent import RecurrentEncoder
from avaffect.models.whisper import Whisper
from avaffect.objectives.base import Context, Step
from avaffect.objectives.supervised import Supervised
from avaffect.recipes.downstream.freezing import treatment_of
from avaffect.recipes.downstream.labelled_data import Utterances
from avaffect.recipes.encoding import checkpoints
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint

TINY = test_hubert.TINY
GATED = replace(TINY, transformer=replace(TINY.transformer, relative_buckets=32))
BATCH_NORM = replace(TINY, transformer=replace(TINY.transformer, position_norm="batch"))
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "hubert": lambda: Hubert(TINY),
    "large": lambda: Hubert(test_hubert.TINY_LARGE),
    "mhubert": lambda: Hubert(BATCH_NORM),
    "wavlm": lambda: Hubert(GATED),
    "whisper": lambda: Whisper(test_whisper.TINY),
    "padded whisper": lambda: Whisper(test_whisper.KINDS["padded"]),
    "avhubert": lambda: test_avhubert.model_of("nano"),
}
SOUNDS = test_hubert.speech(4000, 2400)


def batch_of(name: str) -> Batch:
    return test_avhubert.recordings([4000, 2400], [7, 3]) if name == "avhubert" else SOUNDS


def of(encoder: Encoder, rank: int = 3, alpha: float = 5.0) -> Adapters:
    return Adapters(rank=rank, alpha=alpha, modules=lora.projections(encoder))


def adapted(name: str, drawn: bool = True) -> Encoder:
    """An encoder with adapters; drawn: B is not zero."""
    torch.manual_seed(1)
    encoder = ENCODERS[name]().eval()
    lora.insert(encoder, of(encoder))
    if drawn:
        for key, tensor in lora.weights(encoder).items():
            tensor.normal_(std=0.3 if key.endswith("lora_b") else 0.1)
    return encoder


# -- the layer ------------------------------------------------------------------------------------


def test_it_is_the_sum_of_both_products() -> None:
    """Value and gradients against loops over W + (alpha / r) B A."""
    torch.manual_seed(0)
    base = nn.Linear(4, 3).double()
    layer = lora.AdaptedLinear(base, 2, 5.0)
    nn.init.normal_(layer.lora_b)
    x = torch.randn(2, 4, dtype=torch.float64)
    found = layer(x)
    found.square().sum().backward()
    a, b = (p.detach() for p in (layer.lora_a, layer.lora_b))
    up, down = torch.zeros_like(b), torch.zeros_like(a)
    for row in range(2):
        for out in range(3):
            value = base.bias[out].item()
            for place in range(4):
                change = sum(b[out, k].item() * a[k, place].item() for k in range(2))
                value += (base.weight[out, place].item() + 5 / 2 * change) * x[row, place].item()
            assert found[row, out].item() == pytest.approx(value)
            for k in range(2):
                for place in range(4):
                    share = 2 * value * 5 / 2 * x[row, place].item()
                    up[out, k] += share * a[k, place]
                    down[k, place] += share * b[out, k]
    torch.testing.assert_close(layer.lora_b.grad, up)
    torch.testing.assert_close(layer.lora_a.grad, down)


@pytest.mark.parametrize("name", ENCODERS)
@torch.no_grad()
def test_it_begins_as_the_encoder_and_can_be_folded_in(name: str) -> None:
    batch = batch_of(name)
    torch.manual_seed(1)
    base = ENCODERS[name]().eval()
    torch.testing.assert_close(adapted(name, drawn=False)(batch).values, base(batch).values)
    encoder = adapted(name)
    frames, kept = encoder(batch), lora.weights(encoder)
    assert not torch.allclose(frames.values, base(batch).values, atol=1e-3)
    modules = lora.projections(base)
    assert len(modules) == 2 * base.depth
    assert set(kept) == {f"{module}.lora_{part}" for module in modules for part in "ab"}
    whole = base.state_dict()
    assert set(encoder.state_dict()) == set(whole) | set(kept)
    for module in modules:
        whole[f"{module}.weight"] = lora.folded(whole[f"{module}.weight"], kept, module, 5.0)
    base.load_state_dict(whole)
    torch.testing.assert_close(base(batch).values, frames.values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["hubert", "wavlm", "whisper", "avhubert"])
def test_no_gradient_reaches_what_lies_below(name: str) -> None:
    encoder, graphs = adapted(name).train(), []
    first = encoder.get_submodule(lora.projections(encoder)[0])
    first.register_forward_pre_hook(lambda module, given: graphs.append(given[0].requires_grad))
    encoder(batch_of(name)).values.square().sum().backward()
    assert graphs and not any(graphs)
    trained = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert trained == set(lora.weights(encoder))


# -- training -------------------------------------------------------------------------------------


class Outputs(Supervised):
    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        found = self.head(named(self.encoder(self.seen(batch, context)))).utterance
        return Step({"outputs": ((found - 1).square().sum(), float(len(found)))})


class Same:
    """One batch an epoch."""

    def __init__(self, whole: Batch) -> None:
        self.whole = whole

    def plan(self, epoch: int):
        return [torch.arange(len(self.whole)).numpy()]

    def batch(self, indices, epoch: int) -> Batch:
        return self.whole


@pytest.mark.parametrize("name", ["mhubert", "avhubert"])
def test_only_the_adapters_change(name: str) -> None:
    """Statistics of batch norms belong to the encoder, which is not stored again."""
    encoder = adapted(name, drawn=False)
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    objective = Outputs(of_class(linear(encoder.dim, 1)), (), Inputs({ENCODER: encoder}))
    run(objective, Same(batch_of(name)), epochs=4)
    changed = {k for k, t in encoder.state_dict().items() if not torch.equal(t, before[k])}
    assert changed == set(lora.weights(encoder))
    objective.train()
    assert encoder.training and encoder.encoder.layers[0].dropout.training


# -- commands -------------------------------------------------------------------------------------

NOBODY = Utterances([], [], [], [])
TUNE = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "lora", "--rank", 2,
        "--batch-utterances", 8, "--head-learning-rate", 0.02)  # fmt: skip


def waveforms(store: Store, rows: int) -> Batch:
    read = [torch.from_numpy(store.read(WAVEFORM, row).copy()) for row in range(rows)]
    lengths = torch.tensor([len(one) for one in read])
    padded = nn.utils.rnn.pad_sequence(read, batch_first=True)
    return Batch(list(store.ids[:rows]), {WAVEFORM: padded}, {WAVEFORM: lengths})


def test_classifier_and_merged_encoder(chain: Path) -> None:
    invoke(chain, *TUNE, "--epochs", 3, "--select", "none", "--runs", 2, "--lora-alpha", 64,
           "-o", "er.safetensors")  # fmt: skip
    path = chain / "er.safetensors"
    header, tensors = checkpoint.read(path, ClassifierHeader)
    base, parent = checkpoints.load_encoder(chain / "fav.safetensors", torch.device("cpu"))
    assert header.adapters == Adapters(rank=2, alpha=64.0, modules=lora.projections(base))
    kinds = {(*name.split(".")[1:3], name.endswith(("lora_a", "lora_b"))) for name in tensors}
    assert kinds == {(n, part, part == "adapters") for n in "01" for part in ("head", "adapters")}
    shown = invoke(chain, "info", "er.safetensors").stdout
    assert "rank 2, alpha 64" in shown and "8: encoder.layers.0.self_attn.q_proj" in shown

    # Several runs: which?
    invoke(chain, "merge-lora", "er.safetensors", status=2)
    invoke(chain, "merge-lora", "er.safetensors", "--run", 2, status=2)
    invoke(chain, "merge-lora", "er.safetensors", "--run", 0, "--fold", 0, status=2)
    merge = ("merge-lora", "er.safetensors", "--run", 1, "-o", "merged.safetensors")
    invoke(chain, *merge)
    assert "up to date" in invoke(chain, *merge).stderr
    merged, found = checkpoints.load_encoder(chain / "merged.safetensors", torch.device("cpu"))
    batch = waveforms(Store(chain / "a.h5"), 3)
    encoder = checkpoints.adapted(base, header.adapters, tensors, path, "runs.1.adapters.")
    with torch.no_grad():
        frames = encoder(batch).values
        torch.testing.assert_close(merged(batch).values, frames, atol=1e-5, rtol=1e-5)
    assert (found.model, found.objective) == (parent.model, parent.objective)
    assert parent.labelled_speakers == () and len(found.labelled_speakers) == 4
    assert set(found.labelled_speakers) == set(header.labelled_speakers)
    assert [one["role"] for one in found.provenance["inputs"]] == [
        "classifier", "encoder", "quantiser",
    ]  # fmt: skip
    before, after = (
        checkpoint.read(chain / f"{name}.safetensors", EncoderHeader)[1]
        for name in ("fav", "merged")
    )
    changed = {name for name, one in after.items() if not torch.equal(one, before[name])}
    assert changed == {f"{module}.weight" for module in header.adapters.modules}
    # The quantiser of its units is known, and the speakers that it has seen are no test.
    invoke(chain, "finetune", "a.h5", "--encoder", "merged.safetensors", "--mode", "frozen",
           "--folds", 3, status=65)  # fmt: skip


def test_a_stopped_run_resumes(
    chain_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_stopped_and_resumed(
        chain_made, *TUNE, "--steps", 3, "--runs", 2, folder=tmp_path, stops=4,
        monkeypatch=monkeypatch,
    )  # fmt: skip


def test_defaults_are_recorded(chain_made: Path, tmp_path: Path) -> None:
    tune = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--steps", 1)
    for mode, kept in (("lora", {"rank": 8, "lora_alpha": 16.0}), ("fine-tuned", {})):
        output = tmp_path / f"{mode}.safetensors"
        invoke(chain_made, *tune, "--mode", mode, "-o", output)
        header = headers.read(output, ClassifierHeader)
        settings = header.provenance["settings"]
        assert {n: settings[n] for n in ("rank", "lora_alpha") if n in settings} == kept
        assert (header.adapters is None) == (mode != "lora")


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--rank", 4), ("--lora-alpha", 4.0, "--mode", "fine-tuned"), ("--mode", "lora"),
        ("--encoder", "fav.safetensors", "--mode", "lora", "--rank", 0),
        ("--encoder", "fav.safetensors", "--mode", "lora", "--lora-alpha", 0),
        # As many as its queries have dimensions, and one more.
        ("--encoder", "fav.safetensors", "--mode", "lora", "--rank", 129),
    ],
)  # fmt: skip
def test_wrong_use(chain_made: Path, tmp_path: Path, options: tuple[object, ...]) -> None:
    invoke(chain_made, "finetune", "a.h5", *options, "-o", tmp_path / "x.safetensors", status=2)


def test_an_encoder_without_attention(chain_made: Path, tmp_path: Path) -> None:
    path = tmp_path / "recurrent.safetensors"
    encoder = RecurrentEncoder(RECURRENT["nano"])
    checkpoints.save_encoder(path, encoder, None, provenance={"command": "test", "inputs": []})
    found = invoke(chain_made, "finetune", "a.h5", "--encoder", path, "--mode", "lora",
                   "-o", tmp_path / "x.safetensors", status=2)  # fmt: skip
    assert "recurrent.safetensors has no projections of queries and values" in found.stderr
    assert lora.projections(PaseEncoder(PaseConfiguration())) == ()


def test_frozen_parts_are_not_adapted() -> None:
    encoder = ENCODERS["avhubert"]()
    chosen = {"encoder": Path("x"), "media": (Path("a.h5"),), "mode": "lora"}
    settings = FinetuneSettings(**chosen, freeze=("stem",), rank=2, lora_alpha=4.0)
    treatment = treatment_of(settings, encoder, [], encoder.streams, NOBODY)
    assert treatment.adapters == of(encoder, 2, 4.0)
    layers = encoder.encoder.layers
    encoder.parts = lambda: {"first": layers[0], "stem": layers}  # type: ignore[method-assign]
    found = treatment_of(replace(settings, freeze=("first",)), encoder, [], encoder.streams, NOBODY)
    assert found.adapters.modules == ("encoder.layers.1.self_attn.q_proj",
                                      "encoder.layers.1.self_attn.v_proj")  # fmt: skip
    with pytest.raises(UsageError):
        treatment_of(settings, encoder, [], encoder.streams, NOBODY)
    # Nor are layers above the one that is read.
    lowest = replace(settings, freeze=(), layer=1)
    found = treatment_of(lowest, encoder, [], encoder.streams, NOBODY)
    assert found.adapters.modules == ("encoder.layers.0.self_attn.q_proj",
                                      "encoder.layers.0.self_attn.v_proj")  # fmt: skip


def test_a_classifier_without_adapters(chain_made: Path, tmp_path: Path) -> None:
    tune = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen", "--steps", 1)
    invoke(chain_made, *tune, "-o", tmp_path / "frozen.safetensors")
    assert "frozen" in invoke(tmp_path, "merge-lora", "frozen.safetensors", status=65).stderr
    invoke(chain_made, "merge-lora", "fav.safetensors", status=65)


def test_the_encoder_of_a_fine_tuned_classifier(chain: Path) -> None:
    """Of the second of two runs: what `extract` then makes differs from what it made before."""
    tune = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--steps", 2, "--runs", 2)
    invoke(chain, *tune, "--select", "none", "-o", "tuned.safetensors")
    invoke(chain, "merge-lora", "tuned.safetensors", status=2)
    found = invoke(chain, "extract", "a.h5", "--model", "tuned.safetensors", "-o", "f.h5",
                   status=65)  # fmt: skip
    assert "avaffect merge-lora tuned.safetensors" in found.stderr
    invoke(chain, "merge-lora", "tuned.safetensors", "--run", 1, "-o", "after.safetensors")
    header, tensors = checkpoint.read(chain / "tuned.safetensors", ClassifierHeader)
    encoder, own = checkpoints.load_encoder(chain / "after.safetensors", torch.device("cpu"))
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, tensors[f"runs.1.encoder.{name}"])
    assert set(own.labelled_speakers) == set(header.labelled_speakers) != set()
    assert own.objective == headers.read(chain / "fav.safetensors", EncoderHeader).objective
    for name in ("fav", "after"):
        invoke(chain, "extract", "a.h5", "--model", f"{name}.safetensors", "-o", f"{name}.h5")
    before, after = (Store(chain / f"{name}.h5").read("features", 0) for name in ("fav", "after"))
    assert before.shape == after.shape and abs(before - after).max() > 0.0
    # Weights that are not all there, or of another size.
    half = {name: t for name, t in tensors.items() if "encoder" not in name}
    checkpoint.write(chain / "half.safetensors", header, half)
    invoke(chain, "merge-lora", "half.safetensors", "--run", 1, status=65)


def test_adapters_of_another_encoder(chain: Path) -> None:
    """What a file says of its adapters must fit its tensors and its encoder."""
    invoke(chain, *TUNE, "--steps", 1, "-o", "er.safetensors")
    header, tensors = checkpoint.read(chain / "er.safetensors", ClassifierHeader)
    wider = {n: t.repeat(1, 2) if n.endswith("lora_a") else t for n, t in tensors.items()}
    missing = {n: t for n, t in tensors.items() if "layers.1.self_attn.v_proj" not in n}
    for name, changed in (("wider", wider), ("missing", missing)):
        checkpoint.write(chain / f"{name}.safetensors", header, changed)
        invoke(chain, "merge-lora", f"{name}.safetensors", status=65)
        invoke(chain, "predict", "a.h5", "--model", f"{name}.safetensors", status=65)
    found = invoke(chain, "extract", "a.h5", "--model", "er.safetensors", "-o", "f.h5", status=65)
    assert "avaffect merge-lora er.safetensors" in found.stderr
    assert header.adapters is not None
    other = replace(header, adapters=replace(header.adapters, modules=("encoder.nowhere.q_proj",)))
    checkpoint.write(chain / "nowhere.safetensors", other, tensors)
    invoke(chain, "predict", "a.h5", "--model", "nowhere.safetensors", status=65)
