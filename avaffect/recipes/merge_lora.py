"""`merge-lora`: an encoder with the adapters of a classifier in its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import Adapters, ClassifierHeader, EncoderHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.data import artifacts
from avaffect.recipes.common import publishing, work
from avaffect.recipes.common.lineage import encoder_of
from avaffect.recipes.downstream.training_speakers import Seen
from avaffect.settings.merge_lora import MergeLoraSettings


def merge_lora(settings: MergeLoraSettings, progress: Progress = SILENT) -> None:
    """Write the encoder of one run, its adapters folded in.

    Raises DataError where the classifier has no adapters, or its encoder is missing or changed;
    UsageError where there are several runs and none, or one that is not there, is named.
    """
    header = headers.read(settings.classifier, ClassifierHeader)
    if header.adapters is None:
        raise DataError(
            f"{settings.classifier} has no adapters to fold in (it is {header.mode}): give a "
            "classifier of finetune --mode lora"
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
    progress.say(f"{settings.output}: {encoder} with the adapters of run {run.run}{fold}")


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
    settings: MergeLoraSettings, encoder: Path, header: EncoderHeader, adapters: Adapters,
    number: int,
) -> None:  # fmt: skip
    # Imported here: torch comes with the work.
    from avaffect.models import lora
    from avaffect.training import checkpoint

    _, tensors = checkpoint.read(encoder, EncoderHeader)
    _, kept = checkpoint.read(settings.classifier, ClassifierHeader)
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
    checkpoint.write(settings.output, header, tensors)
