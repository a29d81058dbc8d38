"""The whole chain of SAAML as jobs of a real Slurm, by examples/slurm: one job is preempted in its
first second, one in the middle of training and one while it extracts."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from one_node_slurm import ROOT, STEP, SUBMIT, OneNodeSlurm, wait_for
from safetensors.numpy import load_file
from steady import EPSILON
from tiny_training import history

from avaffect.data.artifacts import describe
from avaffect.objectives.base import Objective

HISTORY = "pretrained.safetensors.metrics.jsonl"
AVAFFECT = (sys.executable, str(Path(__file__).with_name("steady.py")))
STEPS = 16
# Of sound: batch norm of faces amplifies the rounding of two ranks, too.
PRETRAIN = ("--modality", "audio", "--preset", "nano", "--crop-seconds", "0.32",
            "--batch-utterances", "16", "--steps", str(STEPS), "--log-every", "1")  # fmt: skip
ADAPT = ("--crop-seconds", "0.2", "--batch-utterances", "16", "--steps", "6", "--log-every", "1")
SETTINGS = {
    "UTTERANCES": "24", "SPEAKERS": "6", "SHARDS": "2", "RANKS": "2", "FOLDS": "3",
    "CLUSTER": "--features mfcc -k 20 --initialisations 1",
    "PRETRAIN": " ".join(PRETRAIN), "ADAPT": " ".join(ADAPT),
    "PROJECTOR": "--train-encoder --crop-seconds 0.6 --steps 4 --batch-utterances 16",
}  # fmt: skip
# Job -> the command, but for its output; the weights of the chain.
TRAININGS = {
    "pretrain": ("pretrain-hubert", "out/A.h5", "out/B.h5", "--units", "out/A-units.h5",
                 "--units", "out/B-units.h5", *PRETRAIN),
    "adapt": ("adapt", "out/retrieval.jsonl", *ADAPT),
}  # fmt: skip
WEIGHTS = {"pretrain": "pretrained", "adapt": "adapted"}
# Weights of two ranks and of one: sums in another order.
APART = 1e-5
# On a loaded machine; on two idle cores the whole takes about a minute and a half.
PATIENCE_S = 900


class Chain:
    """A submitted chain. jobs: name -> id, as the plan says."""

    def __init__(self, slurm: OneNodeSlurm, folder: Path) -> None:
        self.slurm, self.folder, self.out = slurm, folder, folder / "out"
        self.plan = slurm.run(
            SUBMIT, cwd=folder, PYTHONPATH=ROOT,
            AVAFFECT=" ".join(AVAFFECT), OUT="out", **SETTINGS,
        )  # fmt: skip
        found = re.findall(r"^ *(\d+)  (\S+)", self.plan, re.MULTILINE)
        self.jobs = {name: number for number, name in found}

    def log(self, name: str) -> str:
        return (self.out / "logs" / f"{name}.log").read_text()

    def submit(self, name: str, after: str, *command: str) -> None:
        """A further job on two ranks, on what the chain makes."""
        number = self.slurm.run(
            "sbatch", "--parsable", f"--job-name={name}", "--ntasks=2",
            f"--output=out/logs/{name}.log", f"--dependency=afterok:{self.jobs[after]}", STEP,
            *AVAFFECT, *command, cwd=self.folder, PYTHONPATH=ROOT,
        )  # fmt: skip
        self.jobs[name] = number.strip()


@pytest.fixture(scope="module")
def chain(slurm: OneNodeSlurm, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """All jobs have ended: the chain with three preempted ones, and trainings that were left
    alone."""
    chain = Chain(slurm, tmp_path_factory.mktemp("chain"))
    for name, command in TRAININGS.items():
        chain.submit(f"{name}-alone", name, *command, "-o", f"out/{name}-alone.safetensors")
    steps, shards = chain.out / HISTORY, chain.out / "shards"
    preempt_within(
        chain, chain.jobs["pretrain"], "out/pretrained.safetensors", 2,
        lambda: steps.exists() and _lines(steps) >= 3,
    )  # fmt: skip
    preempt_within(
        chain, f"{chain.jobs['embeddings-B-shards']}_1", "out/shards/B-embeddings.1.h5", 1,
        lambda: any(shards.glob(".B-embeddings.1.h5.*.partial")),
    )  # fmt: skip
    preempt_at_once(chain, chain.jobs["adapt"])
    wait_for(lambda: not slurm.run("squeue", "-h"), PATIENCE_S)
    return chain


def preempt_at_once(chain: Chain, job: str) -> None:
    """Signal a job from the moment that Slurm has started it until it is requeued."""
    wait_for(lambda: chain.slurm.jobs()[job]["JobState"] == "RUNNING", PATIENCE_S, 0.02)
    # It waits some seconds before it starts again.
    while chain.slurm.jobs()[job]["JobState"] == "RUNNING":
        chain.slurm.run("scancel", "--signal=USR2", job, check=False)
        time.sleep(0.05)


def preempt_within(
    chain: Chain, job: str, output: str, ranks: int, moment: Callable[[], bool]
) -> None:
    """Signal a job that writes `output` when `moment()` has come. Its processes stand still until
    they are signalled, so that the moment does not pass."""
    wait_for(lambda: len(_processes(output)) == ranks, PATIENCE_S, 0.02)
    held = _processes(output)
    wait_for(moment, PATIENCE_S, 0.001)
    for process in held:
        os.kill(process, signal.SIGSTOP)
    chain.slurm.run("scancel", "--signal=USR2", chain.slurm.jobs()[job]["JobId"])
    for process in held:
        wait_for(partial(_is_pending, process, signal.SIGUSR2), 30, 0.01)
        os.kill(process, signal.SIGCONT)
    wait_for(lambda: chain.slurm.jobs()[job]["Restarts"] == "1", PATIENCE_S)


def _processes(output: str) -> list[int]:
    """Those of a command with this output."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:
            continue
        if words[:2] == [*AVAFFECT] and output in words:
            found.append(int(path.parent.name))
    return found


def _is_pending(process: int, number: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    pending = [int(mask, 16) for mask in re.findall(r"(?:SigPnd|ShdPnd):\s*(\w+)", status)]
    return any(mask >> (number - 1) & 1 for mask in pending)


def test_all_jobs_end_well(chain: Chain) -> None:
    states = {facts["JobName"]: facts["JobState"] for facts in chain.slurm.jobs().values()}
    assert {*states.values()} == {"COMPLETED"}, states
    assert chain.jobs.keys() == states.keys() and len(chain.jobs) == 32
    assert "out/adapted.jsonl\t1\t24\t" in chain.log("scores")


def test_preempted_jobs_go_on(chain: Chain) -> None:
    """In mid-training from the saved step; in the first second and in extraction from the start."""
    for name in ("pretrain", "embeddings-B-shards.1", "adapt"):
        found = chain.log(name)
        assert ": requeued\n" in found and ", start 2: " in found and ", start 3: " not in found
    resumed = re.search(r"resumed at step (\d+)", chain.log("pretrain"))
    assert resumed and 0 < int(resumed[1]) < STEPS
    assert "resumed at step" not in chain.log("adapt")
    assert [line["step"] for line in history(chain.out / HISTORY)] == [*range(1, STEPS + 1)]


@pytest.mark.parametrize("name", TRAININGS)
def test_weights_are_those_of_an_undisturbed_run(chain: Chain, name: str) -> None:
    """Bit for bit, on as many ranks."""
    found = (chain.out / f"{WEIGHTS[name]}.safetensors").read_bytes()
    assert found == (chain.out / f"{name}-alone.safetensors").read_bytes()


@pytest.mark.parametrize("name", TRAININGS)
def test_weights_are_those_of_one_rank(
    chain: Chain, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Objective, "epsilon", EPSILON)
    invoke(chain.folder, *TRAININGS[name], "-o", f"out/{name}-one.safetensors")
    two = load_file(chain.out / f"{WEIGHTS[name]}.safetensors")
    one = load_file(chain.out / f"{name}-one.safetensors")
    assert one.keys() == two.keys()
    for key, values in one.items():
        np.testing.assert_allclose(two[key], values, rtol=0, atol=APART, err_msg=key)


def test_merged_shards_are_what_one_run_writes(chain: Chain) -> None:
    """Those of a task that was preempted, too."""
    for output, command in {
        "A.h5": ("preprocess", "out/A.jsonl", "--size", 48, "-j", 1),
        "B-units.h5": ("extract", "out/B.h5", "--model", "out/kmeans.safetensors"),
        "B-embeddings.h5": ("extract", "out/B.h5", "--model", "out/projector.safetensors"),
        "adapted.jsonl": ("predict", "out/U.h5", "--model", "out/adapted-er.safetensors",
                          "--annotations", "out/U-folds.jsonl"),
    }.items():  # fmt: skip
        whole = chain.folder / f"whole-{output}"
        invoke(chain.folder, *command, "-o", whole)
        assert describe(whole).content_id == describe(chain.out / output).content_id, output


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")
