"""openSMILE's descriptors of speech (Eyben, Wöllmer, Schuller 2010), if its package is installed.

It is an optional extra with its own licence, imported only here and only on use. Each utterance is
processed alone, so that its descriptors depend on nothing else; an utterance shorter than WINDOW
samples has none. Digital silence gives finite numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avaffect.core.errors import UsageError
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.settings.extract import WITHOUT_OPENSMILE
from avaffect.signal.features import unit_scale

# The longest window of both sets, 60 ms: for less, openSMILE gives NaN alone.
WINDOW = 960
_LARGEST = 1.0 - 2.0**-15


@dataclass(frozen=True)
class DescriptorSet:
    """A feature set of openSMILE, its level (or several levels side by side), its columns.

    over_time: frames at 100 Hz, 2 + (S - 960) // 160 of S samples; otherwise one row an utterance.
    """

    feature_set: str
    level: str
    columns: int
    over_time: bool


# ComParE_2016 (Schuller et al. 2016): 65 low-level descriptors and their deltas, 6373 functionals
# of them. eGeMAPSv02 (Eyben et al. 2016): 25 and 88.
SETS = {
    "compare-lld": DescriptorSet("ComParE_2016", "lld;lld_de", 130, over_time=True),
    "egemaps": DescriptorSet("eGeMAPSv02", "lld", 25, over_time=True),
    "compare-functionals": DescriptorSet("ComParE_2016", "func", 6373, over_time=False),
    "egemaps-functionals": DescriptorSet("eGeMAPSv02", "func", 88, over_time=False),
}


def descriptors(waveform: Tensor, name: str) -> Tensor:
    """(S,) samples at 16 kHz, int16 or full scale at 1.0 -> (T, columns) of `SETS[name]`, float32.

    T is 1 for functionals, 0 below 960 samples. Raises UsageError without the package.
    """
    chosen = SETS[name]
    if len(waveform) < WINDOW:
        return torch.zeros(0, chosen.columns, device=waveform.device)
    # openSMILE converts to 16 bits: a sample at full scale would overflow and change its sign.
    samples = unit_scale(waveform).clamp(-1.0, _LARGEST).cpu().numpy()
    values = _smile(name).process_signal(samples, SAMPLE_RATE_HZ).to_numpy(dtype=np.float32)
    return torch.from_numpy(values.copy()).to(waveform.device)


def column_names(name: str) -> list[str]:
    """openSMILE's names of the columns. Raises UsageError without the package."""
    return [str(column) for column in _smile(name).column_names]


def package_version() -> str:
    """The version of the package opensmile. Raises UsageError without it."""
    return str(_package().__version__)


def _package() -> Any:
    # An import that fails may lack memory.
    if find_spec("opensmile") is None:
        raise UsageError(WITHOUT_OPENSMILE)
    import opensmile

    return opensmile


@lru_cache
def _smile(name: str) -> Any:
    package, chosen = _package(), SETS[name]
    return package.Smile(package.FeatureSet[chosen.feature_set], chosen.level)
