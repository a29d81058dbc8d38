"""The trainings that a user names: by a checkpoint, its metrics, a folder or a pattern."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from avaffect.core import claims
from avaffect.core.errors import DataError
from avaffect.training.state import METRICS_SUFFIX as METRICS


def outputs(named: Iterable[Path]) -> list[Path]:
    """The checkpoints, there or to come, each once.

    Raises DataError for a folder without a metrics file, and for a file in a folder that is not
    there. A pattern may match nothing yet.
    """
    found: dict[Path, None] = {}
    for path in named:
        found |= dict.fromkeys(_of(path))
    return list(found)


def _of(path: Path) -> list[Path]:
    name = str(path)
    if glob.has_magic(name) and not path.exists():
        # The checkpoint comes at the end; before it there are others of its name.
        endings = ("", METRICS, claims.STATE_SUFFIX)
        return sorted({_output(Path(each)) for end in endings for each in glob.glob(name + end)})
    if path.is_dir() and path.suffix != claims.STATE_SUFFIX:
        there = sorted(map(_output, path.glob(f"*{METRICS}")))
        if not there:
            raise DataError(f"{path}: no metrics of a training (*{METRICS}) in this folder")
        return there
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}")
    return [_output(path)]


def _output(path: Path) -> Path:
    """er.safetensors of er.safetensors.metrics.jsonl and of er.safetensors.state."""
    name = path.name
    for ending in (METRICS, claims.STATE_SUFFIX):
        name = name.removesuffix(ending)
    return path.with_name(name)
