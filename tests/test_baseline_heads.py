"""The heads that the VAVL paper compares with, as models: published values, and masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import keyed
from torch import Tensor

from avaffect.models.cross_modal import CrossModalEncoder
from avaffect.models.encoder import Frames
from avaffect.models.heads.auxformer import AuxFormerConfiguration, AuxFormerHead
from avaffect.models.heads.base import HeadInput
from avaffect.models.heads.mult import MulTConfiguration, MulTHead
from avaffect.models.heads.two_streams import TwoStreamHead
from avaffect.models.heads.uavm import UAVMConfiguration, UAVMHead, averaged

GOLDEN = Path(__file__).parent / "golden"
SIDES = {"audio": "a", "video": "v"}
TRAINED = {"trained": torch.ones(3, dtype=torch.bool)}


def inputs(audio: int, video: int) -> tuple[HeadInput, ...]:
    return HeadInput("audio", audio, 50.0), HeadInput("video", video, 25.0)


def whole(values: np.ndarray) -> Frames:
    tensor = torch.from_numpy(values)
    return Frames(tensor, torch.full((len(tensor),), tensor.shape[1]))


# -- published values -----------------------------------------------------------------------------


def published(file: str) -> tuple[Mapping[str, np.ndarray], dict[str, Tensor]]:
    """What a golden file holds, and the weights that its values were made with."""
    held = np.load(GOLDEN / file)
    weights = {}
    for line in held["keys"]:
        key, _, shape = line.partition(" ")
        sizes = tuple(int(size) for size in shape.strip("(),").split(",") if size.strip())
        weights[key] = torch.from_numpy(keyed.weight(key, sizes))
    return held, weights


def both_parts(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for part in ("weight", "bias"):
        yield f"{ours}.{part}", f"{theirs}.{part}"


def uavm_weights(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = {}
    names = [*both_parts("output_norm", "s_trans.mlp_head.0"),
             *both_parts("output", "s_trans.mlp_head.1")]  # fmt: skip
    for ours, side in (("layers.audio", "a"), ("layers.video", "v"), ("together", "s")):
        theirs = f"{side}_trans"
        weights[f"{ours}.positions"] = found[f"{theirs}.pos_embed"][0]
        names += both_parts(f"{ours}.norm", f"{theirs}.in_layernorm")
        for n in range(3):
            own, block = f"{ours}.layers.{n}", f"{theirs}.blocks.{n}"
            parts = found[f"{block}.attn.qkv.weight"].chunk(3)
            weights |= {f"{own}.self_attn.{p}_proj.weight": w for p, w in zip("qkv", parts)}
            names += both_parts(f"{own}.self_attn.out_proj", f"{block}.attn.proj")
            names += both_parts(f"{own}.self_attn_layer_norm", f"{block}.norm1")
            names += both_parts(f"{own}.final_layer_norm", f"{block}.norm2")
            for dense in ("fc1", "fc2"):
                names += both_parts(f"{own}.{dense}", f"{block}.mlp.{dense}")
    return weights | {ours: found[theirs] for ours, theirs in names}


@torch.no_grad()
def test_uavm_gives_the_published_values() -> None:
    held, found = published("uavm_tiny.npz")
    head = UAVMHead(UAVMConfiguration(inputs(16, 16), 6, width=16, length=5)).eval()
    head.load_state_dict(TRAINED | uavm_weights(found))
    streams = {m: whole(held[f"input_{side}"]) for m, side in SIDES.items()}
    scores = head.predictions(streams)
    for modality, side in SIDES.items():
        np.testing.assert_allclose(scores[modality], held[f"out_{side}"], atol=1e-4)
    mean = (held["out_a"] + held["out_v"]) / 2
    np.testing.assert_allclose(head(streams).utterance, mean, atol=1e-4)


def cross_modal_weights(
    ours: str, theirs: str, found: Mapping[str, Tensor], gated: bool = False
) -> dict[str, Tensor]:
    weights, names = {}, [*both_parts(f"{ours}.norm", f"{theirs}.layer_norm")]
    for n in range(5):
        own, layer = f"{ours}.layers.{n}", f"{theirs}.layers.{n}"
        for part in ("weight", "bias"):
            values = found[f"{layer}.self_attn.in_proj_{part}"].chunk(3)
            weights |= {f"{own}.attention.{p}_proj.{part}": w for p, w in zip("qkv", values)}
        names += both_parts(f"{own}.attention.out_proj", f"{layer}.self_attn.out_proj")
        names += both_parts(f"{own}.attention_norm", f"{layer}.layer_norms.0")
        names += both_parts(f"{own}.norm", f"{layer}.layer_norms.1")
        for dense in ("fc1", "fc2"):
            names += both_parts(f"{own}.{dense}", f"{layer}.{dense}")
        if gated:
            names.append((f"{own}.alpha", f"{layer}.alpha"))
    return weights | {ours: found[theirs] for ours, theirs in names}


@torch.no_grad()
def test_auxformer_gives_the_published_values() -> None:
    held, found = published("auxformer.npz")
    head = AuxFormerHead(AuxFormerConfiguration(inputs(1024, 50), 6)).eval()
    weights = {"pair.inputs.0.weight": found["conv_1d_a.weight"][..., 0]}
    for place, (modality, side) in enumerate(SIDES.items()):
        other = "v" if side == "a" else "a"
        crossing, memory = f"trans_{side}_with_{other}", f"trans_{side}_mem"
        weights |= cross_modal_weights(f"pair.crossing.{place}", crossing, found)
        weights |= cross_modal_weights(f"pair.memory.{place}", memory, found, gated=True)
        weights |= cross_modal_weights(f"alone.{modality}", f"{side}_mem", found)
    names = [*both_parts("fused.output", "out_layer"),
             *both_parts("auxiliary.output", "out_layer_aux")]  # fmt: skip
    for place, n in ((0, 1), (3, 2)):
        names += both_parts(f"fused.layers.{place}", f"proj{n}")
    for place, n in ((0, 1), (3, 2), (6, 3)):
        names += both_parts(f"auxiliary.layers.{place}", f"proj_aux{n}")
    head.load_state_dict(TRAINED | weights | {ours: found[theirs] for ours, theirs in names})
    streams = {"audio": whole(keyed.symmetric("input:aux_a", (2, 6, 1024), 1.0)),
               "video": whole(keyed.symmetric("input:aux_v", (2, 4, 50), 1.0))}  # fmt: skip
    scores = head.scores(streams)
    for modality, name in (("av", "out_av"), ("audio", "out_a"), ("video", "out_v")):
        np.testing.assert_allclose(scores[modality], held[name], atol=1e-4)
    mean = (held["out_av"] + held["out_a"] + held["out_v"]) / 3
    np.testing.assert_allclose(head(streams).utterance, mean, atol=1e-4)


# -- MulT from its equations ----------------------------------------------------------------------


def naive_attention(layer: torch.nn.Module, queries: Tensor, keys: Tensor) -> Tensor:
    """Equation 3 of the paper, head by head and step by step; queries (T, d), keys (S, d)."""
    attention = layer.attention
    q, k, v = (
        project(x)
        for project, x in (
            (attention.q_proj, queries), (attention.k_proj, keys), (attention.v_proj, keys),
        )
    )  # fmt: skip
    q, k, v = (x.numpy() for x in (q, k, v))
    width = q.shape[1] // attention.heads
    found = np.zeros_like(q)
    ahead = abs(len(keys) - len(queries))
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        for step in range(len(queries)):
            seen = min(step + ahead + 1, len(keys))
            scores = [q[step, part] @ k[key, part] / math.sqrt(width) for key in range(seen)]
            total = sum(math.exp(score) for score in scores)
            for key, score in enumerate(scores):
                found[step, part] += math.exp(score) / total * v[key, part]
    return attention.out_proj(torch.from_numpy(found))


def naive_encoder(encoder: CrossModalEncoder, x: Tensor, other: Tensor) -> Tensor:
    """Section 3.1 and equation 4, with residuals as the released code has them; x (T, d), other (S,
    d)."""
    itself = other is x
    x, other = (naive_input(stream, encoder.configuration.positions) for stream in (x, other))
    for layer in encoder.layers:
        keys = layer.attention_norm(x if itself else other)
        x = x + naive_attention(layer, layer.attention_norm(x), keys)
        x = x + layer.fc2(torch.relu(layer.fc1(layer.norm(x))))
    return encoder.norm(x)


def naive_input(x: Tensor, positions: bool) -> Tensor:
    steps, dim = x.shape
    scaled = x * math.sqrt(dim)
    half = dim // 2
    for step in range(steps if positions else 0):
        for place in range(half):
            angle = (step + 1) / 10_000 ** (place / (half - 1))
            scaled[step, place] += math.sin(angle)
            scaled[step, half + place] += math.cos(angle)
    return scaled


def naive_mult(head: MulTHead, audio: Tensor, video: Tensor) -> Tensor:
    """(T, D), (S, E) of one utterance -> (outputs)"""
    pair = head.pair
    audio, video = pair.inputs[0](audio), pair.inputs[1](video)
    ends = []
    for place, (one, other) in enumerate(((audio, video), (video, audio))):
        crossed = naive_encoder(pair.crossing[place], one, other)
        ends.append(naive_encoder(pair.memory[place], crossed, crossed)[-1])
    joined = torch.cat(ends)
    first, _, _, second = head.fused.layers
    return head.fused.output(joined + second(torch.relu(first(joined))))


@torch.no_grad()
@pytest.mark.parametrize("layers", [2, 4])
def test_mult_is_its_equations(layers: int) -> None:
    configuration = MulTConfiguration(inputs(4, 6), 3, width=8, heads=2, layers=layers)
    head = MulTHead(configuration).double().eval()
    assert [len(e.layers) for e in head.pair.memory] == [max(3, layers)] * 2
    for seed, (audio, video) in enumerate(((5, 3), (2, 6), (1, 1))):
        generator = torch.Generator().manual_seed(seed)
        a, v = (torch.randn(steps, dim, generator=generator, dtype=torch.float64)
                for steps, dim in ((audio, 4), (video, 6)))  # fmt: skip
        streams = {"audio": Frames(a[None], torch.tensor([audio])),
                   "video": Frames(v[None], torch.tensor([video]))}  # fmt: skip
        found = head.predictions(streams)["av"][0]
        torch.testing.assert_close(found, naive_mult(head, a, v), atol=1e-7, rtol=0)
        assert head(streams).utterance[0] == pytest.approx(found, abs=1e-6)


# -- masks ----------------------------------------------------------------------------------------


def small(kind: str, **options: float) -> TwoStreamHead:
    torch.manual_seed(3)
    if kind == "uavm":
        return UAVMHead(
            UAVMConfiguration(inputs(5, 7), 3, width=12, heads=2, layers=2, length=4, **options)
        )
    build, configuration = {
        "auxformer": (AuxFormerHead, AuxFormerConfiguration), "mult": (MulTHead, MulTConfiguration)
    }[kind]  # fmt: skip
    return build(
        configuration(
            inputs(5, 7), 3, width=8, heads=2, layers=2,
            **{"input_dropout": 0.0, "output_dropout": 0.0, "dropout": 0.0, **options},
        )
    )  # fmt: skip


KINDS = "uavm", "auxformer", "mult"
# Steps of sound and faces of each utterance; the last lacks both.
STEPS = {"audio": (3, 9, 0, 5, 1, 0), "video": (2, 0, 6, 3, 8, 0)}


def batch() -> dict[str, Frames]:
    """With other numbers in padding, which no head may read."""
    generator = torch.Generator().manual_seed(0)
    return {
        m: Frames(torch.randn(6, 11, dim, generator=generator), torch.tensor(STEPS[m]))
        for m, dim in (("audio", 5), ("video", 7))
    }


def alone(streams: Mapping[str, Frames], row: int) -> dict[str, Frames]:
    """One utterance, without padding."""
    found = {}
    for modality, frames in streams.items():
        steps = int(frames.lengths[row])
        found[modality] = Frames(
            frames.values[row : row + 1, :steps], frames.lengths[row : row + 1]
        )
    return found


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_padding_and_other_utterances_change_nothing(kind: str, training: bool) -> None:
    """In training too, where there is no dropout; also where others lack a stream."""
    head, streams = small(kind).train(training), batch()
    found = head(streams).utterance
    assert found.isfinite().all() and (found[:-1].std(dim=0) > 1e-3).all()
    for row in range(5):
        single = head(alone(streams, row)).utterance
        torch.testing.assert_close(single[0], found[row], atol=1e-6, rtol=0)
    # As many in another order and company.
    order = [4, 1, 2]
    some = {m: Frames(f.values[order], f.lengths[order]) for m, f in streams.items()}
    torch.testing.assert_close(head(some).utterance, found[order], atol=1e-6, rtol=0)
    clean = head.streams_of(streams)
    for modality, embedding in head.shared(clean).items():
        for row in range(5):
            if STEPS[modality][row]:
                one = head.shared(head.streams_of(alone(streams, row)))[modality][0]
                torch.testing.assert_close(one, embedding[row], atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_an_utterance_without_a_stream_is_read_by_the_other(kind: str) -> None:
    """Whether its stream has no steps, is marked as missing, or is no input at all."""
    head, streams = small(kind).eval(), batch()
    paired = alone(streams, 0)
    for lost, kept in (("audio", "video"), ("video", "audio")):
        marked = head(paired, {lost: torch.tensor([False]), kept: torch.tensor([True])}).utterance
        empty = {**paired, lost: Frames(paired[lost].values[:, :0], torch.tensor([0]))}
        torch.testing.assert_close(marked, head(empty).utterance, atol=1e-6, rtol=0)
        only = head.predictions(head.streams_of({kept: paired[kept]}))[kept]
        torch.testing.assert_close(marked, only, atol=1e-6, rtol=0)
        assert (marked - head(paired).utterance).abs().max() > 1e-3
        # And nothing of it is left of what was lost.
        other = {**paired, lost: paired[lost].with_values(paired[lost].values + 1)}
        again = head(other, {lost: torch.tensor([False]), kept: torch.tensor([True])}).utterance
        torch.testing.assert_close(marked, again, atol=0, rtol=0)


# -- what they learn from -------------------------------------------------------------------------


def learned(head: TwoStreamHead, streams: Mapping[str, Frames], seed: int = 0) -> dict[str, list]:
    """Modality -> rows that a step of training reads."""
    generator = torch.Generator().manual_seed(seed)
    lesson = head.train().lesson(head.streams_of(streams), "main", generator)
    for reading in lesson.readings.values():
        assert reading.outputs.shape == (int(reading.rows.sum()), 3)
    return {m: r.rows.nonzero()[:, 0].tolist() for m, r in lesson.readings.items()}


def test_uavm_reads_one_modality_of_a_batch() -> None:
    streams = batch()
    audio, video = {"audio": [0, 1, 3, 4], "video": []}, {"audio": [], "video": [0, 2, 3, 4]}
    assert learned(small("uavm", audio_share=1.0), streams) == audio
    assert learned(small("uavm", audio_share=0.0), streams) == video
    drawn = [learned(small("uavm"), streams, seed) for seed in range(12)]
    assert 3 <= drawn.count(audio) <= 9 and drawn.count(video) == 12 - drawn.count(audio)
    # The other, where no utterance of the batch has the one that is drawn.
    silent = {**streams, "audio": Frames(streams["audio"].values, torch.zeros(6).long())}
    assert learned(small("uavm", audio_share=1.0), silent) == video
    # Only what was read gets gradients.
    head = small("uavm", audio_share=1.0)
    lesson = head.lesson(head.streams_of(streams), "main", torch.Generator())
    sum(reading.outputs.sum() for reading in lesson.readings.values()).backward()
    assert all(p.grad is None for p in head.layers["video"].parameters())
    assert all(p.grad is not None for p in head.layers["audio"].parameters())


def test_auxformer_learns_from_three_networks_and_drops_modalities() -> None:
    streams = batch()
    head = small("auxformer", modality_dropout=0.0)
    both = {"av": [0, 1, 2, 3, 4], "audio": [0, 1, 3, 4], "video": [0, 2, 3, 4]}
    assert learned(head, streams) == both
    assert head.weights == dict.fromkeys(("audio", "video", "av"), pytest.approx(1 / 3))
    # One or the other is lost, never both, and never the only one.
    silent, blind = {**both, "audio": [1]}, {**both, "video": [2]}
    drawn = [learned(small("auxformer", modality_dropout=0.5), streams, n) for n in range(6)]
    assert silent in drawn and blind in drawn and both not in drawn
    head = small("auxformer")
    for draw, lost in ((0.19, "audio"), (0.21, "video"), (0.39, "video"), (0.41, None)):
        found = head._dropped(streams, draw)
        kept = {m for m in found if torch.equal(found[m].lengths, streams[m].lengths)}
        assert {"audio", "video"} - kept == ({lost} if lost else set())


def test_mult_learns_from_all() -> None:
    assert learned(small("mult"), batch()) == {"av": [0, 1, 2, 3, 4]}


@torch.no_grad()
def test_long_streams_are_averaged() -> None:
    lengths = [0, 1, 3, 4, 5, 9, 11]
    values = torch.randn(len(lengths), 11, 2)
    for row, length in enumerate(lengths):
        values[row, length:] = 0
    found = averaged(Frames(values, torch.tensor(lengths)), 4)
    assert found.lengths.tolist() == [0, 1, 3, 4, 4, 4, 4]
    for row, length in enumerate(lengths):
        steps = min(length, 4)
        own = values[row, :length].T[None]
        expected = F.adaptive_avg_pool1d(own, steps)[0].T if steps else values[row, :0]
        torch.testing.assert_close(found.values[row, :steps], expected)
        assert not found.values[row, steps:].any()
