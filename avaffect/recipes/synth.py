"""`synth`: a synthetic corpus of emotional voices."""

from __future__ import annotations

from pathlib import Path

from joblib import Parallel, delayed

from avaffect.core.progress import SILENT, Progress
from avaffect.data import manifest
from avaffect.data.manifest import Item
from avaffect.data.synthetic import corpus
from avaffect.data.synthetic.corpus import Utterance
from avaffect.recipes import common
from avaffect.settings.synth import SynthSettings

POOL_DOMAIN = "B"
POOL_NEUTRAL = 0.7


def synth(settings: SynthSettings, progress: Progress = SILENT) -> None:
    """Render the utterances and write their manifest.

    Raises UsageError for what cannot be made.
    """
    emotions = tuple(name.strip() for name in settings.emotions.split(","))
    is_pool = settings.domain == POOL_DOMAIN
    neutral = settings.neutral_fraction
    if neutral is None and is_pool and "neutral" in emotions:
        neutral = POOL_NEUTRAL
    planned = corpus.plan(
        settings.domain,
        settings.utterances,
        settings.seed,
        speakers=settings.speakers,
        emotions=emotions,
        duration_s=(settings.shortest, settings.longest),
        neutral_fraction=neutral,
    )
    made = common.record("synth", settings, [])
    whole = all((settings.folder / _media(utterance)).is_file() for utterance in planned)
    plan = f"render {len(planned)} utterances into {settings.folder}"
    if (whole or settings.dry_run) and common.is_done(settings, made, progress, plan):
        return
    settings.folder.mkdir(parents=True, exist_ok=True)
    progress.start("synth", len(planned))
    written = Parallel(settings.jobs, return_as="generator")(
        delayed(corpus.write)(utterance, settings.folder) for utterance in planned
    )
    for _ in written:
        progress.advance()
    progress.finish()
    label = "hidden_emotion" if is_pool else "emotion"
    labels: dict[str, dict] = {label: {"kind": "class", "classes": list(emotions)}}
    if not is_pool:
        labels |= {name: {"kind": "scalar"} for name in ("arousal", "valence")}
    header = manifest.new_header(
        "corpus",
        base=manifest.base_for(settings.output, settings.folder),
        corpus=f"synth{settings.domain}",
        labels=labels,
        provenance=made,
    )
    manifest.write(settings.output, header, [_item(u, label) for u in planned])
    hours = sum(utterance.duration_s for utterance in planned) / 3600
    progress.say(f"{len(planned)} utterances, {hours:.2f} h, {settings.speakers} speakers")


def _media(utterance: Utterance) -> Path:
    return Path("wav") / f"{utterance.id}.wav"


def _item(utterance: Utterance, label: str) -> Item:
    labels: dict[str, str | float] = {label: utterance.emotion}
    if label == "emotion":
        labels |= {
            "arousal": round(utterance.arousal, 4),
            "valence": round(utterance.valence, 4),
        }
    return {
        "id": utterance.id,
        "media": _media(utterance).as_posix(),
        "speaker": utterance.speaker,
        "session": utterance.session,
        "labels": labels,
    }
