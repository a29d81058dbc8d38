"""Settings of the C library's memory allocator."""

from __future__ import annotations

import ctypes

# mallopt(3): from <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let large blocks that were freed be used again, instead of going back to the system.

    glibc maps every large block anew and unmaps it when it is freed, and the system clears each
    page again: for batches of sound or pictures on the CPU that is up to half of all time. Peak
    memory is about the same. Nothing happens where the C library is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
