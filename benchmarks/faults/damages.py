"""Damages of a file, drawn by a seed: flipped bits, swapped bytes, zeroed blocks, cut ends."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KINDS = ("flipped bit", "swapped bytes", "zeroed block", "cut short")
LARGEST_BLOCK = 512


@dataclass(frozen=True)
class Damage:
    """What was done to a file, and where."""

    kind: str
    position: int
    content: bytes

    def __str__(self) -> str:
        return f"{self.kind} at {self.position:,}"


def damages(content: bytes, header: Sequence[range], count: int, seed: int) -> Iterator[Damage]:
    """`count` damages of a file's content, each alone, in turns of KINDS; half of them within
    `header`, the ranges that describe the rest, and half beyond.

    All differ from the content: zeros are not zeroed again.
    """
    draw = random.Random(seed)
    described = [position for part in header for position in part]
    inside = set(described)
    rest = [position for position in range(len(content)) if position not in inside]
    for number in range(count):
        # Kinds and places in all combinations.
        places = (described or rest) if number // len(KINDS) % 2 == 0 else (rest or described)
        while True:
            position = draw.choice(places)
            changed = _changed(KINDS[number % len(KINDS)], content, position, draw)
            if changed != content:
                break
        yield Damage(KINDS[number % len(KINDS)], position, changed)


def _changed(kind: str, content: bytes, position: int, draw: random.Random) -> bytes:
    changed = bytearray(content)
    if kind == "flipped bit":
        changed[position] ^= 1 << draw.randrange(8)
    elif kind == "swapped bytes":
        changed[position : position + 2] = changed[position : position + 2][::-1]
    elif kind == "zeroed block":
        end = min(position + draw.randint(1, LARGEST_BLOCK), len(content))
        changed[position:end] = bytes(end - position)
    else:
        del changed[position:]
    return bytes(changed)
