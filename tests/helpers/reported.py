"""A small chain on films with all that a report shows: scores, retrieval, traces, curves."""

from __future__ import annotations

import shutil
from pathlib import Path

from chain import invoke

GIVEN = ("a.h5", "p.jsonl", "q.jsonl", "r.jsonl", "t.h5", "e.h5", "er.safetensors", "scores.json")


def build(films: Path, folder: Path) -> None:
    """films: a folder with a.jsonl and a.h5 of talking faces, split; it is copied."""
    shutil.copytree(films, folder, dirs_exist_ok=True)
    short = ("--steps", 12, "--select", "none")
    for arguments in (
        ("cluster", "a.h5", "-k", 4, "--initialisations", 1, "-o", "kmeans.safetensors"),
        ("extract", "a.h5", "--model", "kmeans.safetensors", "-o", "units.h5"),
        ("pretrain-hubert", "a.h5", "--units", "units.h5", "--preset", "nano", "--steps", 2,
         "--modality", "audio", "-o", "x.safetensors"),
        ("train-projector", "a.h5", "--encoder", "x.safetensors", "--split", "all", "--steps", 2,
         "-o", "projector.safetensors"),
        ("extract", "a.h5", "--model", "projector.safetensors", "-o", "e.h5"),
        ("retrieve", "--query", "e.h5", "--pool", "e.h5", "--draws", 4, "-T", 0.5,
         "--query-split", "all", "-o", "r.jsonl"),
        ("extract", "a.h5", "--model", "mfcc", "-o", "f.h5"),
        ("finetune", "f.h5", *short, "--runs", 2, "-o", "er.safetensors"),
        ("predict", "f.h5", "--model", "er.safetensors", "--split", "all", "-o", "p.jsonl"),
        ("finetune", "f.h5", *short, "--runs", 2, "--seed", 5, "-o", "other.safetensors"),
        ("predict", "f.h5", "--model", "other.safetensors", "--split", "all", "-o", "q.jsonl"),
        ("eval-class", "p.jsonl", "--split", "all", "-o", "scores.json"),
        ("finetune", "f.h5", *short, "--label", "arousal", "--label", "valence",
         "-o", "va.safetensors"),
        ("predict", "f.h5", "--model", "va.safetensors", "--split", "all", "-o", "t.h5"),
    ):  # fmt: skip
        invoke(folder, *arguments)
