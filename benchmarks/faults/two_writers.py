"""Two commands for one output: the same one twice, or one with other settings."""

from __future__ import annotations

import random
import time
from pathlib import Path

from avaffect.core import errors
from benchmarks.faults.commands import (
    COMMANDS,
    Command,
    Running,
    clear,
    digests,
    left_of,
    prepared,
    undisturbed,
    wrong_again,
)
from benchmarks.faults.table import Line

SEED = 18
QUICK = 3
# Of each pair.
TRIES = 2
# Other settings for the same output.
OTHERS = {
    "preprocess": ("--keep-silent",), "extract": ("--batch-seconds", "7"),
    "select": ("--seed", "5"),
    "split": ("--seed", "5"), "cluster": ("--seed", "5"), "pretrain-apc": ("--seed", "5"),
    "finetune": ("--seed", "5"), "augment-noise": ("--seed", "5"), "retrieve": ("--seed", "5"),
    "predict": ("--batch-seconds", "7"), "train-projector": ("--seed", "5"),
}  # fmt: skip


def tries(folder: Path, quick: bool) -> list[Line]:
    """Each command beside itself and, where it has one, beside its other. folder: an empty one."""
    with prepared(folder):
        draw = random.Random(SEED)
        chosen = draw.sample(COMMANDS, QUICK) if quick else COMMANDS
        same, other = Line("two writers: the same command"), Line("two writers: other settings")
        for command in chosen:
            for _ in range(1 if quick else TRIES):
                moment = draw.uniform(0, undisturbed(command).seconds)
                same.add(_beside(command, command, moment), f"{command}: after {moment:.3f} s")
            more = OTHERS.get(command.name)
            if more is not None:
                rival = Command((*command.arguments, *more))
                moment = draw.uniform(0, undisturbed(command).seconds)
                other.add(_beside(command, rival, moment), f"{rival}: after {moment:.3f} s")
        return [same, other]


def _beside(command: Command, rival: Command, moment: float) -> str | None:
    """What went wrong between a command and its rival, which starts later."""
    pair = command, rival
    made = {one: undisturbed(one).made for one in pair}
    clear()
    first = Running(command.arguments)
    time.sleep(moment)
    second = Running(rival.arguments, words="second")
    statuses = [first.end(), second.end()]
    if left_of(first.pid) or left_of(second.pid):
        return "processes left"
    if not set(statuses) <= {errors.DONE, errors.OUTPUT_EXISTS} or errors.DONE not in statuses:
        return f"statuses {statuses}: {first.said()} {second.said()}"
    found = digests(own=True)
    winners = [one for one, status in zip(pair, statuses) if status == errors.DONE]
    if any(found != made[one] for one in winners):
        return f"another output than that of status 0, {statuses}"
    if digests(own=False) != undisturbed(command).others:
        return "other files changed"
    return wrong_again(winners[0], undisturbed(winners[0]))
