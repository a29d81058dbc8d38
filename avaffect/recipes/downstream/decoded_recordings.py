"""Recordings as the stores that a classifier reads: decoded as `preprocess` does it, into a private
folder that goes when the work ends."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avaffect.core.atomic import workspace
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import ClassifierHeader, Recordings
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import provenance, reference
from avaffect.core.streams import FACE, FEATURES, WAVEFORM
from avaffect.data.items import label_specs, meta_fields
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.downstream import recording_facts
from avaffect.recipes.downstream.bundle_parts import held_face_model
from avaffect.recipes.media.decoding import Decoding, options_of
from avaffect.recipes.media.listing import Listed
from avaffect.recipes.media.preprocess_summary import summarise_sound
from avaffect.settings.extract import ExtractSettings
from avaffect.settings.predict import PredictSettings
from avaffect.settings.preprocess import PreprocessSettings

# So many recordings are decoded here: processes would take as long to start.
AUDIO_ALONE, FILMS_ALONE = 32, 3


@dataclass(frozen=True)
class Prepared:
    """What is needed to make a classifier's streams, checked before the work.

    front_ends: name of features -> front-end; own: that of features in the place of an encoder.
    """

    facts: Recordings
    audio: bool
    faces: bool
    front_ends: dict[str, str]
    own: str | None


def prepared(
    model: Path, header: ClassifierHeader, face_model: Path | None = None,
    without: Sequence[str] = (),
) -> Prepared:  # fmt: skip
    """face_model: weights of the face detector, where they are given; without: names of features
    that are not read.

    Raises DataError where a classifier reads what recordings do not give, or it is not known how
    they were preprocessed; UsageError where it needs no weights that are given.
    """
    front_ends, own = recording_facts.front_ends_of(model, header, without)
    facts = recording_facts.facts_of(model, header)
    audio = WAVEFORM in header.streams or bool(front_ends) or own is not None
    faces = FACE in header.streams
    if not audio and not faces:
        raise DataError(
            f"{model} reads {', '.join(header.streams) or 'features'}, which recordings do not "
            "give: predict from a store"
        )
    crops = facts.faces if faces else None
    holds_detector = header.bundle is not None and header.bundle.face_model
    if crops is None or crops.model is None or holds_detector:
        if face_model is not None:
            why = "holds the weights of its face detector" if holds_detector else "needs no weights"
            raise UsageError(f"--face-model {face_model}: {model} {why}; leave it out")
    else:
        recording_facts.face_model_file(model, header, crops, face_model)
    return Prepared(facts, audio, faces, front_ends, own)


@contextlib.contextmanager
def decoded(
    settings: PredictSettings,
    header: ClassifierHeader,
    prepared: Prepared,
    found: Listed,
    progress: Progress,
) -> Iterator[tuple[list[Store], dict[str, Store]]]:
    """The stores that the classifier reads, and named features, while the block lasts.

    Unusable recordings are named and counted. Raises DataError where all are unusable, or the
    features were made by another version of a package.
    """
    with workspace(Path(tempfile.gettempdir()) / "avaffect-predict") as folder:
        media = _media(settings, header, prepared, found, folder, progress)
        features = {
            name: _features(media, front_end, (header.features or {})[name], name, settings)
            for name, front_end in prepared.front_ends.items()
        }
        stores = [media]
        if prepared.own is not None:
            made = header.preprocessing.features or {}
            stores = [_features(media, prepared.own, made, FEATURES, settings)]
        yield stores, features


def _media(
    settings: PredictSettings,
    header: ClassifierHeader,
    prepared: Prepared,
    found: Listed,
    folder: Path,
    progress: Progress,
) -> Store:
    from avaffect.data import media

    corpus, items = found.corpus, found.corpus.items
    how = _preprocessing(settings, header, prepared, len(items), folder)
    options, streams = options_of(how)
    media.check_access(corpus.folder, (item["media"] for item in items))
    for name, why in found.unusable.items():
        progress.warn(f"lost {name}: {why}")
    # `source_recordings` finds the folder of the recordings by it.
    record = provenance("preprocess", {}, [reference("recordings", corpus.folder, "", how.output)])
    with store_writer(how.output, record, streams=streams, labels=label_specs(corpus)) as writer:
        work = Decoding(how, options, corpus, writer, progress)
        lost = work.decode_all(items, dict(meta_fields(items)), {})
        _report(corpus, lost.words, len(lost.lost), len(found.unusable), progress)
    summarise_sound(writer, progress)
    return Store(how.output)


def _report(corpus: Manifest, words: str, lost: int, unopened: int, progress: Progress) -> None:
    whole, bad = len(corpus) + unopened, lost + unopened
    if unopened:
        words = ", ".join(filter(None, [words, f"{unopened} that cannot be opened"]))
    if bad == whole:
        raise DataError(f"all {count_of(whole, 'recording was', 'recordings were')} lost ({words})")
    if bad:
        progress.warn(f"lost {bad} of {count_of(whole, 'recording')}: {words}")


def _preprocessing(
    settings: PredictSettings,
    header: ClassifierHeader,
    prepared: Prepared,
    count: int,
    folder: Path,
) -> PreprocessSettings:
    facts, options = prepared.facts, {}
    if prepared.faces:
        assert facts.faces is not None
        options = _face_options(settings, header, facts, folder)
    few = count <= (FILMS_ALONE if prepared.faces else AUDIO_ALONE)
    without = None
    if not (prepared.audio and prepared.faces):
        without = "video" if prepared.audio else "audio"
    return PreprocessSettings(
        output=folder / "media.h5",
        without=without,
        keep_silent=facts.keep_silent,
        channels=facts.channels if prepared.audio else None,
        audio_track=facts.audio_track if prepared.audio else None,
        jobs=1 if settings.jobs is None and few else settings.jobs,
        **options,
    )


def _face_options(
    settings: PredictSettings, header: ClassifierHeader, facts: Recordings, folder: Path
) -> dict[str, Any]:
    model, crops = settings.model, facts.faces
    assert crops is not None
    options = {
        "faces": crops.detector,
        "size": crops.size,
        "color": crops.color,
        "fps": crops.fps,
        "align": crops.align,
        "margin": crops.margin,
        "face": crops.face,
        "width": crops.width,
        "fit": crops.fit,
    }
    if crops.model is not None:
        options["face_model"] = (
            held_face_model(model, folder)
            if header.bundle and header.bundle.face_model
            else recording_facts.face_model_file(model, header, crops, settings.face_model)
        )
    return {name: value for name, value in options.items() if value is not None}


def _features(
    media: Store, front_end: str, made: dict[str, Any], name: str, settings: PredictSettings
) -> Store:
    """The features of a front-end in a store of their own."""
    from avaffect.recipes.encoding import extracting, extraction

    here = extraction.front_end_extractor(front_end).made
    if here != made:
        differing = sorted(k for k in {*here, *made} if here.get(k) != made.get(k))
        words = "; ".join(f"{k} {here.get(k)} here, {made.get(k)} there" for k in differing)
        raise DataError(
            f"{settings.model} reads {name} of {front_end}, made in another way than this program "
            f"makes them ({words})"
        )
    output = media.path.with_name(f"{name}.features.h5")
    how = ExtractSettings(media=media.path, output=output, model=front_end, device=settings.device)
    record = provenance("extract", {}, [reference("media", media.path, media.content_id, output)])
    extracting.run(how, media, None, record, Progress(), Work())
    return Store(output)
