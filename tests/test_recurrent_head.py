"""The recurrent head in both directions and in one, and features in the place of an encoder."""

from __future__ import annotations

import pytest
import torch
from label_heads import linear, named, recurrent
from torch import nn

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.models.encoder import Frames
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration
from avaffect.models.heads.recurrent import RecurrentHead, mean_steps, reverse
from avaffect.models.heads.registry import HEADS


def frames(*lengths: int, dim: int = 5) -> Frames:
    values = torch.randn(len(lengths), max(lengths), dim, generator=torch.manual_seed(3))
    found = Frames(values, torch.tensor(lengths))
    return Frames(values * found.valid[..., None], found.lengths)


@pytest.fixture(params=[True, False], ids=["bgru", "gru"])
def head(request: pytest.FixtureRequest) -> RecurrentHead:
    torch.manual_seed(0)
    return recurrent(5, 3, hidden=4, bidirectional=request.param).eval()


def test_the_published_size():
    """Two layers of BGRU 256 on 512: 3 (in + out + 2) out for each direction, and a dense layer."""
    with torch.device("meta"):
        model = recurrent(512, 6)
    layers = 2 * 3 * 256 * (512 + 256 + 2) + 2 * 3 * 256 * (512 + 256 + 2)
    assert sum(p.numel() for p in model.parameters()) == layers + 6 * 512 + 6
    description = HEADS.describe(model)
    assert HEADS.build(description).configuration == model.configuration
    # Those of before knew one kind.
    del description["configuration"]["bidirectional"]
    assert HEADS.build(description).configuration == model.configuration


@torch.no_grad()
def test_it_is_torchs_recurrence(head):
    """The same numbers as nn.GRU on packed sequences, final states included."""
    both = head.configuration.bidirectional
    whole = nn.GRU(5, 4, 2, batch_first=True, bidirectional=both)
    for layer in (0, 1):
        directions = [(head.forwards[layer], "")]
        if both:
            directions.append((head.backwards[layer], "_reverse"))
        for own, suffix in directions:
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(whole, f"{name}_l{layer}{suffix}").copy_(getattr(own, f"{name}_l0"))
    given = frames(7, 3, 1)
    packed = nn.utils.rnn.pack_padded_sequence(given.values, given.lengths, batch_first=True)
    outputs, final = whole(packed)
    outputs = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)[0]
    expected = head.dense(torch.cat([*final[-2 if both else -1 :]], dim=1))
    torch.testing.assert_close(head(named(given)).utterance, expected)
    over_time = head(named(given)).over_time
    torch.testing.assert_close(
        over_time.values, head.dense(outputs) * given.valid[..., None], atol=1e-6, rtol=1e-5
    )


@torch.no_grad()
def test_padding_and_batch_mates_never_change_outputs(head):
    head.standardisation.set(torch.arange(5.0), torch.arange(5.0) + 1)
    given = frames(9, 4, 1, 0)
    given.values[1:, 4:] = 7.0
    together, steps = head(named(given)).utterance, head(named(given)).over_time
    for row, length in enumerate([9, 4, 1, 0]):
        alone = Frames(given.values[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(together[row], head(named(alone)).utterance[0])
        torch.testing.assert_close(
            steps.values[row, :length], head(named(alone)).over_time.values[0, :length]
        )
        assert not steps.values[row, length:].any()


@torch.no_grad()
def test_one_direction_knows_nothing_of_what_comes(head):
    """What is predicted online is what is predicted of the whole recording."""
    given = frames(9)
    whole = head(named(given)).over_time.values
    cut = head(named(Frames(given.values[:, :5], torch.tensor([5])))).over_time.values
    if head.configuration.bidirectional:
        assert (whole[:, :5] - cut).abs().max() > 1e-3
    else:
        torch.testing.assert_close(whole[:, :5], cut)


def test_means_of_neighbouring_frames():
    given = Frames(torch.tensor([[1.0, 3, 5, 7, 9], [2, 4, 6, 0, 0]])[..., None],
                   torch.tensor([5, 3]))  # fmt: skip
    steps = mean_steps(given, 2)
    assert steps.lengths.tolist() == [3, 2]
    assert steps.values[..., 0].tolist() == [[2, 6, 9], [3, 6, 0]]
    # No more memory than the frames there are.
    one = mean_steps(given, 10**12)
    assert (one.lengths.tolist(), one.values[..., 0].tolist()) == ([1, 1], [[5], [4]])
    head = recurrent(1, 2, 4, frames_per_step=2)
    assert head(named(given)).over_time.values.shape == (2, 3, 2)


def test_reversing_leaves_padding_in_place():
    values = torch.arange(8.0).view(2, 4, 1)
    found = reverse(values, torch.tensor([4, 2]))
    assert found[..., 0].tolist() == [[3, 2, 1, 0], [5, 4, 6, 7]]
    torch.testing.assert_close(reverse(found, torch.tensor([4, 2])), values)


def test_a_dense_head_may_standardise():
    head = linear(2, 1, standardise=True)
    head.standardisation.set(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    x = torch.tensor([[3.0, 6.0]])
    one = Frames(x[:, None], torch.tensor([1]))
    torch.testing.assert_close(head(named(one)).utterance, head.layers(torch.ones(1, 2)))
    given = frames(3, 2, dim=2)
    torch.testing.assert_close(
        head(named(given)).utterance, head.layers(head.standardisation(given.mean()))
    )
    found = head(named(given)).over_time.values
    torch.testing.assert_close(found[0, 1], head.layers(head.standardisation(given.values[0, 1])))
    assert not found[1, 2:].any()


def test_given_features_pass_through():
    encoder = GivenFeatures(GivenFeaturesConfiguration(dim=5, rate_hz=100.0))
    given = frames(4, 2)
    lengths = {"features": given.lengths}
    found = encoder(Batch(["a", "b"], {"features": given.values.half()}, lengths))
    torch.testing.assert_close(found.values, given.values, atol=1e-2, rtol=1e-3)
    assert encoder.frame_count(lengths).tolist() == [4, 2] and found.values.dtype == torch.float32
    with pytest.raises(UsageError, match="no layers"):
        encoder(Batch(["a"], {"features": given.values}, lengths), layer=1)
