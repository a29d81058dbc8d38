"""Units for `adapt`, computed once and kept with the run's state."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avaffect.core.claims import state_folder
from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.core.streams import UNITS
from avaffect.data.dataset import dataset_of, held_streams
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common.lineage import ROLES, Lineage
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.common.verification import verify
from avaffect.recipes.encoding import extraction
from avaffect.recipes.pretraining.retrieval_manifest import Drawn
from avaffect.settings.adapt import AdaptSettings
from avaffect.training.device import resolve_device
from avaffect.training.run import Run


def write_units(
    run: Run,
    quantiser: Path,
    lineage: Lineage,
    drawn: Drawn,
    settings: AdaptSettings,
    progress: Progress,
) -> None:
    """Units of the queries and of the drawn part of the pool, where they are trained on."""
    device = resolve_device(settings.device)
    media = [*lineage.query_media, *lineage.pool_media]
    extractor = extraction.quantiser_extractor(quantiser, device, media, progress)
    spec = StreamSpec(UNITS, "int32", extractor.rate_hz, made=extractor.made)
    for role in settings.roles:
        output = _units_path(settings, role)
        if _is_whole(output, progress):
            continue
        held = lineage.media(role)
        dataset = dataset_of(
            held, drawn.ids(role), held_streams(held, extractor.streams),
            sampling=extractor.sampling,
        )  # fmt: skip
        kept = run.spool(f"units-{role}", progress.warn)
        with (
            progress.task(f"units of the {role}", len(dataset)),
            store_writer(output, {}, streams={UNITS: spec}) as writer,
        ):
            for index, values in extraction.compute(
                extractor, dataset, device, progress, batch_seconds=settings.batch_seconds,
                kept=kept,
            ):  # fmt: skip
                units = values[:, 0].astype(np.int32)
                writer.add(dataset.ids[index], streams={UNITS: units})
        if kept is not None:
            kept.remove()


def unit_stores(settings: AdaptSettings, lineage: Lineage) -> dict[str, list[Store]]:
    """Stores of the units of each role; none where no units are read."""
    if settings.units:
        return dict.fromkeys(ROLES, open_stores(settings.units))
    if lineage.quantiser is None:
        return {role: [] for role in ROLES}
    return {role: open_stores([_units_path(settings, role)]) for role in settings.roles}


def _is_whole(output: Path, progress: Progress) -> bool:
    """Whether the units of an earlier process are there, undamaged."""
    if not output.exists():
        return False
    try:
        verify(output)
    except DataError as error:
        progress.warn(f"{error}; units are computed again")
        output.unlink()
        return False
    return True


def _units_path(settings: AdaptSettings, role: str) -> Path:
    return state_folder(settings.output) / f"units-{role}.h5"
