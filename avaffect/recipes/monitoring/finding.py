"""The trainings that a user names: by a checkpoint, its metrics, a folder or a pattern."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from avaffect.core import claims, filekind
from avaffect.core.errors import DataError
from avaffect.training.state import METRICS_SUFFIX as METRICS
from avaffect.training.state import metrics_path


def outputs(named: Iterable[Path]) -> list[Path]:
    """The checkpoints, there or to come, each once.

    Raises DataError for a folder without a metrics file, for a file in a folder that is not there,
    and for one that is no checkpoint and belongs to none. A pattern may match nothing yet, and
    other files.
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
        matched = {_output(Path(each)) for end in endings for each in glob.glob(name + end)}
        return sorted(filter(_may_be_trained, matched))
    if path.is_dir() and path.suffix != claims.STATE_SUFFIX:
        there = sorted(map(_output, path.glob(f"*{METRICS}")))
        if not there:
            raise DataError(f"{path}: no metrics of a training (*{METRICS}) in this folder")
        return there
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}")
    output = _output(path)
    if not _may_be_trained(output):
        raise filekind.other_kind(output, "checkpoint")
    return [output]


def _may_be_trained(output: Path) -> bool:
    """Whether it is a checkpoint, or none yet."""
    left = (metrics_path(output), claims.state_folder(output))
    if not output.exists() or any(path.exists() for path in left):
        return True
    return filekind.kind_of(output) == filekind.CHECKPOINT


def _output(path: Path) -> Path:
    """er.safetensors of er.safetensors.metrics.jsonl and of er.safetensors.state."""
    name = path.name
    for ending in (METRICS, claims.STATE_SUFFIX):
        name = name.removesuffix(ending)
    return path.with_name(name)
