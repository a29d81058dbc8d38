from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avaffect.objectives.masking import span_mask


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("probability", "span", "coverage"), [(0.8, 10, 0.517), (0.3, 5, 0.248)])
def test_coverage_of_long_utterances_is_the_measured_one(probability, span, coverage):
    """The measured figures are those of batches of 8, after trimming to the smallest row."""
    generator = seeded()
    lengths = torch.full((8,), 400)
    masks = [span_mask(lengths, 400, generator, probability, span) for _ in range(60)]
    assert torch.stack(masks).float().mean().item() == pytest.approx(coverage, abs=0.005)


def test_coverage_of_one_utterance_is_that_of_random_spans():
    mask = span_mask(torch.full((400,), 400), 400, seeded(), same_count=False)
    # 32 or 33 starts among 391, each hiding 10: a frame is missed by all of them.
    assert mask.float().mean().item() == pytest.approx(1 - (1 - 10 / 391) ** 32.5, abs=0.01)


def runs(row: list[bool]) -> list[int]:
    """Lengths of the runs of True."""
    text = "".join("x" if hidden else " " for hidden in row)
    return [len(run) for run in text.split()]


def test_hidden_frames_come_in_spans():
    mask = span_mask(torch.full((50,), 100), 100, seeded(), same_count=False)
    assert all(min(runs(row)) >= 10 for row in mask.tolist())


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    seed=st.integers(0, 2**31),
    same_count=st.booleans(),
)
def test_padding_is_never_hidden_and_something_is_always_shown(lengths, seed, same_count):
    mask = span_mask(torch.tensor(lengths), 64, seeded(seed), 0.5, same_count=same_count)
    for row, length in zip(mask, lengths):
        assert not row[length:].any()
        assert row.any() == (length > 1)
        if 1 < length < 4:
            assert not row[:length].all()
    counts = {int(row.sum()) for row, length in zip(mask, lengths) if length > 1}
    if same_count:
        assert len(counts) <= 1


def test_the_generator_alone_decides():
    lengths = torch.tensor([90, 70, 30])
    first, second, other = (span_mask(lengths, 90, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
