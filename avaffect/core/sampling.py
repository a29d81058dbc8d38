"""What an encoder reads of an utterance: all of it, or a section and some of its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sampling:
    """Declared by an encoder; datasets read no more than this from a store.

    seconds  longest section of an utterance, of all its streams alike: at a random place in
             training, otherwise in the middle; None for all of it
    steps    stream -> how many of its steps are read of the section, evenly apart (so many
             pictures); all of a stream that is not named, or that has no more
    drawn    in training, one step at random of each of so many equal parts, rather than its middle
    """

    seconds: float | None = None
    steps: Mapping[str, int] = field(default_factory=dict)
    drawn: bool = False


EVERYTHING = Sampling()
