"""`train`: the plain chain, from a labelled corpus to a model and its scores."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from avaffect.core import claims, headers, scope
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import EncoderHeader
from avaffect.core.near import meant
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import provenance
from avaffect.core.streams import FACE
from avaffect.data import manifest
from avaffect.data.corpora.common import VIDEO_SUFFIXES
from avaffect.data.items import video_of
from avaffect.data.manifest import Manifest
from avaffect.recipes.common import publishing
from avaffect.recipes.encoding.front_ends import FRONT_ENDS
from avaffect.recipes.eval_ccc import eval_ccc
from avaffect.recipes.eval_class import eval_class
from avaffect.recipes.explore import explore
from avaffect.recipes.extract import extract
from avaffect.recipes.finetune import finetune
from avaffect.recipes.predict import predict
from avaffect.recipes.preprocess import preprocess
from avaffect.recipes.report import report
from avaffect.recipes.select import select
from avaffect.recipes.split import split
from avaffect.settings.base import Common
from avaffect.settings.eval_ccc import EvalCccSettings
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.explore import ExploreSettings
from avaffect.settings.extract import ExtractSettings
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.predict import PredictSettings
from avaffect.settings.preprocess import PreprocessSettings
from avaffect.settings.report import ReportSettings
from avaffect.settings.select import SelectSettings
from avaffect.settings.spelled import command_line
from avaffect.settings.split import RECORDING, SPEAKER, SplitSettings
from avaffect.settings.train import STANDARD_INPUT, TrainSettings

EMOTION = "emotion"
FRONT_END = "mfcc"
# Kinds of labels, and what scores them.
SCORED = {"class": "eval-class", "distribution": "eval-class", "scalar": "eval-ccc"}
CONFIDENCE = 95.0
SCRIPT = "commands.sh"
MODEL = "model.safetensors"
PAGE = "report.html"
_CALLS: dict[str, Callable[[Any, Progress], Any]] = {
    "select": select, "split": split, "preprocess": preprocess, "extract": extract,
    "explore": explore, "finetune": finetune, "predict": predict, "eval-class": eval_class,
    "eval-ccc": eval_ccc, "report": report,
}  # fmt: skip


# Options in a script that change nothing in what it makes.
RUNTIME = re.compile(rb" (?:-j|--jobs|--device) \S+")


@dataclass(frozen=True)
class Step:
    """A command of the chain."""

    command: str
    settings: Common

    @property
    def scores(self) -> bool:
        return self.command in SCORED.values()

    def __str__(self) -> str:
        return command_line(self.command, self.settings)


@dataclass(frozen=True)
class Trained:
    """The steps that were run, or would be in a dry run; scores: those that score, with reports."""

    steps: list[Step]
    scores: list[tuple[Step, list[Any]]]


def train(settings: TrainSettings, progress: Progress = SILENT) -> Trained:
    """Run the steps; those that are done already are up to date.

    Raises UsageError where there is no label to learn, or several of two kinds; OutputExistsError
    where the folder is that of another training; and what the commands raise.
    """
    folder = settings.output
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder}: a file of this name exists; name a folder")
    if settings.dry_run:
        return Trained(plan(settings, manifest.read(settings.source, expect="corpus")), [])
    if settings.source == STANDARD_INPUT:
        # It can be read once, and is kept for the steps and for the next time.
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "listed.jsonl"
        _run(Step("select", SelectSettings(source=STANDARD_INPUT, output=kept)), settings, progress)
        settings = replace(settings, source=kept)
    steps = plan(settings, manifest.read(settings.source, expect="corpus"))
    folder.mkdir(parents=True, exist_ok=True)
    _keep_script(settings, steps, progress)
    if any(getattr(step.settings, "without", None) == "video" for step in steps):
        progress.say(
            "the sound is learned from, not the pictures: an --encoder that reads faces (of "
            "pretrain-mae, or of `import`: CAV-MAE, Social-MAE, AV-HuBERT) learns from both"
        )
    results = [(step, _run(step, settings, progress)) for step in steps]
    progress.say(f"{folder / PAGE} is the report; for new recordings: avaffect predict FILES "
                 f"--model {folder / MODEL}")  # fmt: skip
    return Trained(steps, [(step, found) for step, found in results if step.scores])


def plan(settings: TrainSettings, corpus: Manifest) -> list[Step]:
    """The commands for a corpus, each of which reads what those before it write."""
    folder, labels = settings.output, _labels(settings, corpus)
    kinds = _kinds(corpus)
    divided = any(item.get("split") or item.get("fold") is not None for item in corpus.items)
    if divided:
        _check_division(corpus)
    steps, source = [], settings.source
    if not divided:
        source = folder / "corpus.jsonl"
        by = settings.by or _unit(corpus)
        classes = next((name for name in labels if kinds[name] == "class"), None)
        steps.append(Step("split", SplitSettings(
            source=settings.source, by=by, stratify=classes, seed=settings.seed, output=source,
        )))  # fmt: skip
    media, model = folder / "recordings.h5", folder / MODEL
    steps.append(Step("preprocess", _decoding(settings, corpus, source, media)))
    shown = [media, folder / "explored.json"]
    steps.append(Step("explore", ExploreSettings(
        source=media, label=labels, jobs=settings.jobs, output=shown[-1]
    )))  # fmt: skip
    if settings.encoder is None:
        features, front_end = folder / "features.h5", settings.front_end or FRONT_END
        if front_end not in FRONT_ENDS:
            raise UsageError(
                f"--front-end {front_end}: front-ends are {', '.join(FRONT_ENDS)}"
                f"{meant(front_end, FRONT_ENDS)}"
            )
        steps.append(Step("extract", ExtractSettings(
            media=media, model=front_end, output=features,
        )))  # fmt: skip
        media = features
    given = {name: getattr(settings, name) for name in ("classes", "mode", "head", "epochs")}
    steps.append(Step("finetune", FinetuneSettings(
        media=(media,), encoder=settings.encoder, label=labels, runs=settings.runs, bundle=True,
        seed=settings.seed, device=settings.device, output=model,
        **{name: value for name, value in given.items() if value is not None},
    )))  # fmt: skip
    in_folds = any(item.get("fold") is not None for item in corpus.items)
    predictions = folder / "predictions.jsonl"
    steps.append(Step("predict", PredictSettings(
        media=(media,), model=model, split=None if in_folds else "test", device=settings.device,
        output=predictions,
    )))  # fmt: skip
    for label in labels:
        command = SCORED[kinds[label]]
        scores = folder / ("scores.json" if len(labels) == 1 else f"scores-{label}.json")
        steps.append(Step(command, _scoring(command, predictions, label, scores)))
        shown.append(scores)
    history = model.with_name(model.name + ".metrics.jsonl")
    steps.append(Step("report", ReportSettings(
        artifacts=(*shown, model, history), title=folder.resolve().name,
        output=folder / PAGE,
    )))  # fmt: skip
    return steps


def _check_division(corpus: Manifest) -> None:
    """Before anything is decoded. Raises DataError without a part to train on, or to score."""
    if any(item.get("fold") is not None for item in corpus.items):
        return
    there = {str(item["split"]) for item in corpus.items if item.get("split")}
    lacking = [name for name in ("train", "test") if name not in there]
    if lacking:
        raise DataError(
            f"{corpus.name}: no utterance is in the split {lacking[0]} (there are: "
            f"{', '.join(sorted(there))}); divide it anew: avaffect split M.jsonl --replace -o "
            "NEW.jsonl"
        )


def _kinds(corpus: Manifest) -> dict[str, str]:
    return {name: facts.kind or "" for name, facts in (corpus.header.labels or {}).items()}


def _labels(settings: TrainSettings, corpus: Manifest) -> tuple[str, ...]:
    """The labels to learn. Raises UsageError where they are not clear, or cannot be learned."""
    kinds = _kinds(corpus)
    learned = [name for name, kind in kinds.items() if kind in SCORED]
    if not settings.label and (EMOTION in learned or len(learned) == 1):
        return (EMOTION,) if EMOTION in learned else tuple(learned)
    if not kinds:
        raise UsageError(
            f"{corpus.name} has no label to learn: list the recordings again with their labels, "
            "from their paths (avaffect manifest folder DIR --layout '{emotion}/{speaker}_*') or "
            "a table (avaffect manifest table T.csv --media COLUMN --label emotion=COLUMN)"
        )
    if not settings.label:
        known = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
        raise UsageError(
            f"{corpus.name}: which label is to be learned? Name it with --label (it has: {known})"
        )
    for name in settings.label:
        if name not in kinds:
            raise UsageError(f"--label {name}: {corpus.name} has {', '.join(kinds) or 'no labels'}")
        if kinds[name] not in SCORED:
            raise UsageError(
                f"--label {name}: a {kinds[name]}; `train` learns labels of utterances. For values "
                "over time see avaffect-finetune(1), --window and --delay"
            )
    return settings.label


def _unit(corpus: Manifest) -> str:
    return SPEAKER if any(item.get("speaker") for item in corpus.items) else RECORDING


def _decoding(
    settings: TrainSettings, corpus: Manifest, source: Path, media: Path
) -> PreprocessSettings:
    """Faces are looked for where the encoder reads them."""
    streams = (
        () if settings.encoder is None else headers.read(settings.encoder, EncoderHeader).streams
    )
    paths = (PurePath(video_of(item)) for item in corpus.items)
    filmed = any(path.suffix.lower() in VIDEO_SUFFIXES for path in paths)
    if FACE not in streams:
        if settings.face_model is not None or settings.faces != "haar":
            raise UsageError(
                f"--faces and --face-model: {settings.encoder or 'a front-end'} reads no faces"
            )
        return PreprocessSettings(
            manifest=source, without="video" if filmed else None, jobs=settings.jobs, output=media
        )
    return PreprocessSettings(
        manifest=source, faces=settings.faces, face_model=settings.face_model, jobs=settings.jobs,
        preview=media.with_name("faces") if filmed else None, output=media,
    )  # fmt: skip


def _scoring(command: str, predictions: Path, label: str, output: Path) -> Common:
    if command == "eval-ccc":
        return EvalCccSettings(predictions=(predictions,), label=(label,), output=output)
    return EvalClassSettings(
        predictions=(predictions,), label=label, confidence=CONFIDENCE, output=output
    )


def _run(step: Step, settings: TrainSettings, progress: Progress) -> Any:
    progress.say(f"$ {step}")
    given = replace(step.settings, force=settings.force)
    with scope.of_command(given, progress):
        return _CALLS[step.command](given, progress)


def _keep_script(settings: TrainSettings, steps: list[Step], progress: Progress) -> None:
    """Raises OutputExistsError where the folder has the commands of another training; the device
    and the number of processes make none. Until a training begins, commands that failed are
    replaced: what they made is current, or its own command refuses it."""
    title = "# The commands of `avaffect train`, each with options of its own."
    lines = ["#!/bin/sh", title, "set -e", *map(str, steps), ""]
    model = settings.output / MODEL
    begun = model.exists() or claims.state_folder(model).exists()
    script = replace(settings, output=settings.output / SCRIPT, force=settings.force or not begun)
    content = "\n".join(lines).encode()

    def is_same(path: Path) -> bool:
        return RUNTIME.sub(b"", path.read_bytes()) == RUNTIME.sub(b"", content)

    publishing.publish(
        script, provenance("train", {}, []), content, progress, plan="write the commands",
        differs="has the commands of another training", is_same=is_same,
    )  # fmt: skip
