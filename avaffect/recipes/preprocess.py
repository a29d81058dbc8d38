"""`preprocess`: from recordings to a store; unusable files are skipped, counted and listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.launch import Shard, parse_shard
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, provenance, reference
from avaffect.data import artifacts, manifest
from avaffect.data.items import label_specs, labels_of, meta_fields
from avaffect.data.manifest import Item, Manifest
from avaffect.data.recordings import check_within, media_content_id
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.media.decoding import (
    Decoding,
    chosen_channels,
    model_id,
    options_of,
    sources_of,
)
from avaffect.recipes.media.preprocess_summary import (
    lacks_crashed,
    list_losses,
    losses_path,
    summarise,
    summarise_faces,
    summarise_sound,
)
from avaffect.settings.base import semantic
from avaffect.settings.preprocess import PreprocessSettings

# Decoders are imported with the work.
if TYPE_CHECKING:
    from avaffect.data.media import DecodingOptions

# Options of face detection and cropping.
OF_FACES = (
    "faces", "face_model", "align", "size", "width", "fit", "color", "fps", "margin", "face",
)  # fmt: skip
# Settings that stores of version 1.0 do not have: left out if they are not set, so that these
# stores stay up to date.
NEWER = ("audio_track", "channels")


def preprocess(settings: PreprocessSettings, progress: Progress = SILENT) -> Path:
    """Decode the recordings of a corpus manifest into a store; returns its path.

    Raises DataError if a recording is unusable with `strict`, or all are, or one lies outside of
    `within`; nothing is written then.
    """
    settings = _checked(settings)
    shard = parse_shard(settings.shard) or Shard(0, 1)
    corpus = manifest.read(settings.manifest, expect="corpus")
    items = shard.of(corpus.items)
    chosen_channels(settings)
    if settings.within is not None:
        check_within(corpus, items, settings.within)
    record = _provenance(settings, corpus, items)
    force = settings.force or lacks_crashed(settings.output, record, progress)
    settings = replace(settings, force=force)
    if training_run.is_current(settings, record, progress):
        _check_strict(settings)
        if settings.preview:
            progress.warn("no preview: it is drawn during decoding; --force decodes again")
        return settings.output
    from avaffect.data import media

    options, streams = options_of(settings)
    specs = label_specs(corpus)
    # Decoding takes hours: errors of labels are reported before.
    for item in items:
        labels_of(item, specs)
    if settings.dry_run:
        sources = {name for item in items for name in sources_of(settings, item)}
        absent = sum(not (corpus.folder / name).is_file() for name in sources)
        progress.say(
            f"would decode {count_of(len(items), 'utterance')} of {corpus.name} into "
            f"{settings.output}; {count_of(absent, 'recording is', 'recordings are')} missing"
        )
        return settings.output
    media.check_access(corpus.folder, (n for item in items for n in sources_of(settings, item)))
    columns = {name: shard.of(values) for name, values in meta_fields(corpus.items).items()}
    with training_run.working(settings, record, progress) as begun:
        if begun is not None:
            task = _Task(corpus, items, columns, specs, options, streams)
            _decode(settings, task, record, begun, progress)
    return settings.output


@dataclass(frozen=True)
class _Task:
    """What is decoded: the items of a corpus, and how."""

    corpus: Manifest
    items: Sequence[Item]
    columns: dict[str, Sequence[Any]]
    labels: dict[str, LabelSpec]
    options: DecodingOptions
    streams: dict[str, StreamSpec]


def _decode(
    settings: PreprocessSettings, task: _Task, record: Provenance, begun: Work, progress: Progress
) -> None:
    from avaffect.data.faces.preview import Preview

    output, items, specs = settings.output, task.items, task.labels
    with store_writer(
        output, record, streams=task.streams, labels=specs, kept=begun.store()
    ) as writer:
        preview = Preview.into(settings.preview)
        work = Decoding(
            settings, task.options, task.corpus, writer, progress, preview, losses_path(output)
        )
        found = work.decode_all(items, task.columns, specs)
        if items and not writer.ids:
            lost = (
                f"all {count_of(len(items), 'utterance')} of {task.corpus.name} were lost "
                f"({found.words})"
            )
            if settings.shard is None:
                raise DataError(f"{lost}; nothing was written")
            # Without an empty store the shards of the others could not be merged.
            progress.warn(f"{lost} in the shard {settings.shard}")
        list_losses(output, task.corpus, found, record)
        counts = {"found": len(items), "kept": len(writer.ids), "lost": found.counts}
        writer.provenance["losses"] = counts
        hours = sum(writer.column("duration_s")) / 3600
        missing = {name: writer.missing(name) for name in specs}
    summarise(output, counts, hours, missing, found, progress)
    summarise_sound(writer, progress)
    summarise_faces(writer, work.preview, settings.faces, progress)


def _checked(settings: PreprocessSettings) -> PreprocessSettings:
    """Raises UsageError for invalid or contradictory options."""
    if str(settings.output) == "-":
        raise UsageError("a store cannot go to standard output; give a file with --output")
    if settings.faces == "yunet" and settings.face_model is None:
        from avaffect.data.faces.detection import WHERE

        raise UsageError(f"--faces yunet needs --face-model FILE; {WHERE}")
    if settings.faces != "yunet" and settings.align:
        raise UsageError("--align needs landmarks: --faces yunet")
    if settings.faces != "yunet" and settings.face_model:
        raise UsageError("--face-model is for --faces yunet")
    of_whole = {"--width": settings.width is not None, "--fit": settings.fit != "crop"}
    for flag, given in of_whole.items():
        if given and settings.faces != "none" and settings.without != "video":
            raise UsageError(f"{flag} goes with --faces none; crops of a face are square")
    if settings.preview and settings.without == "video":
        raise UsageError("--preview needs video: leave out --without video")
    if settings.preview and settings.preview.exists() and not settings.preview.is_dir():
        raise UsageError(f"--preview {settings.preview}: this is a file; give a folder")
    if settings.audio_track is not None and settings.without == "audio":
        raise UsageError("--audio-track needs audio: leave out --without audio")
    if settings.without == "video":
        _check_without_video(settings)
    align = settings.faces == "yunet" if settings.align is None else settings.align
    return replace(settings, align=align)


def _check_without_video(settings: PreprocessSettings) -> None:
    for item in fields(settings):
        if item.name in OF_FACES and getattr(settings, item.name) != item.default:
            flag = item.name.replace("_", "-")
            raise UsageError(f"--{flag} needs video: leave out --without video")


def _check_strict(settings: PreprocessSettings) -> None:
    """A store made without `strict` may be up to date and yet lack utterances."""
    lost = artifacts.describe(settings.output).provenance.get("losses", {}).get("lost", {})
    if settings.strict and lost:
        raise DataError(
            f"{settings.output} is up to date, but lacks "
            f"{count_of(sum(lost.values()), 'utterance')}, listed in "
            f"{losses_path(settings.output).name}"
        )


def _provenance(
    settings: PreprocessSettings, corpus: Manifest, items: Sequence[Item]
) -> Provenance:
    """Recordings are inputs too: a changed recording gives another store."""
    listed = work.manifest_input("manifest", corpus, settings.output)
    recordings = reference(
        "recordings", corpus.folder, media_content_id(corpus, items), settings.output
    )
    inputs = [listed, recordings]
    model = model_id(settings)
    if model and settings.face_model is not None:
        inputs.append(reference("face model", settings.face_model, model, settings.output))
    made = semantic(settings)
    made = {name: made[name] for name in made if name not in NEWER or made[name] is not None}
    return provenance("preprocess", made, inputs)
