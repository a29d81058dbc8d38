"""The catalogue: one table of commands, whose modules are imported when a command is called.

A command of another distribution is an entry point of the group `avaffect.commands`: its name is
the command's, its value the `Command` (`package.module:COMMAND`). It costs nothing until it is
called or listed.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avaffect.core.errors import AvaffectError
from avaffect.settings.by_command import module_of, reference_of

ENTRY_POINTS = "avaffect.commands"

START = "To begin with"
CORPORA = "Corpora"
STORES = "Stores"
PRETRAINING = "Pre-training"
ADAPTATION = "Adaptation"
DOWNSTREAM = "Downstream"
SCORING = "Scoring"
ARTIFACTS = "Artifacts"
# In the order of the work.
GROUPS = (START, CORPORA, STORES, PRETRAINING, ADAPTATION, DOWNSTREAM, SCORING, ARTIFACTS)


@dataclass(frozen=True)
class Input:
    """The standard input of a command: the field of its settings that may be `-`, a description of
    its content, and a shell line that provides it ({} is the command)."""

    field: str
    content: str
    line: str


@dataclass(frozen=True)
class Command:
    """A subcommand. `settings` and `call` are `module:name`, imported when the command is called:
    the settings class, and a function of the settings and a Progress.

    help: one line. writes: the kind of the output, a key of `settings.outputs.SUFFIXES`; None if it
    depends on the input.
    """

    name: str
    group: str
    help: str
    settings: str
    call: str
    writes: str | None = None
    reads: Input | None = None


def imported(reference: str) -> Any:
    """The object that `module:name` names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _ours(
    name: str,
    group: str,
    help: str,
    writes: str | None = None,
    reads: Input | None = None,
    *,
    call: str | None = None,
) -> Command:
    """A command of this package: `pretrain-apc` has `PretrainApcSettings` in
    `settings/pretrain_apc.py` and `pretrain_apc` in `recipes/pretrain_apc.py`, unless `call` names
    another function, such as one in `cli/show/` that prints what the recipe returns."""
    module = module_of(name)
    return Command(
        name, group, help,
        settings=reference_of(name),
        call=f"avaffect.{call or f'recipes.{module}:{module}'}",
        writes=writes, reads=reads,
    )  # fmt: skip


_FROM_CORPUS = "avaffect manifest CORPUS DIR | avaffect {}"
_CORPUS = Input("source", "a manifest of a corpus", _FROM_CORPUS)
_FROM_RETRIEVAL = "avaffect retrieve --query A.h5 --pool B.h5 | avaffect {}"
_RETRIEVAL = "a manifest of a retrieval"

_COMMANDS = (
    _ours("train", START, "From a labelled corpus to a model and its scores.",
          None, _CORPUS, call="cli.show.train:show"),
    _ours("manifest", CORPORA, "List a corpus: media files, labels, speakers, splits.",
          "manifest",
          Input("source", "a table", "cat TABLE.csv | avaffect {} table - --media COLUMN"),
          call="recipes.manifest:make_manifest"),
    _ours("synth", CORPORA, "Generate a synthetic corpus of talking faces.", "manifest"),
    _ours("split", CORPORA, "Assign speaker- or session-disjoint splits or folds.",
          "manifest", _CORPUS),
    _ours("select", CORPORA, "Keep the items of a manifest that meet conditions.",
          "manifest", _CORPUS),
    _ours("seal", CORPORA, "Close a manifest after a filter such as jq or grep.", "manifest",
          Input("source", "the output of a filter of a manifest",
                "jq -c FILTER M.jsonl | avaffect {}")),
    _ours("explore", CORPORA, "Look at labels, sound and duplicates before a training.", "report",
          _CORPUS, call="cli.show.explore:show"),
    _ours("preprocess", STORES, "Decode recordings; resample audio, crop faces.", "store",
          Input("manifest", _CORPUS.content, _FROM_CORPUS)),
    _ours("augment-noise", STORES, "Add noise to speech at a given signal-to-noise ratio.",
          "store"),
    _ours("extract", STORES, "Compute features, units or embeddings.", "store"),
    _ours("extract-text", STORES, "Encode the words of timed transcripts.", "store"),
    _ours("import-features", STORES, "Import features that other tools computed.", "store"),
    _ours("cluster", PRETRAINING, "Fit a k-means quantiser of MFCCs or of an encoder's layer.",
          "checkpoint"),
    _ours("pretrain-hubert", PRETRAINING,
          "Pre-train HuBERT or AV-HuBERT: masked prediction of units.", "checkpoint"),
    _ours("pretrain-apc", PRETRAINING,
          "Pre-train on audio: autoregressive predictive coding (APC).", "checkpoint"),
    _ours("pretrain-cpc", PRETRAINING,
          "Pre-train on audio: contrastive predictive coding (CPC).", "checkpoint"),
    _ours("pretrain-pase", PRETRAINING,
          "Pre-train on audio: regress waveform and features (PASE).", "checkpoint"),
    _ours("pretrain-odd", PRETRAINING,
          "Pre-train on audio: detect swapped windows (Odd-One-Out).", "checkpoint"),
    _ours("pretrain-l1", PRETRAINING,
          "Pre-train on audio and video: animate a still face (L1).", "checkpoint"),
    _ours("pretrain-lira", PRETRAINING,
          "Pre-train on audio and video: predict the audio (LiRA).", "checkpoint"),
    _ours("pretrain-mae", PRETRAINING,
          "Pre-train on audio and video: autoencoding (Social-MAE).", "checkpoint"),
    _ours("pretrain-byol", PRETRAINING,
          "Pre-train on video: predict one view from another (BYOL).", "checkpoint"),
    _ours("pretrain-dino", PRETRAINING,
          "Pre-train on video: local-to-global distillation (DINO).", "checkpoint"),
    _ours("import", PRETRAINING,
          "Convert published weights (HuBERT, Whisper, CAV-MAE, VAVL).", "checkpoint"),
    _ours("train-projector", ADAPTATION, "Train the emotion-aware projector.", "checkpoint"),
    _ours("similarity", ADAPTATION, "Compute cosine similarities of queries and a pool.", "store"),
    _ours("retrieve", ADAPTATION, "Draw pool utterances for each query by softmax similarity.",
          "manifest"),
    _ours("adapt", ADAPTATION, "Adapt an encoder on labelled and retrieved utterances.",
          "checkpoint", Input("manifest", _RETRIEVAL, _FROM_RETRIEVAL),
          call="cli.show.adapt:show"),
    _ours("gallery", ADAPTATION, "Render each query with its retrieved clips.", None,
          Input("retrieval", _RETRIEVAL, _FROM_RETRIEVAL), call="recipes.gallery:make_gallery"),
    _ours("finetune", DOWNSTREAM, "Train a classifier or regressor on an encoder.",
          "checkpoint"),
    _ours("merge-lora", DOWNSTREAM, "Fold adapters of finetune --mode lora into their encoder.",
          "checkpoint"),
    _ours("bundle", DOWNSTREAM, "Write a classifier that needs no other file.", "checkpoint"),
    _ours("predict", DOWNSTREAM, "Apply a fine-tuned model to recordings or stores.",
          call="cli.show.predict:show"),
    _ours("eval-class", SCORING, "Score predicted classes: accuracy, UA, F1, confusion.",
          "report",
          Input("predictions", "a manifest of predictions",
                "avaffect predict A.h5 --model ER.safetensors | avaffect {}"),
          call="cli.show.eval_class:show"),
    _ours("eval-ccc", SCORING, "Score predicted traces: CCC, Pearson, RMSE, MAE.", "report",
          Input("predictions", "a manifest of traces", "cat M.jsonl | avaffect {} --gold GOLD"),
          call="cli.show.eval_ccc:show"),
    _ours("eval-rank", SCORING, "Score rankings over time: mean average precision (mAP).",
          "report",
          Input("predictions", "a manifest of scores over time",
                "cat M.jsonl | avaffect {} --gold GOLD"),
          call="cli.show.eval_rank:show"),
    _ours("eval-embeddings", SCORING, "Score and draw classes in vectors: Davies-Bouldin, t-SNE.",
          "report", call="cli.show.eval_embeddings:show"),
    _ours("compare", SCORING, "Compare reports: mean, standard deviation, t-tests.", "report",
          Input("reports", "reports",
                "avaffect eval-class A.jsonl B.jsonl --json | avaffect {}"),
          call="cli.show.compare:show"),
    _ours("report", SCORING, "Write one page (HTML) of all that artifacts hold."),
    _ours("info", ARTIFACTS, "Describe manifests, stores and checkpoints.",
          call="cli.show.info:show"),
    _ours("lineage", ARTIFACTS, "List what artifacts were made from; write a Makefile.",
          call="cli.show.lineage:show"),
    _ours("check", ARTIFACTS, "Verify that artifacts are complete and uncorrupted.",
          call="cli.show.check:show"),
    _ours("monitor", ARTIFACTS, "Follow trainings: losses, scores, time left; TensorBoard.",
          call="cli.show.monitor:show"),
    _ours("doctor", ARTIFACTS, "Look whether avaffect works here, and what mends it.",
          call="cli.show.doctor:show"),
    _ours("export", ARTIFACTS, "Write an artifact in a format of other programs.",
          reads=Input("artifact", "a manifest", _FROM_CORPUS + " --to FORMAT -o OUT")),
    _ours("merge", ARTIFACTS, "Join stores (the shards of a job array) or manifests."),
)  # fmt: skip

COMMANDS = {command.name: command for command in _COMMANDS}
"""Of this package, by name, in the order of the groups."""


def find(name: str) -> Command | None:
    """The command of this name, here or of another distribution."""
    if name in COMMANDS:
        return COMMANDS[name]
    return _of_others(name).get(name)


def every() -> dict[str, Command]:
    """All commands by name, those of other distributions last."""
    return {**COMMANDS, **_of_others()}


def grouped() -> dict[str, list[Command]]:
    """All commands by group, those of other distributions last."""
    groups: dict[str, list[Command]] = {group: [] for group in GROUPS}
    for command in [*COMMANDS.values(), *_of_others().values()]:
        groups.setdefault(command.group, []).append(command)
    return groups


def _of_others(name: str | None = None) -> dict[str, Command]:
    """Commands of other distributions, or only the command `name`; ours cannot be replaced.

    Raises AvaffectError if the command `name` cannot be imported; without a name it is not listed.
    """
    if not any(map(_declares_commands, map(Path, sys.path))):
        return {}
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS)
    commands: dict[str, Command] = {}
    for each in found:
        if each.name in COMMANDS or name not in (None, each.name):
            continue
        try:
            commands[each.name] = each.load()
        except (ImportError, AttributeError) as error:
            if name is not None:
                raise AvaffectError(
                    f"command {name}: {each.value} cannot be imported ({error}); repair or "
                    "uninstall the package that adds it"
                ) from error
    return commands


def _declares_commands(folder: Path) -> bool:
    """Whether the distribution in a folder has our group. importlib.metadata would parse all of
    them, which takes a third of the time of `avaffect --help`."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith("-info")]
    except OSError:
        return False
    group = f"[{ENTRY_POINTS}]".encode()
    for name in names:
        try:
            if group in (folder / name / "entry_points.txt").read_bytes():
                return True
        except OSError:
            continue
    return False
