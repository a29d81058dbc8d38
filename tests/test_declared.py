"""Whether a size that a header declares was counted, and whether an Ogg file ends with a page."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cases.lengths import ogg_checksum

from avaffect.data.decoding.headers import is_placeholder
from avaffect.data.decoding.ogg import _checksum, ends_within_page

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


def _page(*segments: int, flags: int = 0) -> bytes:
    head = b"OggS\0" + bytes([flags]) + bytes(20) + bytes([len(segments), *segments])
    page = bytearray(head + b"x" * sum(segments))
    page[22:26] = ogg_checksum(bytes(page)).to_bytes(4, "little")
    return bytes(page)


@pytest.mark.parametrize(
    ("content", "is_cut"),
    [
        (_page(40, flags=2) + _page(255, 3), False), (_page(255, 0, flags=4), False),
        # The packet goes on over the next page, which is not there.
        (_page(40) + _page(20, 255), True),
        (_page(40) + _page(255, 3, flags=4)[:-1], True), (_page(40) + _page(30)[:28], True),
        (_page(40) + b"O", True), (_page(40) + b"OggS\0", True), (_page(40) + b"TAG", False),
        # Zeros in the place of what was not downloaded.
        (_page(40) + _page(30)[:-9] + bytes(9), True), (b"", True), (b"no page", True),
        (_page(40, flags=2) + _page(*[255] * 254, 7) + _page(1), False),
    ],
)  # fmt: skip
def test_an_ogg_file_is_cut_where_its_last_page_or_packet_is(
    content: bytes, is_cut: bool, tmp_path: Path
) -> None:
    (tmp_path / "a.ogg").write_bytes(content)
    assert ends_within_page(tmp_path / "a.ogg") == is_cut


def test_checksum_is_that_of_the_specification() -> None:
    draw = random.Random(0)
    for size in (0, 1, 27, 300):
        page = draw.randbytes(size)
        assert _checksum(page) == ogg_checksum(page)
