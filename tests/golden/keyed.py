"""Weights and inputs of the golden files of VAVL, its baselines and Social-MAE (NumPy alone).

Element i of a tensor is a 32-bit hash of i * 2654435761 + crc32(key), mixed twice and scaled to u
in [0, 1). Its range then follows from the key and the shape.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

# Parts of a state dict that keep the value that their module gives them.
KEPT = ("num_batches_tracked", ".pe", ".version", "_float_tensor")


def uniform(key: str, count: int) -> np.ndarray:
    """(count,) float64 in [0, 1)"""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761)
        h += np.uint32(zlib.crc32(key.encode()))
        for _ in range(2):
            h = (h ^ (h >> np.uint32(16))) * np.uint32(0x45D9F3B)
        h ^= h >> np.uint32(16)
    return h / 2.0**32


def symmetric(key: str, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """float32 in [-scale, scale): an input, or part of a weight."""
    values = (2.0 * uniform(key, math.prod(shape)) - 1.0) * scale
    return values.reshape(shape).astype(np.float32)


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The parameter or buffer `key` (float32), spelled as in the published state dict, without
    "module."."""
    if key.endswith("running_mean"):
        return symmetric(key, shape, 0.1)
    if key.endswith("running_var"):
        return (1.0 + symmetric(key, shape, 0.5)).astype(np.float32)
    if len(shape) <= 1:
        if key.endswith(".weight"):
            return (1.0 + symmetric(key, shape, 0.2)).astype(np.float32)
        return symmetric(key, shape, 0.1)
    if shape[0] == 1:
        return symmetric(key, shape, 0.5)
    return symmetric(key, shape, math.sqrt(3.0 / math.prod(shape[1:])))
