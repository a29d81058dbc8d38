"""The order of the shards of one run, for `merge`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import canonical_json
from avaffect.core.launch import ARRAY_TASK, Shard, parse_shard
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.recipes.common import work

# Inputs that are not the same for all shards of a run: of `preprocess`, the recordings of a shard.
OWN_ROLES = ("recordings",)


def is_shard(record: Provenance) -> bool:
    return record.get("settings", {}).get("shard") is not None


def order_of(
    paths: Sequence[Path], records: Sequence[Provenance], progress: Progress
) -> list[int] | None:
    """Indices of files in the order of their shards, however a pattern of the shell sorts them
    (part.10 before part.2); None where they are not the shards of one run. records: the provenance
    of each.

    Warns of missing shards and of those of another run. Raises DataError for one that is there
    twice.
    """
    if not records or not all(map(is_shard, records)):
        return None
    shards = []
    for path, record in zip(paths, records):
        name = record["settings"]["shard"]
        shard = recorded_shard(name)
        if shard is None:
            progress.warn(
                f"{path} records the shard {name!r}, which is not of the form I/N: check that all "
                "shards are given, in order"
            )
        else:
            shards.append(shard)
    if len(shards) < len(records):
        return None
    runs = [(shard.count, _run_of(record)) for shard, record in zip(shards, records)]
    usual = Counter(runs).most_common(1)[0][0]
    foreign = [path.name for path, run in zip(paths, runs) if run != usual]
    if foreign:
        progress.warn(
            f"{len(foreign)} of {count_of(len(paths), 'shard is', 'shards are')} of another run "
            f"(other settings, inputs or number of shards): {work.some_of(foreign)}; all stay in "
            "the order given"
        )
        return None
    places: dict[int, int] = {}
    for number, shard in enumerate(shards):
        if shard.index in places:
            raise DataError(
                f"{paths[places[shard.index]]} and {paths[number]} are the same shard, {shard}; "
                "give each once"
            )
        places[shard.index] = number
    count = shards[0].count
    missing = [str(Shard(index, count)) for index in range(count) if index not in places]
    if missing:
        progress.warn(
            f"{len(missing)} of {count_of(count, 'shard is', 'shards are')} missing: "
            f"{work.some_of(missing)}"
        )
    return [places[index] for index in sorted(places)]


def recorded_shard(name: object) -> Shard | None:
    """A shard as a file records it; None where it is not I/N, as `slurm` of version 0.1."""
    try:
        return parse_shard(name) if isinstance(name, str) and name != ARRAY_TASK else None
    except UsageError:
        return None


def _run_of(record: Provenance) -> str:
    """What the shards of one run share, as a text: command, settings and inputs."""
    settings = {name: value for name, value in record["settings"].items() if name != "shard"}
    inputs = [
        (each["role"], each["content_id"])
        for each in record.get("inputs", [])
        if each["role"] not in OWN_ROLES
    ]
    return canonical_json([record.get("command"), settings, inputs])
