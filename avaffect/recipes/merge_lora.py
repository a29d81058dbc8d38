"""`merge-lora`: the encoder that a classifier has trained, with the adapters in its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import Adapters, ClassifierHeader, EncoderHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.data import artifacts
from avaffect.recipes.common import publishing, work
from avaffect.recipes.common.lineage import encoder_of
from avaffect.recipes.downstream.training_speakers import Seen
from avaffect.settings.encoder_training import FINE_TUNED
from avaffect.settings.merge_lora import MergeLoraSettings

if TYPE_CHECKING:
    from torch import Tensor


def merge_lora(settings: MergeLoraSettings, progress: Progress = SILENT) -> None:
    """Write the encoder of one run, its adapters folded in; of a fine-tuned classifier as it is.

    Raises DataError where the classifier has trained no encoder, or that before is missing or
    changed;
    UsageError where there are several runs and none, or one that is not there, is named.
    """
    header = headers.read(settings.classifier, ClassifierHeader)
    if header.adapters is None and header.mode != FINE_TUNED:
        raise DataError(
            f"{settings.classifier} is {header.mode}, and has no adapters and no encoder that was "
            f"trained further: give a classifier of finetune --mode lora or {FINE_TUNED}"
        )
    number = _chosen(settings, header)
    encoder = encoder_of(settings.classifier, header)
    parent = headers.read(encoder, EncoderHeader)
    made = work.record(
        "merge-lora",
        settings,
        work.file_inputs("classifier", [settings.classifier], "classifier"),
        work.file_inputs("encoder", [encoder], "encoder"),
        work.file_inputs("quantiser", [_quantiser(encoder, parent, progress)], "quantiser"),
    )
    if publishing.is_done(settings, made, progress, f"merge run {header.runs[number].run}"):
        return
    merged = replace(
        parent,
        provenance=made,
        metrics={},
        labelled_speakers=tuple(sorted({*parent.labelled_speakers, *_seen(header, number)})),
        # Its weights are no longer the published ones.
        published=None,
    )
    _write(settings, encoder, merged, header.adapters, number)
    run = header.runs[number]
    fold = "" if run.fold is None else f", fold {run.fold}"
    what = "weights" if header.adapters is None else "adapters"
    progress.say(f"{settings.output}: {encoder} with the {what} of run {run.run}{fold}")


def _chosen(settings: MergeLoraSettings, header: ClassifierHeader) -> int:
    """The place of the chosen run among the header's."""
    found = [
        number
        for number, run in enumerate(header.runs)
        if settings.run in (None, run.run) and settings.fold in (None, run.fold)
    ]
    if len(found) == 1:
        return found[0]
    numbers = sorted({run.run for run in header.runs})
    folds = sorted({run.fold for run in header.runs if run.fold is not None})
    given = [f"--{n} {v}" for n in ("run", "fold") if (v := getattr(settings, n)) is not None]
    have = f"{settings.classifier} has the runs {', '.join(map(str, numbers))}"
    have += f" of the folds {', '.join(map(str, folds))}" * bool(folds)
    if not found:
        raise UsageError(f"{' '.join(given)}: {have}")
    raise UsageError(f"{have}: choose one with --run" + " and --fold" * bool(folds))


def _quantiser(encoder: Path, parent: EncoderHeader, progress: Progress) -> Path | None:
    """The quantiser of the units that the encoder was trained on, which `adapt` looks for."""
    for reference in parent.parents("quantiser")[:1]:
        try:
            return artifacts.locate_parent(reference, encoder)
        except DataError as error:
            progress.warn(f"the merged encoder will not name a quantiser: {error}")
    return None


def _seen(header: ClassifierHeader, number: int) -> set[str]:
    """Speakers whose labels trained this run, or chose its epoch."""
    if header.seen is None:
        return set(header.labelled_speakers)
    seen = Seen.of(header)
    return set(seen.training[number].speakers | seen.development[number].speakers)


def _write(
    settings: MergeLoraSettings,
    encoder: Path,
    header: EncoderHeader,
    adapters: Adapters | None,
    number: int,
) -> None:
    # Imported here: torch comes with the work.
    from avaffect.training import checkpoint

    _, tensors = checkpoint.read(encoder, EncoderHeader)
    _, kept = checkpoint.read(settings.classifier, ClassifierHeader)
    if adapters is not None:
        _fold_in(settings, encoder, tensors, kept, adapters, number)
    else:
        prefix = f"runs.{number}.encoder."
        own = {name.removeprefix(prefix): t for name, t in kept.items() if name.startswith(prefix)}
        if not own or any(
            name not in tensors or tensors[name].shape != value.shape for name, value in own.items()
        ):
            raise DataError(f"{settings.classifier} holds no encoder that is like {encoder}")
        tensors |= own
    checkpoint.write(settings.output, header, tensors)


def _fold_in(
    settings: MergeLoraSettings,
    encoder: Path,
    tensors: dict[str, Tensor],
    kept: dict[str, Tensor],
    adapters: Adapters,
    number: int,
) -> None:
    """kept: the weights of the classifier"""
    from avaffect.models import lora

    prefix = f"runs.{number}.adapters."
    own = {name.removeprefix(prefix): t for name, t in kept.items() if name.startswith(prefix)}
    for name in adapters.modules:
        try:
            tensors[f"{name}.weight"] = lora.folded(
                tensors[f"{name}.weight"], own, name, adapters.alpha
            )
        except (KeyError, RuntimeError) as error:
            raise DataError(
                f"{settings.classifier} has adapters that do not fit {encoder}: {name} ({error})"
            ) from error
