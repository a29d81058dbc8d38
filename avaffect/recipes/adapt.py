"""`adapt`: SAAML's affective adaptation of an encoder (Eq. 7)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from avaffect.core import headers
from avaffect.core.claims import state_folder
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import EncoderHeader
from avaffect.core.launch import launch
from avaffect.core.progress import SILENT, Progress
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data.manifest import STANDARD_STREAM
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.lineage import trace_lineage
from avaffect.recipes.encoding import choices
from avaffect.recipes.pretraining.kept_objective import check_kept, reads_units
from avaffect.recipes.pretraining.retrieval_manifest import read_drawn
from avaffect.settings.adapt import AdaptSettings

DEFAULT_EPOCHS = 50


def adapt(settings: AdaptSettings, progress: Progress = SILENT) -> Path:
    """Adapt the encoder behind a retrieval manifest; returns the checkpoint's path.

    Raises DataError where a store, projector, encoder or quantiser behind the manifest is missing
    or changed, or where the encoder keeps no pre-training objective.
    """
    if settings.epochs is None and settings.steps is None:
        settings = replace(settings, epochs=DEFAULT_EPOCHS)
    if not settings.terms:
        raise UsageError("--without ec, dc and pt leaves nothing to train")
    if not settings.weighs_anything:
        raise UsageError("every term of the loss has a weight of 0: there is nothing to train")
    if settings.units and "pt" not in settings.terms:
        raise UsageError("--units is for L_PT, which --without pt leaves out")
    if settings.manifest == STANDARD_STREAM and launch().processes > 1:
        raise UsageError("several processes cannot share a pipe: give the manifest as a file")
    folder = state_folder(settings.output)
    manifest, drawn = read_drawn(settings.manifest, folder)
    if len(drawn.classes) < 2 and "ec" in settings.terms:
        raise DataError(
            f"{manifest.name}: one class only ({drawn.classes[0]}); at least two are needed to "
            "learn, or leave L_EC out with --without ec"
        )
    lineage = trace_lineage(
        manifest,
        settings.encoder,
        partial(_computes_units, settings),
        settings.otherwise,
        settings.roles,
    )
    if settings.modality_dropout:
        _check_modalities(lineage.encoder)
    made = work.record(
        "adapt",
        settings,
        work.store_inputs("query", lineage.query),
        work.store_inputs("pool", lineage.pool),
        work.file_inputs("projector", [lineage.projector] if lineage.pool else [], "projector"),
        work.file_inputs("encoder", [lineage.encoder], "encoder"),
        work.file_inputs("quantiser", [lineage.quantiser], "quantiser"),
        work.file_inputs("units", settings.units, "store"),
    )
    made["inputs"].append(work.manifest_input("retrieval", manifest, settings.output))
    choices.check(lineage.encoder, settings.layer)
    if training_run.is_done(settings, made, progress, f"adapt {lineage.encoder}"):
        return settings.output
    from avaffect.recipes.pretraining import adaptation

    adaptation.run(settings, manifest, drawn, lineage, made, progress)
    return settings.output


def _computes_units(settings: AdaptSettings, encoder: Path, header: EncoderHeader) -> bool:
    """Whether L_PT reads units of a quantiser that has to be found.

    Raises DataError where there is no objective for L_PT, UsageError for units that it does not
    read.
    """
    if "pt" not in settings.terms:
        return False
    check_kept(encoder, header, settings.otherwise)
    if not reads_units(header):
        if settings.units:
            raise UsageError(f"--units: the pre-training of {encoder} reads no units")
        return False
    return not settings.units


def _check_modalities(encoder: Path) -> None:
    """Raises UsageError where there are no two modalities of which one may be dropped."""
    streams = headers.read(encoder, EncoderHeader).streams
    if not {WAVEFORM, FACE} <= set(streams):
        read = " and ".join(streams)
        raise UsageError(f"--modality-dropout: {encoder} reads {read} alone, leave it out")
