"""`extract` by several workers: each computes shards with its own copy of the model, and the shards
are joined as `merge` joins those of a job array."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from avaffect.core.errors import DataError, MachineFault
from avaffect.core.launch import part_of
from avaffect.core.nouns import count_of, share_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.backends import LOKY
from avaffect.data.store.layout import write_store
from avaffect.data.store.merging import merged
from avaffect.data.store.reader import Store
from avaffect.data.workers import ordered_map
from avaffect.recipes.common.training_run import Work
from avaffect.settings.extract import ExtractSettings

# Shards of each worker: the last ones end at about the same time. Of few utterances, the model is
# loaded for each shard longer than it computes.
EACH, LEAST = 4, 32
# Workers of a backend that are not counted here.
MANY = 16


class Part(NamedTuple):
    """A shard to compute. threads: of torch, so that processes of a machine share its cores; None:
    as the worker has them."""

    settings: ExtractSettings
    threads: int | None


class Heard(Progress):
    """Keeps the warnings of a worker."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def run(
    settings: ExtractSettings,
    store: Store,
    compute: Callable[[Part], list[str]],
    made: Provenance,
    progress: Progress,
    work: Work,
) -> None:
    """Compute all shards, and write their union.

    compute: makes a shard's file, unless it is there already; returns its warnings. Raises
    DataError where the store or the model was replaced meanwhile.
    """
    assert work.folder is not None
    parts = _parts(settings, store, work.folder.absolute())
    jobs = settings.jobs or -1
    if settings.backend in (None, LOKY):
        jobs = min(settings.jobs or os.cpu_count() or 1, len(parts))
    progress.start("extract", store.count)
    results = ordered_map(compute, parts, jobs, _crashed, settings.backend)
    with contextlib.closing(results):
        for part, warnings in zip(parts, results):
            for warning in warnings:
                progress.warn(f"shard {part.settings.shard}: {warning}")
            progress.advance(len(part_of(part.settings.shard, range(store.count))))
    progress.finish()
    computed = [Store(part.settings.output) for part in parts]
    _check_inputs(settings, computed, made)
    contents = merged(computed)
    work.check()
    write_store(settings.output, contents, made)
    of = share_of(len(contents.ids), store.count, "utterance")
    if settings.of_frames:
        progress.say(f"{settings.output}: {count_of(len(contents.ids), 'frame')}")
    else:
        progress.say(f"{settings.output}: {of}")


def _parts(settings: ExtractSettings, store: Store, folder: Path) -> list[Part]:
    """The shards, whose files are in the state folder, with paths that hold in any folder."""
    own = settings.backend in (None, LOKY)
    jobs = settings.jobs or (os.cpu_count() or 1 if own else MANY)
    count = min(store.count, max(jobs, min(EACH * jobs, store.count // LEAST)))
    model = Path(settings.model)
    threads = max(1, (os.cpu_count() or 1) // jobs) if own else None
    alone = replace(
        settings, media=settings.media.absolute(), jobs=None, backend=None,
        model=str(model.absolute()) if model.exists() else settings.model,
    )  # fmt: skip
    return [
        Part(replace(
            alone, shard=f"{number}/{count}", output=folder / f"{number}-of-{count}.h5"
        ), threads)
        for number in range(count)
    ]  # fmt: skip


def _check_inputs(settings: ExtractSettings, shards: Sequence[Store], made: Provenance) -> None:
    """Raises DataError where a shard was computed from other inputs: each worker opens them when it
    comes to the shard."""
    wanted = _identities(made)
    for shard in shards:
        if _identities(shard.provenance) != wanted:
            raise DataError(
                f"{settings.media} or {settings.model} was replaced while it was read; start again"
            )


def _identities(made: Provenance) -> list[tuple[str, str]]:
    return [(item["role"], item["content_id"]) for item in made["inputs"]]


def _crashed(part: Part) -> list[str]:
    raise MachineFault(
        f"shard {part.settings.shard} crashed its process twice; give it more memory, or let fewer "
        "processes run at once (-j), and run the same command again"
    )
