"""Rendering of `synth`, started only if there is work to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avaffect.core.atomic import write_text
from avaffect.core.errors import DataError, MachineFault, OutputExistsError
from avaffect.core.hashing import canonical_json
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data import manifest
from avaffect.data.manifest import Item
from avaffect.data.workers import ordered_map
from avaffect.recipes.common import publishing, work
from avaffect.recipes.media.rendered import POOL_DOMAIN, holds_anything
from avaffect.settings.base import semantic
from avaffect.settings.synth import SynthSettings
from avaffect.synthetic import clip, corpus, film, words
from avaffect.synthetic.corpus import Utterance

MARKER = "synth.json"
DIMENSIONS = ("arousal", "valence")
DIGITS = 4
# Utterances that one process renders one after the other.
NEIGHBOURS = 4


def run(settings: SynthSettings, progress: Progress) -> None:
    """Render the utterances and write their manifest.

    Raises UsageError for what cannot be made.
    """
    emotions = tuple(name.strip() for name in settings.emotions.split(","))
    is_pool = settings.domain == POOL_DOMAIN
    neutral = settings.neutral_fraction
    if settings.segments:
        emotions = tuple(name for name in emotions if name != film.CALM)
    planned = corpus.plan(
        settings.domain,
        settings.utterances,
        settings.seed,
        speakers=settings.speakers,
        emotions=emotions,
        duration_s=(settings.shortest, settings.longest),
        neutral_fraction=neutral,
        name=settings.name,
    )
    made = work.record("synth", settings, [])
    files = [f for u in planned for f in _files(settings, u) if f]
    whole = all(holds_anything(settings.folder / file) for file in files)
    plan = f"render {count_of(len(planned), 'utterance')} into {settings.folder}"
    _check_folder(settings)
    if publishing.is_done(settings, made, progress, plan) and (whole or settings.dry_run):
        return
    settings.folder.mkdir(parents=True, exist_ok=True)
    write_text(settings.folder / MARKER, _people(settings) + "\n")
    progress.start("synth", len(planned))
    parts = list(_parts(planned, settings))
    with contextlib.closing(ordered_map(_write, parts, _jobs(settings, parts), _crashed)) as done:
        for count in done:
            progress.advance(count)
    progress.finish()
    label = "hidden_emotion" if is_pool else "emotion"
    described: dict[str, Any] = {label: {"kind": "class", "classes": list(emotions)}}
    if settings.segments:
        described["highlight"] = {"kind": "trace", "rate_hz": 1 / film.SEGMENT_S}
        described["expression"] = {
            "kind": "trace", "rate_hz": film.EXPRESSION_HZ, "classes": list(corpus.EMOTIONS),
        }  # fmt: skip
    header = manifest.new_header(
        "corpus",
        base=manifest.base_for(settings.output, settings.folder),
        corpus=settings.name or f"synth{settings.domain}",
        labels={**described, **_dimensions(settings)},
        provenance=made,
    )
    manifest.write(settings.output, header, [_item(settings, u, label) for u in planned])
    seconds = [settings.segments * film.SEGMENT_S or u.duration_s for u in planned]
    hours = sum(seconds) / 3600
    progress.say(
        f"{count_of(len(planned), 'utterance')}, {hours:.2f} h, "
        f"{count_of(settings.speakers, 'speaker')}"
    )


@dataclass(frozen=True)
class _Part:
    """Utterances of one speaker, whose face is drawn once for all of them."""

    utterances: Sequence[Utterance]
    settings: SynthSettings

    def __str__(self) -> str:
        return f"{self.utterances[0].id} and the {len(self.utterances) - 1} after it"


def _parts(planned: Sequence[Utterance], settings: SynthSettings) -> Iterator[_Part]:
    # Processes may have another working folder.
    placed = replace(settings, folder=settings.folder.absolute())
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in planned:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    for _, own in sorted(by_speaker.items()):
        for start in range(0, len(own), NEIGHBOURS):
            yield _Part(own[start : start + NEIGHBOURS], placed)


def _jobs(settings: SynthSettings, parts: Sequence[_Part]) -> int:
    import joblib

    return min(int(joblib.effective_n_jobs(settings.jobs)), len(parts))


def _crashed(part: _Part) -> int:
    raise MachineFault(f"{part}: rendering crashed its process twice; run the same command again")


def _write(part: _Part) -> int:
    """Render the utterances of a part; returns their number."""
    for utterance in part.utterances:
        _write_one(utterance, part.settings)
    return len(part.utterances)


def _write_one(utterance: Utterance, settings: SynthSettings) -> None:
    if settings.segments:
        film.write(
            film.of(utterance, settings.segments), settings.folder, settings.modality == "av",
            settings.words,
        )  # fmt: skip
        return
    write = clip.write if settings.modality == "av" else corpus.write
    write(utterance, settings.folder)
    if _has_traces(settings):
        corpus.write_traces(utterance, settings.folder, settings.trace_rate)


def _people(settings: SynthSettings) -> str:
    """All that an utterance's recording depends on, besides its number."""
    facts = {k: v for k, v in semantic(settings).items() if k != "utterances"}
    return canonical_json(facts)


def _check_folder(settings: SynthSettings) -> None:
    """Files of another seed have the same names: they are not mixed or replaced without --force."""
    marker = settings.folder / MARKER
    if settings.folder.exists() and not settings.folder.is_dir():
        raise DataError(f"{settings.folder} is a file; give a folder for the recordings")
    known = marker.read_text(encoding="utf-8").strip() if marker.exists() else None
    if known not in (None, _people(settings)) and not settings.force:
        raise OutputExistsError(
            f"{settings.folder} has the recordings of another corpus; give another folder, or "
            "replace them with --force"
        )


def _media(settings: SynthSettings, utterance: Utterance) -> Path:
    return (clip if settings.modality == "av" else corpus).path_of(utterance)


def _files(settings: SynthSettings, utterance: Utterance) -> tuple[Path | None, ...]:
    """What is written of an utterance; None: nothing."""
    transcript = None if settings.words is None else words.path_of(utterance.id)
    return _media(settings, utterance), _traces(settings, utterance), transcript


def _has_traces(settings: SynthSettings) -> bool:
    """A pool's truth is kept from those who read its manifest; films have no trace of arousal."""
    return settings.domain != POOL_DOMAIN and not settings.segments


def _traces(settings: SynthSettings, utterance: Utterance) -> Path | None:
    return corpus.traces_path(utterance) if _has_traces(settings) else None


def _dimensions(settings: SynthSettings) -> dict[str, dict[str, Any]]:
    """How the manifest describes arousal and valence, over time and their means."""
    if not _has_traces(settings):
        return {}
    trace = {"kind": "trace", "rate_hz": settings.trace_rate}
    means = {f"{name}_mean": {"kind": "scalar"} for name in DIMENSIONS}
    return {**dict.fromkeys(DIMENSIONS, trace), **means}


def _item(settings: SynthSettings, utterance: Utterance, label: str) -> Item:
    labels: dict[str, Any] = {label: utterance.emotion}
    if settings.segments:
        shown = film.of(utterance, settings.segments)
        labels["highlight"], labels["expression"] = list(shown.highlights), shown.expressions
    if _has_traces(settings):
        trajectory = corpus.trajectory(utterance, settings.trace_rate)
        for name, values in zip(DIMENSIONS, trajectory.T.tolist(), strict=True):
            labels[name] = [round(value, DIGITS) for value in values]
            labels[f"{name}_mean"] = round(getattr(utterance, name), DIGITS)
    item = {
        "id": utterance.id,
        "media": _media(settings, utterance).as_posix(),
        "speaker": utterance.speaker,
        "session": utterance.session,
        "labels": labels,
    }
    traces = _traces(settings, utterance)
    if traces is not None:
        item["traces"] = traces.as_posix()
    if settings.words is not None:
        item["transcript"] = words.path_of(utterance.id).as_posix()
    mishap = clip.mishap(utterance) if settings.modality == "av" else ""
    if mishap:
        item["mishap"] = mishap
    return item
