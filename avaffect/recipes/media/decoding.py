"""Decoding of a corpus into an open store: shared by `preprocess` and `predict`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data.faces.options import FaceOptions
from avaffect.data.items import audio_of, labels_of, lasts_otherwise, parse_channels, video_of
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.statistics import pixel_statistics
from avaffect.data.store.writer import StoreWriter
from avaffect.recipes.common import training_run
from avaffect.recipes.media.preprocess_summary import APART_S, Found
from avaffect.settings.preprocess import PreprocessSettings

# Decoders and face detectors are imported with the work.
if TYPE_CHECKING:
    from avaffect.data.faces.preview import Preview
    from avaffect.data.media import Decoded, DecodingOptions, Lost

NAMED = 20
# An audio file without video is normal: counted, not listed.
USUAL = "no picture"


def options_of(settings: PreprocessSettings) -> tuple[DecodingOptions, dict[str, StreamSpec]]:
    """The decoding options, and the streams that result."""
    from avaffect.data.media import WAVEFORM_SPEC, DecodingOptions

    audio = settings.without != "audio"
    streams = {WAVEFORM: WAVEFORM_SPEC} if audio else {}
    channels = chosen_channels(settings)
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
        width=settings.width,
        pad=settings.fit == "pad",
    )
    if faces.detector == "yunet":
        from avaffect.data.faces.detection import check_model

        check_model(faces.model)
    streams |= faces.streams(model_id(settings))
    options = DecodingOptions(audio, settings.keep_silent, channels, settings.audio_track, faces)
    return options, streams


def chosen_channels(settings: PreprocessSettings) -> tuple[int, ...]:
    if settings.channels is None:
        return ()
    if settings.without == "audio":
        raise UsageError("--channels needs audio: leave out --without audio")
    try:
        return parse_channels(settings.channels)
    except ValueError as error:
        raise UsageError(f"--channels {error}") from error


def model_id(settings: PreprocessSettings) -> str | None:
    if settings.face_model is None:
        return None
    if not settings.face_model.is_file():
        raise DataError(f"--face-model {settings.face_model}: no such file")
    return "sha256:" + hashlib.sha256(settings.face_model.read_bytes()).hexdigest()


def sources_of(settings: PreprocessSettings, item: Item) -> list[str]:
    """The recordings that an utterance is decoded from."""
    audio = "" if settings.without == "audio" else audio_of(item)
    video = "" if settings.without == "video" else video_of(item)
    return [name for name in (audio, video) if name]


def source_of(settings: PreprocessSettings, item: Item) -> str:
    """The recording that names an utterance."""
    audio, video = audio_of(item), video_of(item)
    return video or audio if settings.without == "audio" else audio or video


@dataclass
class Decoding:
    """One run: decodes, adds to the store, counts.

    listed: the file that will list unusable items, for messages; None where there is none.
    """

    settings: PreprocessSettings
    options: DecodingOptions
    corpus: Manifest
    writer: StoreWriter
    progress: Progress
    preview: Preview | None = None
    listed: Path | None = None
    found: Found = field(default_factory=Found)

    def decode_all(
        self, items: Sequence[Item], columns: dict[str, Sequence[Any]], specs: dict[str, LabelSpec]
    ) -> Found:
        from avaffect.data import media

        previewed = self._previewed(len(items))
        self.progress.start("preprocess", len(items))
        first = self._take_up(items)
        rest = items[first:]
        jobs, backend = self.settings.jobs, self.settings.backend
        if backend is None:
            jobs = min(jobs or _cores(), len(rest) or 1)
        shown = {row - first for row in previewed}
        results = media.decode_items(
            self.corpus.folder, rest, self.writer.folder, jobs or -1, self.options, shown, backend
        )
        with contextlib.closing(results):
            for row, (item, result) in enumerate(zip(rest, results), first):
                if isinstance(result, media.Lost):
                    self._lose(item, result)
                    self.writer.done({"lost": asdict(result)})
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

    def _take_up(self, items: Sequence[Item]) -> int:
        """Count what an earlier process decoded; returns the number of its items."""
        from avaffect.data.media import Lost

        first = len(self.writer.resumed)
        for item, facts in zip(items, self.writer.resumed):
            if "lost" in facts:
                self._lose(item, Lost(**facts["lost"]))
            else:
                self._count(item, facts)
        self.progress.advance(first, lost=len(self.found.lost))
        training_run.say_resumed(first, self.progress)
        if first and self.preview:
            self.progress.warn("the preview lacks what an earlier process decoded")
        return first

    def _count(self, item: Item, facts: dict[str, Any]) -> None:
        """Count and report what is to be said of a decoded utterance."""
        from avaffect.data.media import Lost

        for what, why in facts["without"].items():
            if why is not None:
                self._without(item, what, Lost(**why))
        shown_s = facts["face_frames"] / self.settings.fps
        if facts["audio_s"] and shown_s and abs(facts["audio_s"] - shown_s) > APART_S:
            self.found.apart.append(item["id"])
        if facts["mislabelled"]:
            self.found.mislabelled.append(item["id"])
        if facts["sums"]:
            from avaffect.data.faces.spool import Sums

            self.found.join(Sums(**facts["sums"]))
        for note in facts["notes"]:
            self._note(item, note)

    def _previewed(self, count: int) -> set[int]:
        if self.preview is None:
            return set()
        from avaffect.data.faces.preview import shown_rows

        return shown_rows(count)

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
                "source": source_of(self.settings, item),
                "start_s": float(item.get("start") or 0.0),
                "duration_s": result.duration_s,
                "damaged_packets": result.damaged_packets,
                "filled_s": result.filled_s,
                **result.facts,
                "without_sound": result.without_audio.reason if result.without_audio else "",
                "without_face": result.without_face.reason if result.without_face else "",
                **video,
            },
        )
        facts = _facts(result)
        facts["mislabelled"] = lasts_otherwise(labels, self.writer.labels, result.duration_s)
        self.writer.done(facts)
        self._count(item, facts)
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
        source = source_of(self.settings, item)
        return f"{item['id']} ({source})" if source not in ("", item["id"]) else item["id"]

    def _without(self, item: Item, what: str, why: Lost) -> None:
        """Count and report an utterance that lacks a modality."""
        self.found.without[what][why.reason] += 1
        if why.reason != USUAL:
            if self.found.named < NAMED:
                self.progress.warn(f"without {what}: {item['id']}: {why}")
            elif self.found.named == NAMED and self.listed:
                self.progress.warn(f"further ones: see the field without_{what} of the store")
            self.found.named += 1

    def _lose(self, item: Item, lost: Lost) -> None:
        name = f"{self._name(item)}: {lost}"
        if self.settings.strict:
            raise DataError(f"{name}; without --strict it would be skipped")
        if len(self.found.lost) < NAMED:
            self.progress.warn(f"lost {name}")
        elif len(self.found.lost) == NAMED:
            listed = f"; all are listed in {self.listed}" if self.listed else ""
            self.progress.warn(f"more were lost{listed}")
        self.found.lost.append((item, lost))

    def _set_statistics(self) -> None:
        sums = self.found.sums
        if sums is not None and sums.frames:
            assert self.options.faces is not None
            height, width, _ = self.options.faces.shape
            statistics = pixel_statistics(sums.frames, sums.total, sums.squares, height * width)
            self.writer.set_statistics(FACE, statistics)


def _facts(result: Decoded) -> dict[str, Any]:
    """What is counted of a decoded utterance, JSON-able."""
    without = {"sound": result.without_audio, "face": result.without_face}
    return {
        "audio_s": result.audio_s,
        "face_frames": result.counts.get("face_frames", 0),
        "without": {what: why and asdict(why) for what, why in without.items()},
        "sums": result.sums and asdict(result.sums),
        "notes": result.notes,
    }


def _cores() -> int:
    import joblib

    return int(joblib.cpu_count())


def _shown(item: Item, result: Decoded | Lost) -> tuple[str, Any]:
    """Title and frames of an utterance on a contact sheet."""
    from avaffect.data.media import Lost

    if isinstance(result, Lost):
        return f"{item['id']}\nlost: {result.reason}", None
    if result.without_face:
        return f"{item['id']}\nno face: {result.without_face.reason}", None
    absent, frames = result.counts["faces_absent"], result.counts["face_frames"]
    return f"{item['id']}\n{frames - absent} of {count_of(frames, 'frame')}", result.samples
