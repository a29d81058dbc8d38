"""Batches: bucketed by length within shuffled pools, limited by padded seconds.

Utterances of similar length share a batch, so that it has little padding, but are mixed anew in
every epoch: all are shuffled, divided into pools of some fifty batches, sorted by length within a
pool, divided into batches, and the batches shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from avaffect.core import seeds
from avaffect.core.batch import Batch
from avaffect.data.balanced_sampling import BalancedSampling
from avaffect.data.dataset import Dataset

POOL_BATCHES = 50
SHORTEST_S = 1e-9
# Padding allowed in a batch for extraction: a share of it, or these seconds, whichever is more.
MOST_PADDING = 0.12
PADDING_S = 0.5
# Copies of an utterance in an epoch are sorted by lengths that differ by up to this factor, so that
# they do not all meet in one batch.
SPREAD = 1.25


@dataclass
class Bucketed:
    """The batches of an epoch over a dataset, for the training loop.

    batch_seconds limits the padded length (utterances x longest), batch_utterances their number.
    sampling: of the utterances of an epoch; None: all of them, once.
    """

    dataset: Dataset
    batch_seconds: float
    batch_utterances: int
    seed: int = 0
    sampling: BalancedSampling | None = None

    def plan(self, epoch: int) -> list[np.ndarray]:
        durations = self.dataset.batch_durations()
        limits = self.batch_seconds, self.batch_utterances
        random = seeds.generator(self.seed, "batches", epoch)
        if self.sampling is None:
            return plan_batches(durations, *limits, random)
        drawn = self.sampling.drawn(epoch)
        spread = durations[drawn] * random.uniform(1.0, SPREAD, len(drawn))
        return [drawn[batch] for batch in plan_batches(spread, *limits, random)]

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        return self.dataset.batch(indices, epoch)


@dataclass
class Paired:
    """SAAML's batches: k labelled utterances of A, and for each a retrieved utterance of B.

    pairs (A, draws) int64: for each utterance of `queries`, indices into `pool`; epoch e uses draw
    e mod draws, so that each epoch has another one-to-one retrieval. The label of an utterance of A
    is the pseudo-label of its utterance of B. domain: 0 for A, 1 for B.
    """

    queries: Dataset
    pool: Dataset
    pairs: np.ndarray
    batch_seconds: float
    batch_utterances: int
    seed: int = 0

    def plan(self, epoch: int) -> list[np.ndarray]:
        drawn = self.pool.batch_durations()[self._drawn(epoch)]
        longest = np.maximum(self.queries.batch_durations(), drawn)
        return plan_batches(
            longest,
            self.batch_seconds / 2,
            max(1, self.batch_utterances // 2),
            seeds.generator(self.seed, "batches", epoch),
        )

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        source = self.queries.batch(indices, epoch)
        target = self.pool.batch(self._drawn(epoch)[indices], epoch)
        target.labels = source.labels
        return join(source, target)

    def _drawn(self, epoch: int) -> np.ndarray:
        return self.pairs[:, epoch % self.pairs.shape[1]]


def plan_batches(
    durations: np.ndarray,
    batch_seconds: float,
    batch_utterances: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Indices of the batches of one epoch, with every utterance once; no batch is empty."""
    order = generator.permutation(np.flatnonzero(durations > 0))
    if not len(order):
        return []
    mean = float(durations[order].mean())
    pool = POOL_BATCHES * max(1, min(batch_utterances, int(batch_seconds / mean)))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(durations[part], kind="stable")]
        batches += _cut(part, durations, batch_seconds, batch_utterances)
    return [batches[index] for index in generator.permutation(len(batches))]


def _cut(
    part: np.ndarray, durations: np.ndarray, batch_seconds: float, batch_utterances: int
) -> list[np.ndarray]:
    """Divide a sorted pool from its longest utterance on, which limits the size of its batch."""
    batches = []
    stop = len(part)
    while stop > 0:
        # Empty utterances take no time: only their number is limited.
        longest = max(float(durations[part[stop - 1]]), SHORTEST_S)
        fitting = max(1, int(min(batch_seconds / longest, batch_utterances)))
        start = max(0, stop - fitting)
        batches.append(part[start:stop])
        stop = start
    return batches


def sequential_batches(
    durations: np.ndarray, batch_seconds: float, batch_utterances: int
) -> list[np.ndarray]:
    """Batches for extraction, with every utterance once, in any order, the longest first.

    No batch has much padding; batches may be small for that, unlike in training.
    """
    part = np.argsort(durations, kind="stable")
    batches = _cut(part, durations, batch_seconds, batch_utterances) if len(part) else []
    return [batch for loose in batches for batch in _tighten(loose, durations)]


def _tighten(batch: np.ndarray, durations: np.ndarray) -> list[np.ndarray]:
    """A sorted batch divided into parts with little padding, from the longest utterance on."""
    parts = []
    while len(batch):
        seconds = durations[batch][::-1]
        padded = seconds[0] * np.arange(1, len(batch) + 1)
        most = np.maximum(MOST_PADDING * padded, PADDING_S)
        fitting = int(np.count_nonzero(padded - np.cumsum(seconds) <= most))
        parts.append(batch[len(batch) - fitting :])
        batch = batch[: len(batch) - fitting]
    return parts


def useful_share(durations: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of padded batch time that is not padding."""
    padded = sum(len(batch) * float(durations[batch].max()) for batch in batches)
    return float(sum(durations[batch].sum() for batch in batches)) / padded if padded else 1.0


def join(source: Batch, target: Batch) -> Batch:
    """Two batches as one, with streams padded to one length; domain 0 for the first, 1 for the
    second.

    A stream that one of them lacks is missing in its utterances.
    """
    joined = Batch(ids=source.ids + target.ids, rates={**target.rates, **source.rates})
    for name in joined.rates:
        parts = [batch.streams.get(name) for batch in (source, target)]
        # The shape of a step is that of the batch with the stream.
        step = max((part for part in parts if part is not None), key=lambda part: part.shape[1])
        longest = step.shape[1]
        joined.streams[name] = np.concatenate(
            [
                np.zeros((len(batch), *step.shape[1:]), step.dtype)
                if part is None or not part.shape[1]
                else _padded(part, longest)
                for batch, part in zip((source, target), parts)
            ]
        )
        lengths = [
            batch.lengths.get(name, np.zeros(len(batch), dtype=np.int64))
            for batch in (source, target)
        ]
        joined.lengths[name] = np.concatenate(lengths)
        joined.present[name] = joined.lengths[name] > 0
    joined.labels = {
        name: np.concatenate([values, target.labels[name]])
        for name, values in source.labels.items()
    }
    joined.domain = np.repeat(np.array([0, 1], dtype=np.int64), [len(source), len(target)])
    return joined


def _padded(values: np.ndarray, steps: int) -> np.ndarray:
    width = [(0, 0), (0, steps - values.shape[1])] + [(0, 0)] * (values.ndim - 2)
    return np.pad(values, width)


class Rows(Protocol):
    """(N, D) vectors, of which those of a batch are read: an array, or the vectors of stores."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray: ...


@dataclass
class Vectors:
    """Batches of precomputed vectors: `rows` (N, D) as the stream `name`, with labels. sampling: as
    in `Bucketed`."""

    name: str
    rows: Rows
    labels: dict[str, np.ndarray]
    batch_utterances: int
    seed: int = 0
    sampling: BalancedSampling | None = None

    def plan(self, epoch: int) -> list[np.ndarray]:
        order = seeds.generator(self.seed, "batches", epoch).permutation(len(self.rows))
        if self.sampling is not None:
            order = self.sampling.drawn(epoch)[order]
        size = self.batch_utterances
        return [order[start : start + size] for start in range(0, len(order), size)]

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        return Batch(
            ids=[str(index) for index in indices],
            streams={self.name: self.rows[indices]},
            labels={name: values[indices] for name, values in self.labels.items()},
        )
