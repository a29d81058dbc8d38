"""LiRA: the conformer, the targets and the loss by hand, resuming; the three pre-trainings of faces
through the command line on a synthetic corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from clips import FaceBatches, check_resuming, faces, generator, tiny_encoder
from stores import write_store
from tiny_training import run, weights

from avaffect.core.batch import Batch
from avaffect.data.store.reader import Store
from avaffect.models.conformer import Conformer, ConformerConfiguration
from avaffect.models.encoder import Frames
from avaffect.objectives.base import Context
from avaffect.objectives.lira import (
    AcousticPrediction,
    AcousticPredictionConfiguration,
    by_descriptor,
    mean_of,
)
from avaffect.recipes.encoding import checkpoints
from avaffect.signal.acoustic_targets import SIZES, acoustic_targets
from avaffect.signal.audio import torchaudio
from avaffect.training import checkpoint

SMALL = ConformerConfiguration(blocks=2, dim=8, ffn_dim=12, heads=2, kernel=5, dropout=0.0)


# -- the conformer --------------------------------------------------------------------------------


def published(configuration: ConformerConfiguration) -> torch.nn.Module:
    c = configuration
    return torchaudio.models.Conformer(
        c.dim, c.heads, c.ffn_dim, c.blocks, c.kernel, dropout=c.dropout
    ).eval()


def taken_over(theirs: torch.nn.Module, configuration: ConformerConfiguration) -> Conformer:
    """The same weights under our names."""
    ours = Conformer(configuration).eval()
    found = {}
    for n, layer in enumerate(theirs.conformer_layers):
        parts = {"before": layer.ffn1.sequential, "after": layer.ffn2.sequential}
        for half, network in parts.items():
            for index, name in ((0, "0"), (1, "1"), (4, "4")):
                found[f"{n}.{half}.{name}"] = network[index].state_dict()
        weight, bias = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
        for name, w, b in zip("qkv", weight.chunk(3), bias.chunk(3)):
            found[f"{n}.attention.{name}_proj"] = {"weight": w, "bias": b}
        found[f"{n}.attention.out_proj"] = layer.self_attn.out_proj.state_dict()
        found[f"{n}.attention_norm"] = layer.self_attn_layer_norm.state_dict()
        found[f"{n}.norm"] = layer.final_layer_norm.state_dict()
        module = layer.conv_module
        found[f"{n}.convolution.norm"] = module.layer_norm.state_dict()
        expand, _, depthwise, norm, _, project, _ = module.sequential
        for name, linear in (("expand", expand), ("project", project)):
            found[f"{n}.convolution.{name}"] = {
                "weight": linear.weight[..., 0],
                "bias": linear.bias,
            }
        found[f"{n}.convolution.depthwise"] = depthwise.state_dict()
        found[f"{n}.convolution.batch_norm"] = {
            "weight": norm.weight, "bias": norm.bias,
            "mean": norm.running_mean, "variance": norm.running_var,
            "batches": norm.num_batches_tracked,
        }  # fmt: skip
    flat = {f"blocks.{k}.{name}": t for k, part in found.items() for name, t in part.items()}
    ours.load_state_dict(flat)
    return ours


@torch.no_grad()
def test_without_padding_it_is_the_conformer_of_torchaudio():
    torch.manual_seed(0)
    theirs = published(SMALL)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    ours = taken_over(theirs, SMALL)
    x, lengths = torch.randn(2, 9, 8), torch.tensor([9, 9])
    expected, _ = theirs(x, lengths)
    torch.testing.assert_close(ours(Frames(x, lengths)).values, expected, atol=1e-5, rtol=1e-4)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_padding_and_batch_mates_change_nothing():
    """Neither in evaluation, nor, among the statistics of a batch, in training."""
    torch.manual_seed(0)
    model = Conformer(SMALL)
    x, lengths = torch.randn(3, 11, 8), torch.tensor([11, 4, 0])
    shorter = torch.cat([x[:1], x[1:2]]), torch.tensor([11, 4])
    other = x.clone()
    other[1, 4:], other[2] = 100.0, -50.0
    for mode in (True, False):
        model.train(mode)
        whole = model(Frames(x, lengths)).values
        assert not whole[1, 4:].any() and not whole[2].any() and whole.isfinite().all()
        torch.testing.assert_close(
            model(Frames(other, lengths)).values, whole, atol=1e-5, rtol=1e-4
        )
        found = model(Frames(*shorter)).values
        torch.testing.assert_close(found, whole[:2], atol=1e-5, rtol=1e-4)
    alone = model(Frames(x[1:2, :4], torch.tensor([4]))).values
    torch.testing.assert_close(alone[0], whole[1, :4], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=r"kernel 4: .*odd"):
        Conformer(replace(SMALL, kernel=4))


# -- the objective --------------------------------------------------------------------------------


def talking(lengths=(15, 9, 12), samples=(9600, 5760, 6000), seed: int = 0) -> Batch:
    """Faces and sound; of the third clip the sound ends before the film."""
    batch = faces(lengths, seed=seed)
    sound = torch.randint(-9000, 9000, (len(samples), max(samples)), generator=generator(seed))
    counts = torch.tensor(samples)
    batch.streams["waveform"] = sound.to(torch.int16)
    batch.lengths["waveform"] = counts
    batch.present["waveform"] = counts > 0
    batch.rates["waveform"] = 16000.0
    return batch


def lira(seed: int = 0) -> AcousticPrediction:
    encoder = tiny_encoder(seed)
    return AcousticPrediction(encoder, AcousticPredictionConfiguration(SMALL))


def test_targets_are_means_over_the_time_of_a_picture():
    batch = talking()
    found = lira().targets(batch)
    # 9600 samples give 58 windows and so 14 pictures, 5760 give 34 and 8, 6000 give 36 and 9.
    assert found.shape == (3, 14, sum(SIZES.values()))
    for row, count in enumerate((14, 8, 9)):
        samples = int(batch.lengths["waveform"][row])
        alone = acoustic_targets(
            batch.streams["waveform"][row : row + 1, :samples], torch.tensor([samples])
        )
        for picture in range(count):
            start = 4 * picture
            expected = torch.cat([alone[name][0, start : start + 4].mean(0) for name in SIZES])
            torch.testing.assert_close(found[row, picture], expected, atol=1e-3, rtol=1e-4)
        assert not found[row, count:].any()


def test_the_loss_by_hand():
    objective = lira().train()
    objective(talking(seed=4), Context(generator=generator()))
    objective.eval()
    batch = talking()
    step = objective(batch, Context(generator=generator()))
    targets = objective.standardisation(objective.targets(batch)).tolist()
    with torch.no_grad():
        told = objective.predicted(batch, Context(generator=generator())).tolist()
    total, constant, of = 0.0, 0.0, dict.fromkeys(SIZES, 0.0)
    for row, count in enumerate((14, 8, 9)):
        for picture in range(count):
            start = 0
            for name, size in SIZES.items():
                wanted = targets[row][picture][start : start + size]
                said = told[row][picture][start : start + size]
                error = sum(abs(a - b) for a, b in zip(wanted, said)) / size
                of[name] += error
                total += error / len(SIZES)
                constant += sum(map(abs, wanted)) / size / len(SIZES)
                start += size
    value, count = step.losses["acoustic"]
    assert (float(value.detach()), count) == (pytest.approx(total, rel=1e-4), 31.0)
    for name, expected in of.items():
        assert float(step.metrics[name][0]) == pytest.approx(expected, rel=1e-4)
    assert float(step.metrics["constant"][0]) == pytest.approx(constant, rel=1e-4)
    # The sound of each clip from the face of the one before it, the last before the first.
    other, pictures = 0.0, 0
    for row, count in enumerate((9, 8, 8)):
        for picture in range(count):
            start = 0
            for size in SIZES.values():
                wanted = targets[row][picture][start : start + size]
                said = told[row - 1][picture][start : start + size]
                other += sum(abs(a - b) for a, b in zip(wanted, said)) / size / len(SIZES)
                start += size
            pictures += 1
    value, count = step.metrics["swapped"]
    assert (float(value), count) == (pytest.approx(other, rel=1e-4), pictures)
    assert objective.counts(batch, Context()) == {"acoustic": 31.0}


def test_descriptors_count_alike_and_gradients_match_finite_differences():
    values = torch.zeros(2, sum(SIZES.values()), dtype=torch.float64)
    values[1, -SIZES["prosody"] :] = 3.0
    found = by_descriptor(values)
    assert {name: v.tolist() for name, v in found.items()} == {
        name: [0.0, 3.0 if name == "prosody" else 0.0] for name in SIZES
    }
    x = torch.randn(2, sum(SIZES.values()), dtype=torch.float64, generator=generator())
    assert torch.autograd.gradcheck(
        lambda v: mean_of(by_descriptor(v.abs())), (x.requires_grad_(),)
    )


def test_targets_are_standardised_over_what_was_trained_on():
    objective = lira().train()
    batches = [talking(seed=1), talking(seed=2)]
    rows = []
    for batch in batches:
        objective(batch, Context(generator=generator()))
        found = objective.targets(batch)
        rows += [found[row, :count] for row, count in enumerate((14, 8, 9))]
    objective.eval()(talking(seed=3), Context(generator=generator()))
    whole = torch.cat(rows).double()
    torch.testing.assert_close(objective.standardisation.mean.double(), whole.mean(0), atol=1e-4,
                               rtol=1e-4)  # fmt: skip
    assert int(objective.gathered) == 6
    objective.gathered.fill_(1000)
    before = objective.standardisation.mean.clone()
    objective.train()(talking(seed=9), Context(generator=generator()))
    assert torch.equal(objective.standardisation.mean, before)


def test_training_sees_mirrored_crops_and_evaluation_whole_faces():
    objective = lira()
    sizes = []
    objective.encoder.embed = lambda clips, lengths: (
        sizes.append(tuple(clips.shape[2:]))
        or Frames(torch.zeros(*clips.shape[:2], objective.encoder.dim), lengths)
    )
    for mode in (True, False):
        objective.train(mode)(talking(), Context(generator=generator()))
    assert sizes == [(27, 27), (32, 32)]


def test_everything_learns_and_padding_does_not_matter():
    objective = lira().train()
    batch = talking()
    step = objective(batch, Context(generator=generator(2)))
    step.losses["acoustic"][0].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())
    assert objective.encoder.resnet.frontend3D[0].weight.grad.norm() > 0
    objective.eval()
    whole = objective(batch, Context(generator=generator())).losses["acoustic"][0]
    batch.streams["face"][1, 9:] = 255
    batch.streams["waveform"][1, 5760:] = 9999
    again = objective(batch, Context(generator=generator())).losses["acoustic"][0]
    torch.testing.assert_close(again, whole)


def test_what_was_not_learned_is_said():
    objective = lira()
    words = objective.collapse({"acoustic": 0.80, "swapped": 0.79})
    assert "the loss 0.800 is no better than with the faces of other clips (0.790)" in words
    assert objective.collapse({"acoustic": 0.7, "swapped": 0.79}) is None
    words = objective.collapse({"acoustic": 0.857, "constant": 0.790, "swapped": 0.867})
    assert "the loss 0.857 is no better than that of predicting the mean" in words
    assert "(0.790)" in words
    learned = {"acoustic": 0.5, "constant": 0.8, "swapped": 0.9}
    unseen = {f"development_{name}": value for name, value in learned.items()}
    assert objective.collapse({**learned, **unseen}) is None
    words = objective.collapse({**learned, **unseen, "development_acoustic": 0.85})
    assert "the loss 0.850 on development is no better" in words
    # A clip by itself has no other.
    step = objective(talking((15,), (9600,)), Context(generator=generator()))
    assert step.metrics["swapped"][1] == 0.0
    assert objective.collapse({"acoustic": 0.8}) is None


class TalkingBatches(FaceBatches):
    def __init__(self) -> None:
        self.whole = talking((15,) * 9, (9600,) * 9)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("clips.FaceBatches", TalkingBatches)
    assert int(check_resuming(lira, tmp_path, 4).gathered) == 27


def test_gradients_accumulate(tmp_path: Path):
    objective = lira()
    run(objective, TalkingBatches(), tmp_path / "s", epochs=1, accumulate=2)
    assert weights(objective) != weights(lira())


# -- the commands ---------------------------------------------------------------------------------


TASKS = {
    "lira": ("acoustic", ("--blocks", 2)),
    "byol": ("byol", ()),
    "dino": ("dino", ("--local-views", 2, "--head-norm")),
}


@pytest.mark.parametrize("task", TASKS)
def test_the_chain_of_films(split_films: Path, tmp_path: Path, task: str):
    """From a store to predictions, the split development scored as training goes."""
    loss, options = TASKS[task]
    output = tmp_path / f"{task}.safetensors"
    found = invoke(split_films, f"pretrain-{task}", "a.h5", "--preset", "nano", "--epochs", 2,
                   *options, "-o", output)  # fmt: skip
    assert f"{loss} loss" in found.stderr and "on development" in found.stderr
    assert "no store has" not in found.stderr
    encoder, header = checkpoints.load_encoder(output, torch.device("cpu"))
    store = Store(split_films / "a.h5")
    shown = np.concatenate(
        [store.read("face", row)[store.read("face_track", row)[:, 15] > 0].ravel()
         for row in range(store.count)]
    )  # fmt: skip
    c = encoder.configuration
    assert c.face_mean == pytest.approx(shown.mean() / 255, abs=1e-4)
    assert c.face_std == pytest.approx(shown.std() / 255, abs=1e-4)
    assert header.metrics["features"]["effective_rank"] > 1
    assert header.metrics["development"].keys() >= {loss}
    assert header.preprocessing.streams == ("face",)
    invoke(split_films, "finetune", "a.h5", "--encoder", output, "--label", "arousal", "--epochs",
           1, "--head", "gru", "-o", tmp_path / "er.safetensors")  # fmt: skip


def test_the_conformer_is_kept_beside_the_encoder(split_films: Path, tmp_path: Path):
    invoke(split_films, "pretrain-lira", "a.h5", "--preset", "nano", "--steps", 1, "--blocks", 2,
           "-o", tmp_path / "lira.safetensors")  # fmt: skip
    header, tensors = checkpoint.load(tmp_path / "lira.safetensors", expect="encoder")
    assert header["objective"]["name"] == "acoustic_prediction"
    assert header["objective"]["configuration"]["conformer"]["blocks"] == 2
    depthwise = tensors["objective.conformer.blocks.1.convolution.depthwise.weight"]
    assert depthwise.shape == (32, 1, 31)
    assert tensors["objective.output.weight"].shape == (sum(SIZES.values()), 32)
    assert not any("blocks.2" in name for name in tensors)
    found = invoke(split_films, "pretrain-byol", "a.h5", "--init", tmp_path / "lira.safetensors",
                   "--steps", 1, "-o", tmp_path / "byol.safetensors")  # fmt: skip
    assert "byol loss" in found.stderr


def test_a_model_that_does_not_look_is_said(tmp_path: Path):
    """The same face for every sound."""
    film = [np.full((9, 24, 24, 1), 90, np.uint8)] * 4
    rng = np.random.default_rng(0)
    sound = [(scale * rng.standard_normal(5760)).astype(np.int16) for scale in (20, 90, 400, 2000)]
    write_store(tmp_path / "m.h5", {"face": (25.0, film), "waveform": (16000.0, sound)})
    found = invoke(tmp_path, "pretrain-lira", "m.h5", "--preset", "nano", "--steps", 2,
                   "--blocks", 1, "-o", "lira.safetensors")  # fmt: skip
    assert "warning: the loss" in found.stderr
    assert "nothing was learned from the faces yet" in found.stderr


def test_clips_without_sound_are_said(tmp_path: Path):
    film = [np.random.default_rng(0).integers(0, 256, (9, 24, 24, 1)).astype(np.uint8)] * 3
    sound = [np.ones(n, np.int16) for n in (0, 879, 880)]
    write_store(tmp_path / "m.h5", {"face": (25.0, film), "waveform": (16000.0, sound)})
    line = ("pretrain-lira", "--preset", "nano", "--steps", 1, "-o", "lira.safetensors")
    words = invoke(tmp_path, *line, "m.h5").stderr
    assert "2 of 3 utterances are left out" in words and "880 steps of waveform: u0, u1" in words
    write_store(tmp_path / "f.h5", {"face": (25.0, film)})
    assert "no stream 'waveform'" in invoke(tmp_path, *line, "f.h5", "-f", status=65).stderr
    assert "--blocks 0" in invoke(tmp_path, *line, "m.h5", "--blocks", 0, "-f", status=2).stderr
