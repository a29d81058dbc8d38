"""Epochs in which every class has the same number of utterances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avaffect.core import seeds


@dataclass(frozen=True)
class BalancedSampling:
    """groups (N,) int64: the class of each utterance, -1 without one."""

    groups: np.ndarray
    seed: int = 0

    def drawn(self, epoch: int) -> np.ndarray:
        """(N,) indices of the utterances of an epoch; a pure function of seed and epoch.

        Of N utterances with a class, each of the K classes gives N / K, one more or less. Within a
        class none comes again before all others have come. Those without a class come once.
        """
        random = seeds.generator(self.seed, "sampler", epoch)
        classes = np.unique(self.groups[self.groups >= 0])
        parts = [np.flatnonzero(self.groups < 0)]
        if len(classes):
            least, more = divmod(int(np.count_nonzero(self.groups >= 0)), len(classes))
            for place, group in enumerate(random.permutation(classes)):
                rows, wanted = np.flatnonzero(self.groups == group), least + (place < more)
                passes = [random.permutation(rows) for _ in range(-(-wanted // len(rows)))]
                parts.append(np.concatenate([rows[:0], *passes])[:wanted])
        return np.concatenate(parts)
