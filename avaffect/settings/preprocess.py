"""Settings of `preprocess`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class PreprocessSettings(Common):
    """Any container and codec becomes 16 kHz mono. A recording that gives nothing is skipped,
    counted and named; all that were lost are listed, as a manifest, in OUTPUT.lost.jsonl."""

    manifest: Path = argument(
        "Corpus manifest; - (the default) is standard input.",
        default=Path("-"),
        metavar="MANIFEST",
    )
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    jobs: int | None = option(
        None, "Processes; by default one for each core.", "-j", "--jobs", role="runtime"
    )
    shard: str | None = option(
        None,
        "Do the I-th (from 0) of N parts, or `slurm`: this task's part in a job array. "
        "Merging all parts in order gives what one run would.",
        "--shard",
        metavar="I/N",
    )
    strict: bool = option(
        False, "Stop at the first recording that would be lost.", "--strict", role="runtime"
    )
    keep_silent: bool = option(False, "Keep recordings that are digitally silent.", "--keep-silent")
