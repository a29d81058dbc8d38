"""Folders of transformers: written without it, and loaded by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.core.errors import DataError
from avaffect.core.streams import SAMPLE_RATE_HZ

LOCAL = {"local_files_only": True, "trust_remote_code": False}


def is_there() -> bool:
    """Whether transformers is installed."""
    return find_spec("transformers") is not None


def save(
    folder: Path, config: Mapping[str, Any], preprocessor: Mapping[str, Any],
    tensors: dict[str, Tensor],
) -> None:  # fmt: skip
    """Write a folder that AutoModel and AutoFeatureExtractor load."""
    for name, content in (("config", config), ("preprocessor_config", preprocessor)):
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


class Loaded:
    """A folder as transformers loads it.

    Raises DataError where weights are missing or are left.
    """

    def __init__(self, folder: Path) -> None:
        import transformers

        before = transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            model, info = transformers.AutoModel.from_pretrained(
                str(folder), output_loading_info=True, use_safetensors=True, **LOCAL
            )
            extractor = transformers.AutoFeatureExtractor.from_pretrained(str(folder), **LOCAL)
        finally:
            transformers.logging.set_verbosity(before)
            transformers.logging.enable_progress_bar()
        wrong = {kind: sorted(map(str, info.get(kind) or ())) for kind in
                 ("missing_keys", "unexpected_keys", "mismatched_keys")}  # fmt: skip
        if any(wrong.values()):
            raise DataError(f"transformers does not load it whole: {wrong}")
        self.model, self.extractor = model.eval(), extractor
        self.encoder = getattr(model, "encoder", model) if hasattr(model, "decoder") else model

    @torch.no_grad()
    def frames(self, waveform: np.ndarray) -> np.ndarray:
        """(T, dim) of a waveform (S,) float32, full scale at 1.0."""
        given = self.extractor(waveform, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        values = given.get("input_values", given.get("input_features"))
        found: np.ndarray = self.encoder(values).last_hidden_state[0].numpy()
        return found
