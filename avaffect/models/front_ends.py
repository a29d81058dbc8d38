"""Front-ends: descriptors of audio without trained weights; their names are in
`recipes/encoding/front_ends.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import WAVEFORM
from avaffect.models.encoder import Frames
from avaffect.signal import descriptors, features


@dataclass(frozen=True)
class FrontEnd:
    """describe: (S,) samples -> (T, dim); T is 1 for one vector an utterance.

    origin: JSON values that specify the descriptors, if the name alone does not.
    """

    dim: int
    describe: Callable[[Tensor], Tensor]
    over_time: bool = True
    origin: Callable[[], dict[str, Any]] = field(default=dict)

    def frames(self, batch: Batch) -> Frames:
        """(B, T, dim), one utterance at a time, so that padding does not affect its edges."""
        # Always in single precision, as its speed does not matter.
        waveform = batch.streams[WAVEFORM]
        with torch.autocast(waveform.device.type, enabled=False):
            found = [
                self.describe(wave[:length])
                for wave, length in zip(waveform, batch.lengths[WAVEFORM].tolist())
            ]
        lengths = torch.tensor([len(values) for values in found], device=waveform.device)
        return Frames(torch.nn.utils.rnn.pad_sequence(found, batch_first=True), lengths)


def _of_opensmile(name: str) -> FrontEnd:
    chosen = descriptors.SETS[name]

    def origin() -> dict[str, Any]:
        return {
            "feature_set": chosen.feature_set,
            "opensmile": descriptors.package_version(),
            "columns": descriptors.column_names(name),
        }

    describe = partial(descriptors.descriptors, name=name)
    return FrontEnd(chosen.columns, describe, chosen.over_time, origin)


MFCC = FrontEnd(39, features.mfcc)
LOG_MEL = FrontEnd(80, features.log_mel)
COMPARE_LLD = _of_opensmile("compare-lld")
EGEMAPS = _of_opensmile("egemaps")
COMPARE_FUNCTIONALS = _of_opensmile("compare-functionals")
EGEMAPS_FUNCTIONALS = _of_opensmile("egemaps-functionals")
