"""Weights and inputs of the golden files, as functions of a name and a shape (NumPy alone).

Element i of a tensor is a 32-bit hash of i * 0x9E3779B9 + crc32(name), finished as in MurmurHash3
and scaled to u in [0, 1); s = 2 u - 1. Which of the two it becomes follows from the name.
"""

from __future__ import annotations

import math
import zlib

import numpy as np


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float64 numbers in [0, 1)."""
    with np.errstate(over="ignore"):
        h = np.arange(math.prod(shape), dtype=np.uint32) * np.uint32(0x9E3779B9)
        h = h + np.uint32(zlib.crc32(name.encode("ascii")))
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
        h ^= h >> np.uint32(16)
    return (h / 2.0**32).reshape(shape)


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The parameter or buffer `name` (float32), spelled as in the published state dict."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    u = uniform(name, shape)
    s = 2.0 * u - 1.0
    prelu = "relu" in name or name.endswith("frontend3D.2.weight")
    if name.endswith("running_var"):
        value = 0.5 + u
    elif name.endswith("running_mean"):
        value = 0.1 * s
    elif len(shape) == 1 and prelu:
        value = 0.25 + 0.1 * s
    elif name.endswith("weight_g"):
        value = 1.0 + 0.2 * s
    elif name.endswith("mask_emb"):
        value = u
    elif len(shape) == 1:
        value = 1.0 + 0.2 * s if name.endswith("weight") else 0.1 * s
    else:
        value = s * math.sqrt(3.0 / math.prod(shape[1:]))
    return value.astype(np.float32)


def waveform(batch: int, samples: int) -> np.ndarray:
    """(batch, samples) float32: a chirp for each row, under noise."""
    n = np.arange(samples)[None]
    b = np.arange(batch)[:, None]
    noise = 2.0 * uniform("input.wave", (batch, samples)) - 1.0
    return (0.5 * np.sin(0.02 * (1 + b) * n + 1e-5 * n * n) + 0.2 * noise).astype(np.float32)


def audio(batch: int, frames: int) -> np.ndarray:
    """(batch, 104, frames) float32: what AV-HuBERT's audio branch projects."""
    return (1.7 * (2.0 * uniform("input.audio", (batch, 104, frames)) - 1.0)).astype(np.float32)


def video(batch: int, frames: int, size: int = 88) -> np.ndarray:
    """(batch, 1, frames, size, size) float32: standardised pictures, waves under noise."""
    noise = 2.0 * uniform("input.video", (batch, 1, frames, size, size)) - 1.0
    b, _, t, h, w = np.ogrid[:batch, :1, :frames, :size, :size]
    waves = np.sin(0.07 * h * (1 + 0.1 * t) + 0.05 * w * (1 + b))
    return (waves + 0.5 * noise).astype(np.float32)
