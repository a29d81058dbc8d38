"""Memory of C libraries: settings of the allocator, and room for OpenBLAS."""

from __future__ import annotations

import ctypes
import mmap

# mallopt(3): from <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1
# What OpenBLAS maps for each of its threads at its first product, and some more.
_BLAS_BYTES = 1 << 26


def keep_freed_memory() -> None:
    """Keep freed large blocks for reuse, instead of returning them to the system.

    By default glibc maps every large block anew and unmaps it when it is freed, and the system
    clears each page again: for batches of audio or video on the CPU this takes up to half of the
    time. Peak memory is about the same. No effect with another C library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)


def check_blas_memory() -> None:
    """Raises MemoryError where OpenBLAS (of SciPy and scikit-learn) would find no memory for its
    buffer: it would try again for ever, and hear no signal."""
    try:
        mmap.mmap(-1, _BLAS_BYTES).close()
    except OSError as error:
        raise MemoryError("there is none for the buffers of OpenBLAS") from error
