"""The chain on features of synthetic voices, down to a report."""

from __future__ import annotations

import shutil
from pathlib import Path

from chain import invoke


def build(folder: Path, voices: Path) -> Path:
    """a.h5, a.jsonl, their features mean.h5 and mfcc.h5, er.safetensors, p.jsonl, r.json."""
    for name in ("a.h5", "a.jsonl"):
        shutil.copy(voices / name, folder / name)
    invoke(folder, "extract", "a.h5", "--model", "mfcc", "--pooled-only", "-o", "mean.h5")
    invoke(folder, "extract", "a.h5", "--model", "mfcc", "-o", "mfcc.h5")
    invoke(folder, "finetune", "mfcc.h5", "--steps", 1, "--select", "none", "-o", "er.safetensors")
    invoke(folder, "predict", "mfcc.h5", "--model", "er.safetensors", "-o", "p.jsonl")
    invoke(folder, "eval-class", "p.jsonl", "-o", "r.json")
    return folder
