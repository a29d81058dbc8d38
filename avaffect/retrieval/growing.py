"""Draws from a pool that grew, from those of its first part and those of what was added.

With Z and Z' the sums of exp(S / T) over the first part and over the rest, an utterance of the
first part is drawn from both with Z / (Z + Z') times its probability there, and one of the rest
likewise. Each draw is therefore kept with probability Z / (Z + Z'), and otherwise one of the rest
is taken: exact, and only the rest is read.
"""

from __future__ import annotations

import numpy as np

from avaffect.core.seeds import generator
from avaffect.retrieval.sampling import Retrieved


def grown(before: Retrieved, added: Retrieved, first: int, seed: int) -> Retrieved:
    """Draws (A, draws) of queries from the whole: `before` from its `first` rows, `added` from the
    others, whose rows count from 0.

    Raises ValueError unless the normalisers of both are exact and their shapes agree.
    """
    if not (before.exact.all() and added.exact.all()):
        raise ValueError("a normaliser that is estimated does not say what is to be kept")
    if before.indices.shape != added.indices.shape:
        raise ValueError(f"draws of {before.indices.shape} and of {added.indices.shape}")
    total = np.logaddexp(before.log_normalizer, added.log_normalizer)
    share = np.exp(added.log_normalizer - total)
    random = generator(seed, "retrieval", "grown")
    taken = random.random(before.indices.shape) < share[:, None]
    # log sum exp(2 S / T), as the effective size is Z^2 over it.
    squares = np.logaddexp(
        *(2 * of.log_normalizer - np.log(of.effective_size) for of in (before, added))
    )
    return Retrieved(
        indices=np.where(taken, added.indices + first, before.indices),
        similarity=np.where(taken, added.similarity, before.similarity),
        log_normalizer=total,
        effective_size=np.exp(2 * total - squares),
        exact=before.exact,
        sampler="stream",
    )
