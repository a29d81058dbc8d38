"""Python, processors, memory and GPUs."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator

import torch

from avaffect.core.nouns import count_of
from avaffect.recipes.diagnosis.findings import BROKEN, FINE, OPTIONAL, Finding

GIB = 2**30
ABOUT = "machine"


def look() -> Iterator[Finding]:
    yield Finding(ABOUT, "python", FINE, f"{platform.python_version()}, {platform.platform()}")
    yield _processors()
    yield from _memory()
    yield from _gpus()


def _processors() -> Finding:
    usable = len(os.sched_getaffinity(0))
    of = "" if usable == os.cpu_count() else f" of {os.cpu_count()}, as others are not allowed"
    words = f"{count_of(usable, 'core')}{of}, {count_of(torch.get_num_threads(), 'thread')}"
    kind = torch.backends.cpu.get_cpu_capability()
    return Finding(ABOUT, "processor", FINE, f"{words}, {kind}")


def _memory() -> Iterator[Finding]:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES")
    except (OSError, ValueError):
        return
    words = f"{pages * size / GIB:.0f} GiB, {free * size / GIB:.0f} of them unused"
    yield Finding(ABOUT, "memory", FINE, words)


def _gpus() -> Iterator[Finding]:
    if not torch.cuda.is_available():
        yield _no_gpu()
        return
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        name = f"cuda:{number}"
        try:
            total = float(torch.ones(64, device=name).sum())
            bf16 = torch.cuda.is_bf16_supported()
        except RuntimeError as error:
            yield Finding(ABOUT, name, BROKEN, f"{facts.name}: {str(error).splitlines()[0]}",
                          "choose another with CUDA_VISIBLE_DEVICES, or --device cpu")  # fmt: skip
            continue
        how = "bf16" if bf16 else "16 (it has no bf16)"
        words = f"{facts.name}, {facts.total_memory / GIB:.0f} GiB, --precision {how}"
        state = FINE if total == 64 else BROKEN
        yield Finding(ABOUT, name, state, words, "" if state == FINE else "its sums are wrong")


def _no_gpu() -> Finding:
    built = torch.version.cuda
    if shutil.which("nvidia-smi") is None:
        return Finding(ABOUT, "gpu", OPTIONAL, "none: models are trained on the processor")
    why = "torch is built without CUDA" if built is None else f"torch, of CUDA {built}, sees none"
    mend = (
        "install torch for your CUDA: pytorch.org/get-started"
        if built is None
        else "compare nvidia-smi's CUDA version with torch's, and see CUDA_VISIBLE_DEVICES"
    )
    return Finding(ABOUT, "gpu", BROKEN, why, mend)
