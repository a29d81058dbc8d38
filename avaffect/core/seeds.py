"""Random numbers as a pure function of a seed and a name.

Nothing in avaffect draws from global random state that has to be saved: a generator is made
where it is used, from the run's seed and words or numbers that say what it is for (the epoch,
the step, an utterance's id). A resumed run therefore draws what the undisturbed one drew.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called `names` under `seed`."""
    text = "\x1f".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the stream called `names` under `seed`."""
    # Here: commands that draw nothing start without NumPy.
    import numpy as np

    return np.random.default_rng(derive(seed, *names))
