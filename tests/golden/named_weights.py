"""Weights and inputs of the golden files of CAV-MAE, Social-MAE and VAVL, as functions of a name
and a shape (NumPy alone): a 32-bit hash of index and name, scaled to [0, 1)."""

import zlib

import numpy as np


def u01(key, n):
    """n float64 numbers in [0, 1)."""
    M = np.uint64(0xFFFFFFFF)
    start = np.uint64(zlib.crc32(key.encode()))
    x = (np.arange(n, dtype=np.uint64) * np.uint64(2654435761) + start) & M
    for _ in range(2):
        x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x45D9F3B)) & M
    x = x ^ (x >> np.uint64(16))
    return x.astype(np.float64) / 2.0**32


def sym(key, shape, scale):
    """float32 numbers from -scale to scale."""
    n = int(np.prod(shape)) if len(shape) else 1
    return ((2 * u01(key, n) - 1) * scale).reshape(shape).astype(np.float32)


def weight(key, shape):
    """The parameter `key` (float32), spelled as in the published state dict."""
    shape = tuple(shape)
    if key.endswith("running_var"):
        return (1.0 + sym(key, shape, 0.5)).astype(np.float32)
    if key.endswith("running_mean"):
        return sym(key, shape, 0.1)
    if len(shape) <= 1:
        if key.endswith(".weight"):
            return (1.0 + sym(key, shape, 0.2)).astype(np.float32)  # norm scales
        return sym(key, shape, 0.1)  # biases, scalars
    if shape[0] == 1:
        return sym(key, shape, 0.5)  # tokens / positional tables
    fan_in = int(np.prod(shape[1:]))
    return sym(key, shape, (3.0 / fan_in) ** 0.5)  # matrices and kernels
