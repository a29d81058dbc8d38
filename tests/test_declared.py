"""Whether a size that a header declares was counted, and whether an Ogg file ends with a page."""

from __future__ import annotations

import random

import pytest
from cases.lengths import ogg_checksum

from avaffect.data.declared import is_placeholder
from avaffect.data.ogg import _checksum

MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "there"),
    [
        (0x7FFFFFFF, 60_000), (0x80000000, 60_000), (2**32 - 37, 60_000), (2_000_000_000, 60_000),
        (0x7FFFF000, 60_000), (0x7F000008, 60_000), (0x40000000, None), (0xFFFFFFFF, None),
        (2**63 - 1, 60_000), (1_234_567_890, 60_000),
        # A long recording whose writer was killed: a third of what it had put down is there.
        (0x80000000, 700 * MIB),
    ],
)  # fmt: skip
def test_a_size_that_nobody_counted(size: int, there: int | None) -> None:
    assert is_placeholder(size, there)


@pytest.mark.parametrize(
    ("size", "there"),
    [
        (60_744, 30_000), (60_744, 60_744), (60_744, 0), (115_200_000, 60_000), (115_200_000, 0),
        # Three hours of 48 kHz stereo, of which a twentieth or all but a little is there.
        (2_073_600_000, 100 * MIB), (2_073_600_000, 2_073_000_000),
        (635_040_000, 1000), (4_000_123_456, 2_000_000_000), (28_800_000, None),
    ],
)  # fmt: skip
def test_a_size_that_may_have_been_counted(size: int, there: int | None) -> None:
    assert not is_placeholder(size, there)


def test_counted_sizes_are_seldom_taken_for_placeholders() -> None:
    draw = random.Random(0)
    sizes = [draw.randrange(16 * MIB, 1 << 32) for _ in range(20_000)]
    assert sum(is_placeholder(size, size // 2) for size in sizes) < 40


def test_checksum_is_that_of_the_specification() -> None:
    draw = random.Random(0)
    for size in (0, 1, 27, 300):
        page = draw.randbytes(size)
        assert _checksum(page) == ogg_checksum(page)
