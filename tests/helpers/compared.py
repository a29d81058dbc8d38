"""Predictions that `compare` reads, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chain import Result, invoke

from avaffect.data import manifest

CLASSES = ["anger", "happiness", "neutral"]
GOLD = [CLASSES[k % 3] for k in range(12)]


def predictions(path: Path, wrong: Sequence[int], first_run: int = 0, count: int = 12) -> Path:
    """Run k takes the last wrong[k] utterances for anger."""
    items = []
    for run, errors in enumerate(wrong, start=first_run):
        for k, gold in enumerate(GOLD[:count]):
            guess = "anger" if k >= count - errors else gold
            items.append({"id": f"u{k}", "gold": gold, "prediction": guess, "run": run})
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
    manifest.write(path, header, items)
    return path


def run(folder: Path, *arguments: object, **how: Any) -> Result:
    return invoke(folder, "compare", *arguments, **how)


def report(folder: Path, *arguments: object) -> dict[str, Any]:
    return json.loads(run(folder, *arguments, "--json").stdout)
