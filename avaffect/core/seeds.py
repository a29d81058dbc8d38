"""Random numbers as a pure function of a seed and a name.

avaffect has no global random state that must be saved: each generator is made where it is used,
from the run's seed and names of its purpose (the epoch, the step, an utterance's id). A resumed run
therefore makes the same draws as an uninterrupted one.
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
    # Imported here: commands without random draws start without NumPy.
    import numpy as np

    return np.random.default_rng(derive(seed, *names))
