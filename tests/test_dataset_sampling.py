"""What a dataset reads for an encoder of a section of an utterance and some of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from avaffect.core.sampling import Sampling
from avaffect.core.streams import FACE
from avaffect.data.dataset import Column, Dataset
from avaffect.recipes.downstream.sections import sections_of


@dataclass
class Numbered(Column):
    """So many pictures, each its own number."""

    count: int = 40

    def steps(self, name: str) -> np.ndarray:
        return np.array([self.count])

    def read(self, name: str, index: int, part: slice | None = None) -> np.ndarray:
        return np.arange(self.count)[part or slice(None)]


def numbered(count: int) -> Numbered:
    return Numbered([], np.zeros(1, np.int64), np.zeros(1, np.int64), 25.0, count=count)


def test_pictures_are_drawn_in_training_and_even_in_evaluation() -> None:
    sampling = Sampling(10.0, {FACE: 8}, drawn=True)
    dataset = Dataset(["a"], {FACE: numbered(40)}, crop_s=16.0, sampling=sampling)
    drawn = [tuple(dataset.batch([0], epoch).streams[FACE][0].tolist()) for epoch in range(20)]
    assert dataset.batch([0], 3).streams[FACE][0].tolist() == list(drawn[3])
    assert len(set(drawn)) == 20
    for pictures in drawn:
        assert [picture // 5 for picture in pictures] == list(range(8))
    even = Dataset(["a"], {FACE: numbered(40)}, sampling=sampling).batch([0]).streams[FACE][0]
    assert even.tolist() == [2, 7, 12, 17, 22, 27, 32, 37]


@pytest.mark.parametrize(
    "number, count, start, within",
    [(0, 1, 17, 2), (0, 3, 0, 0), (1, 3, 17, 2), (2, 3, 35, 4), (1, 2, 35, 3)],
)
def test_views_are_sections_and_pictures_at_other_places(
    number: int, count: int, start: int, within: int
) -> None:
    """Of 75 pictures in 3 s, 40 in 1.6 s are a section, and one of each 5 of them is read."""
    sampling = Sampling(1.6, {FACE: 8}, drawn=True)
    dataset = Dataset(["a"], {FACE: numbered(75)}, sampling=sampling, view=(number, count))
    found = dataset.subset(np.array([0])).batch([0]).streams[FACE][0].tolist()
    assert found == [start + 5 * part + within for part in range(8)]


@pytest.mark.parametrize("count, first", [(20, 0), (40, 0), (60, 10), (80, 20), (100, 30)])
def test_the_middle_of_a_short_utterance_is_read_in_any_window(count: int, first: int) -> None:
    """Of 1.6 s that are read in a window of 4 s."""
    sampling = Sampling(1.6, {}, drawn=True)
    whole = Dataset(["a"], {FACE: numbered(count)}, sampling=sampling)
    found = sections_of(whole, 4.0, None).dataset.batch([0]).streams[FACE][0].tolist()
    assert found == list(range(first, min(count, first + 40)))
