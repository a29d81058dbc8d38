"""`preprocess`: from recordings to a store; unusable files are skipped, counted and listed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.launch import Shard, parse_shard
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, provenance, reference
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data import artifacts, manifest
from avaffect.data.faces.options import FaceOptions
from avaffect.data.items import (
    audio_of,
    label_specs,
    labels_of,
    lasts_otherwise,
    meta_fields,
    parse_channels,
    video_of,
)
from avaffect.data.manifest import Item, Manifest
from avaffect.data.recordings import media_content_id
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.statistics import pixel_statistics
from avaffect.data.store.writer import StoreWriter, store_writer
from avaffect.recipes.common import publishing
from avaffect.recipes.media.preprocess_summary import (
    APART_S,
    Found,
    lacks_crashed,
    list_losses,
    losses_path,
    summarise,
    summarise_faces,
    summarise_sound,
)
from avaffect.settings.base import semantic
from avaffect.settings.preprocess import PreprocessSettings

# Decoders and face detectors are imported with the work.
if TYPE_CHECKING:
    from avaffect.data.faces.preview import Preview
    from avaffect.data.media import Decoded, DecodingOptions, Lost

NAMED = 20
# Options of face detection and cropping.
OF_FACES = ("faces", "face_model", "align", "size", "color", "fps", "margin", "face")
# Settings that stores of version 1.0 do not have: left out if they are not set, so that these
# stores stay up to date.
NEWER = ("audio_track", "channels")
# An audio file without video is normal: counted, not listed.
USUAL = "no picture"


def preprocess(settings: PreprocessSettings, progress: Progress = SILENT) -> Path:
    """Decode the recordings of a corpus manifest into a store; returns its path.

    Raises DataError if a recording is unusable with `strict`, or all are; nothing is written then.
    """
    settings = _checked(settings)
    shard = parse_shard(settings.shard) or Shard(0, 1)
    corpus = manifest.read(settings.manifest, expect="corpus")
    items = shard.of(corpus.items)
    _channels(settings)
    record = _provenance(settings, corpus, items)
    force = settings.force or lacks_crashed(settings.output, record, progress)
    if publishing.is_current(replace(settings, force=force), record, progress):
        _check_strict(settings)
        if settings.preview:
            progress.warn("no preview: it is drawn during decoding; --force decodes again")
        return settings.output
    from avaffect.data import media
    from avaffect.data.faces.preview import Preview

    options, streams = _options(settings)
    specs = label_specs(corpus)
    # Decoding takes hours: errors of labels are reported before.
    for item in items:
        labels_of(item, specs)
    if settings.dry_run:
        sources = {name for item in items for name in _sources(settings, item)}
        absent = sum(not (corpus.folder / name).is_file() for name in sources)
        progress.say(
            f"would decode {len(items)} utterances of {corpus.name} into {settings.output}; "
            f"{absent} recordings are missing"
        )
        return settings.output
    media.check_access(corpus.folder, (n for item in items for n in _sources(settings, item)))
    columns = {name: shard.of(values) for name, values in meta_fields(corpus.items).items()}
    with store_writer(settings.output, record, streams=streams, labels=specs) as writer:
        work = _Work(settings, options, corpus, writer, Preview.into(settings.preview), progress)
        found = work.decode_all(items, columns, specs)
        if items and not writer.ids:
            raise DataError(f"all {len(items)} utterances of {corpus.name} were lost "
                            f"({found.words}); nothing was written")  # fmt: skip
        list_losses(settings.output, corpus, found, record)
        counts = {"found": len(items), "kept": len(writer.ids), "lost": found.counts}
        writer.provenance["losses"] = counts
        hours = sum(writer.column("duration_s")) / 3600
        missing = {name: writer.missing(name) for name in specs}
    summarise(settings.output, counts, hours, missing, found, progress)
    summarise_sound(writer, progress)
    summarise_faces(writer, work.preview, progress)
    return settings.output


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


def _options(settings: PreprocessSettings) -> tuple[DecodingOptions, dict[str, StreamSpec]]:
    """The decoding options, and the streams that result."""
    from avaffect.data.faces.detection import check_model
    from avaffect.data.media import WAVEFORM_SPEC, DecodingOptions

    audio = settings.without != "audio"
    streams = {WAVEFORM: WAVEFORM_SPEC} if audio else {}
    channels = _channels(settings)
    if settings.without == "video":
        return DecodingOptions(audio, settings.keep_silent, channels, settings.audio_track), streams
    faces = FaceOptions(
        detector=settings.faces,
        model=settings.face_model,
        align=bool(settings.align),
        size=settings.size,
        colour=settings.color == "rgb",
        fps=settings.fps,
        margin=settings.margin,
        which=settings.face,
    )
    if faces.detector == "yunet":
        check_model(faces.model)
    streams |= faces.streams(_model_id(settings))
    options = DecodingOptions(audio, settings.keep_silent, channels, settings.audio_track, faces)
    return options, streams


def _channels(settings: PreprocessSettings) -> tuple[int, ...]:
    if settings.channels is None:
        return ()
    if settings.without == "audio":
        raise UsageError("--channels needs audio: leave out --without audio")
    try:
        return parse_channels(settings.channels)
    except ValueError as error:
        raise UsageError(f"--channels {error}") from error


def _model_id(settings: PreprocessSettings) -> str | None:
    if settings.face_model is None:
        return None
    return "sha256:" + hashlib.sha256(settings.face_model.read_bytes()).hexdigest()


def _check_strict(settings: PreprocessSettings) -> None:
    """A store made without `strict` may be up to date and yet lack utterances."""
    lost = artifacts.describe(settings.output).provenance.get("losses", {}).get("lost", {})
    if settings.strict and lost:
        raise DataError(
            f"{settings.output} is up to date, but lacks {sum(lost.values())} utterances, listed "
            f"in {losses_path(settings.output).name}"
        )


def _provenance(
    settings: PreprocessSettings, corpus: Manifest, items: Sequence[Item]
) -> Provenance:
    """Recordings are inputs too: a changed recording gives another store."""
    if corpus.path is None:
        listed = {"role": "manifest", "path": "", "content_id": corpus.content_id}
    else:
        listed = reference("manifest", corpus.path, corpus.content_id, settings.output)
    recordings = reference(
        "recordings", corpus.folder, media_content_id(corpus, items), settings.output
    )
    inputs = [listed, recordings]
    model = _model_id(settings)
    if model and settings.face_model is not None:
        inputs.append(reference("face model", settings.face_model, model, settings.output))
    made = semantic(settings)
    made = {name: made[name] for name in made if name not in NEWER or made[name] is not None}
    return provenance("preprocess", made, inputs)


def _sources(settings: PreprocessSettings, item: Item) -> list[str]:
    """The recordings that an utterance is decoded from."""
    audio = "" if settings.without == "audio" else audio_of(item)
    video = "" if settings.without == "video" else video_of(item)
    return [name for name in (audio, video) if name]


def _source(settings: PreprocessSettings, item: Item) -> str:
    """The recording that names an utterance."""
    audio, video = audio_of(item), video_of(item)
    return video or audio if settings.without == "audio" else audio or video


@dataclass
class _Work:
    """One run: decodes, adds to the store, counts."""

    settings: PreprocessSettings
    options: DecodingOptions
    corpus: Manifest
    writer: StoreWriter
    preview: Preview | None
    progress: Progress
    found: Found = field(default_factory=Found)

    def decode_all(
        self, items: Sequence[Item], columns: dict[str, Sequence[Any]], specs: dict[str, LabelSpec]
    ) -> Found:
        import joblib

        from avaffect.data import media
        from avaffect.data.faces.preview import shown_rows

        jobs = min(self.settings.jobs or joblib.cpu_count(), len(items) or 1)
        previewed = shown_rows(len(items)) if self.preview else set()
        self.progress.start("preprocess", len(items))
        results = media.decode_items(
            self.corpus.folder, items, self.writer.folder, jobs, self.options, previewed
        )
        with contextlib.closing(results):
            for row, (item, result) in enumerate(zip(items, results)):
                if isinstance(result, media.Lost):
                    self._lose(item, result)
                else:
                    meta = {name: values[row] for name, values in columns.items()}
                    self._add(item, result, labels_of(item, specs), meta)
                if self.preview and row in previewed:
                    self.preview.add(*_shown(item, result))
                self.progress.advance(1, lost=len(self.found.lost))
        self.progress.finish()
        if self.preview:
            self.preview.finish()
        self._set_statistics()
        return self.found

    def _add(
        self, item: Item, result: Decoded, labels: dict[str, Any], meta: dict[str, Any]
    ) -> None:
        from avaffect.data.media import FACE_COUNTS

        video: dict[str, Any] = {}
        if self.options.faces:
            counts = {name: result.counts.get(name, 0) for name in FACE_COUNTS}
            video = {"video_source": video_of(item), **counts}
        self.writer.add(
            item["id"],
            streams=dict(result.streams),
            labels=labels,
            meta={
                **meta,
                "source": _source(self.settings, item),
                "start_s": float(item.get("start") or 0.0),
                "duration_s": result.duration_s,
                "damaged_packets": result.damaged_packets,
                "filled_s": result.filled_s,
                **result.facts,
                "without_sound": self._without(item, "sound", result.without_audio),
                "without_face": self._without(item, "face", result.without_face),
                **video,
            },
        )
        shown_s = result.counts.get("face_frames", 0) / self.settings.fps
        if result.audio_s and shown_s and abs(result.audio_s - shown_s) > APART_S:
            self.found.apart.append(item["id"])
        if lasts_otherwise(labels, self.writer.labels, result.duration_s):
            self.found.mislabelled.append(item["id"])
        if result.sums:
            self.found.sums.join(result.sums)
        for note in result.notes:
            self._note(item, note)
        for path in result.streams.values():
            path.unlink()

    def _note(self, item: Item, note: str) -> None:
        """Report a remark on the decoding of an utterance."""
        if self.found.noted < NAMED:
            self.progress.warn(f"{self._name(item)}: {note}")
        elif self.found.noted == NAMED:
            self.progress.warn("the same remark on further recordings is not shown")
        self.found.noted += 1

    def _name(self, item: Item) -> str:
        """An utterance's id, and its recording if the name differs."""
        source = _source(self.settings, item)
        return f"{item['id']} ({source})" if source not in ("", item["id"]) else item["id"]

    def _without(self, item: Item, what: str, why: Lost | None) -> str:
        """Count and report an utterance that lacks a modality; the reason, or ""."""
        if why is None:
            return ""
        self.found.without[what][why.reason] += 1
        if why.reason != USUAL:
            if self.found.named < NAMED:
                self.progress.warn(f"without {what}: {item['id']}: {why}")
            elif self.found.named == NAMED:
                self.progress.warn(f"further ones: see the field without_{what} of the store")
            self.found.named += 1
        return why.reason

    def _lose(self, item: Item, lost: Lost) -> None:
        name = f"{self._name(item)}: {lost}"
        if self.settings.strict:
            raise DataError(f"{name}; without --strict it would be skipped")
        if len(self.found.lost) < NAMED:
            self.progress.warn(f"lost {name}")
        elif len(self.found.lost) == NAMED:
            listed = losses_path(self.settings.output)
            self.progress.warn(f"more were lost; all are listed in {listed}")
        self.found.lost.append((item, lost))

    def _set_statistics(self) -> None:
        sums = self.found.sums
        if sums.frames:
            assert self.options.faces is not None
            pixels = self.options.faces.size**2
            statistics = pixel_statistics(sums.frames, sums.total, sums.squares, pixels)
            self.writer.set_statistics(FACE, statistics)


def _shown(item: Item, result: Decoded | Lost) -> tuple[str, Any]:
    """Title and frames of an utterance on a contact sheet."""
    from avaffect.data.media import Lost

    if isinstance(result, Lost):
        return f"{item['id']}\nlost: {result.reason}", None
    if result.without_face:
        return f"{item['id']}\nno face: {result.without_face.reason}", None
    absent, frames = result.counts["faces_absent"], result.counts["face_frames"]
    return f"{item['id']}\n{frames - absent} of {frames} frames", result.samples
