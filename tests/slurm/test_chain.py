"""The whole chain of SAAML as jobs of a real Slurm, by examples/slurm, with jobs that are preempted.

One job is preempted in its first second, one in the middle of training and one while it extracts.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from one_node_slurm import OneNodeSlurm, lacking, wait_for
from safetensors.numpy import load_file
from tiny_training import history

from avaffect.data.artifacts import describe

ROOT = Path(__file__).resolve().parents[2]
STEP = ROOT / "examples" / "slurm" / "step.sbatch"
STEPS = 16
PRETRAIN = ("--modality", "av", "--preset", "nano", "--crop-seconds", "0.32", "--batch-utterances",
            "16", "--steps", str(STEPS), "--log-every", "1")  # fmt: skip
ADAPT = ("--crop-seconds", "0.2", "--batch-utterances", "16", "--steps", "6", "--log-every", "1")
SETTINGS = {
    "UTTERANCES": "24", "SPEAKERS": "6", "SHARDS": "2", "RANKS": "2", "FOLDS": "3",
    "CLUSTER": "--features mfcc -k 20 --initialisations 1",
    "PRETRAIN": " ".join(PRETRAIN), "ADAPT": " ".join(ADAPT),
    "PROJECTOR": "--train-encoder --crop-seconds 0.6 --steps 4 --batch-utterances 16",
}  # fmt: skip
# Weights of two ranks and of one: sums in another order.
APART = 1e-5
# On a loaded machine; on two idle cores the whole takes about a minute and a half.
PATIENCE_S = 900


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[OneNodeSlurm]:
    if reason := lacking():
        pytest.skip(f"no Slurm: {reason}")
    with OneNodeSlurm(tmp_path / "slurm") as started:
        started.environment |= {
            "PYTHONPATH": str(ROOT), "AVAFFECT": f"{sys.executable} -m avaffect", "OUT": "out",
            **SETTINGS,
        }  # fmt: skip
        yield started


class Chain:
    """A submitted chain. jobs: name -> id, as the plan says."""

    def __init__(self, slurm: OneNodeSlurm, folder: Path) -> None:
        self.slurm, self.folder = slurm, folder
        self.plan = slurm.run(ROOT / "examples" / "slurm" / "submit.sh", cwd=folder)
        found = re.findall(r"^ *(\d+)  (\S+)", self.plan, re.MULTILINE)
        self.jobs = {name: number for number, name in found}

    def log(self, name: str) -> str:
        path = self.folder / "out" / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def state(self, job: str) -> dict[str, str]:
        return self.slurm.jobs()[job]

    def submit(self, name: str, after: str, ranks: int, *command: str) -> None:
        """A further job on what the chain makes."""
        number = self.slurm.run(
            "sbatch", "--parsable", f"--job-name={name}", f"--ntasks={ranks}",
            f"--output=out/logs/{name}.log", f"--dependency=afterok:{self.jobs[after]}", STEP,
            sys.executable, "-m", "avaffect", *command, cwd=self.folder,
        )  # fmt: skip
        self.jobs[name] = number.strip()


def preempt_at_once(chain: Chain, name: str) -> None:
    """Signal a job from the moment that Slurm has started it until it is requeued."""
    job = chain.jobs[name]
    wait_for(lambda: chain.state(job)["JobState"] == "RUNNING", PATIENCE_S, 0.02)
    while chain.state(job)["Restarts"] == "0":
        chain.slurm.run("scancel", "--signal=USR2", job, check=False)
        time.sleep(0.05)


def preempt_within(chain: Chain, job: str, moment) -> None:
    """Signal a job when `moment()` has come: its processes stand still until they are signalled."""
    wait_for(moment, PATIENCE_S, 0.001)
    number = chain.state(job)["JobId"]
    held = _processes(number)
    for process in held:
        os.kill(process, signal.SIGSTOP)
    chain.slurm.run("scancel", "--signal=USR2", number)
    for process in held:
        wait_for(lambda process=process: _is_pending(process, signal.SIGUSR2), 30, 0.01)
        os.kill(process, signal.SIGCONT)
    assert held
    wait_for(lambda: chain.state(job)["Restarts"] == "1", 60)


def _processes(job: str) -> list[int]:
    """Those of avaffect in a job."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            own = f"SLURM_JOB_ID={job}".encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if own and words[1:3] == [b"-m", b"avaffect"]:
            found.append(int(folder.name))
    return found


def _is_pending(process: int, number: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    pending = [int(mask, 16) for mask in re.findall(r"(?:SigPnd|ShdPnd):\s*(\w+)", status)]
    return any(mask >> (number - 1) & 1 for mask in pending)


def test_the_chain_with_preempted_jobs(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    chain = Chain(slurm, tmp_path)
    out = tmp_path / "out"
    media = ("out/A.h5", "out/B.h5", "--units", "out/A-units.h5", "--units", "out/B-units.h5")
    pretrain = ("pretrain-hubert", *media, *PRETRAIN, "--seed", "0", "-o")
    for ranks in (1, 2):
        chain.submit(f"pretrain-{ranks}", "pretrain", ranks, *pretrain, f"out/p{ranks}.safetensors")
        chain.submit(f"adapt-{ranks}", "adapt", ranks, "adapt", "out/retrieval.jsonl", *ADAPT,
                     "--seed", "0", "-o", f"out/a{ranks}.safetensors")  # fmt: skip

    steps = out / "pretrained.safetensors.metrics.jsonl"
    preempt_within(chain, chain.jobs["pretrain"], lambda: steps.exists() and _lines(steps) >= 3)
    shard = out / "shards" / "B-embeddings.1.h5"
    task = f"{chain.jobs['embeddings-B-shards']}_1"
    preempt_within(chain, task, lambda: bool([*shard.parent.glob(f"*{shard.name}*.partial")]))
    preempt_at_once(chain, "adapt")
    wait_for(lambda: not slurm.run("squeue", "-h"), PATIENCE_S)

    states = {name: facts["JobState"] for name, facts in slurm.jobs().items()}
    assert {*states.values()} == {"COMPLETED"}, (states, chain.plan)
    for name in ("pretrain", "embeddings-B-shards.1", "adapt"):
        assert "requeued" in chain.log(name) and ", start 2: " in chain.log(name), chain.log(name)
    resumed = re.search(r"resumed at step (\d+)", chain.log("pretrain"))
    assert resumed and 0 < int(resumed[1]) < STEPS
    assert [line["step"] for line in history(steps)] == [*range(1, STEPS + 1)]
    assert "resumed" not in chain.log("adapt")

    for name, one, two in (("pretrained", "p1", "p2"), ("adapted", "a1", "a2")):
        preempted, undisturbed, alone = (
            load_file(out / f"{each}.safetensors") for each in (name, two, one)
        )
        assert preempted.keys() == undisturbed.keys() == alone.keys()
        for key, values in preempted.items():
            np.testing.assert_array_equal(values, undisturbed[key], err_msg=key)
        print(name, max(np.abs(values - alone[key]).max() for key, values in preempted.items()))
    # Merged from shards, of which one was preempted, and as one run writes them.
    for output, command in {
        "A.h5": ("preprocess", "out/A.jsonl", "--size", 48, "-j", 1),
        "B-units.h5": ("extract", "out/B.h5", "--model", "out/kmeans.safetensors"),
        "B-embeddings.h5": ("extract", "out/B.h5", "--model", "out/projector.safetensors"),
        "adapted.jsonl": ("predict", "out/U.h5", "--model", "out/adapted-er.safetensors",
                          "--annotations", "out/U-folds.jsonl"),
    }.items():  # fmt: skip
        invoke(tmp_path, *command, "-o", f"whole-{output}")
        assert describe(out / output).content_id == describe(tmp_path / f"whole-{output}").content_id
    assert "out/adapted.jsonl\t1\t24\t" in chain.log("scores")


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")
