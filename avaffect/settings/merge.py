"""Settings of `merge`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class MergeSettings(Common):
    """Joins stores, such as the shards of a job array, or manifests. Utterances come in the order
    in which the files are given; ids must differ. Manifests of predictions become the runs of
    one, so that eval-class gives their mean and standard deviation."""

    stores: tuple[Path, ...] = argument("Stores, or manifests, to join.", metavar="FILE")
    output: Path = option(MISSING, "File to write.", "-o", "--output", role="output")
