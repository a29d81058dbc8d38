"""Settings of `merge`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class MergeSettings(Common):
    """Joins stores, such as the shards of a job array, or manifests. Utterances are in the order of
    the files, or of the shards of one run; ids must differ. Manifests of predictions become the
    runs of one manifest, so that eval-class computes their mean and standard deviation; their
    shards become the predictions of the undivided run."""

    examples: ClassVar[str] = """
    avaffect merge part-0.h5 part-1.h5 part-2.h5 part-3.h5 -o vox.h5
    # The predictions of three runs
    avaffect merge seed0.jsonl seed1.jsonl seed2.jsonl -o predictions.jsonl
    """

    stores: tuple[Path, ...] = argument("Stores or manifests to join.", metavar="FILE")
    output: Path = option(MISSING, "File to write.", "-o", "--output", role="output")
