"""examples/slurm with other commands: which jobs are requeued, and what reaches them; the plan."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from one_node_slurm import ROOT, STEP, SUBMIT, OneNodeSlurm, wait_for

Submit = Callable[..., str]

# On a loaded machine; a second or two on an idle one.
PATIENCE_S = 300


# Waits, saves when it is stopped, and ends at once when it is started again.
SAVES = """
import os, signal, sys
name = os.environ["SLURM_PROCID"]
def save(*signal):
    open(f"saved.{name}", "w").close()
    sys.exit(75)
if os.path.exists(f"saved.{name}"):
    sys.exit()
for number in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, save)
open(f"up.{name}", "w").close()
while True:
    signal.pause()
"""
SAVE = (sys.executable, "-c", "exec(open('saves').read())")


@pytest.fixture
def submit(slurm: OneNodeSlurm, tmp_path: Path) -> Callable[..., str]:
    """Submits a step with `words` as options and command; returns the job."""

    def run(*words: object, **environment: object) -> str:
        (tmp_path / "saves").write_text(SAVES)
        found = slurm.run("sbatch", "--parsable", f"--output={tmp_path}/%x.%a.log", *words,
                          cwd=tmp_path, **environment)  # fmt: skip
        return str(found.strip())

    return run


def states(slurm: OneNodeSlurm) -> dict[str, tuple[str, str]]:
    """Job -> its state and status, when all have ended."""
    wait_for(lambda: not slurm.run("squeue", "-h"), PATIENCE_S)
    return {job: (facts["JobState"], facts["ExitCode"]) for job, facts in slurm.jobs().items()}


DONE, FAILED = "COMPLETED", "FAILED"


def test_jobs_that_are_not_requeued(slurm: OneNodeSlurm, submit: Submit, tmp_path: Path) -> None:
    """A failure, what `scancel` ends, and what is stopped again and again."""
    failed = submit(STEP, "bash", "-c", "exit 3")
    after = submit(f"--dependency=afterok:{failed}", STEP, "true")
    stopped = submit(STEP, "bash", "-c", "exit 75", MOST_RESTARTS=0)
    cancelled = submit(STEP, *SAVE)
    wait_for((tmp_path / "up.0").exists, PATIENCE_S)
    slurm.run("scancel", cancelled)
    found = states(slurm)
    assert found[failed] == (FAILED, "3:0") and found[after][0] == "CANCELLED"
    assert found[stopped] == (FAILED, "75:0") and found[cancelled][0] == "CANCELLED"
    assert (tmp_path / "saved.0").exists()


def test_jobs_with_less_priority_are_requeued(
    slurm: OneNodeSlurm, submit: Submit, tmp_path: Path
) -> None:
    """Preempted by Slurm itself: all ranks save, and go on after the urgent job."""
    ranks = submit("--job-name=ranks", "--ntasks=2", STEP, *SAVE)
    wait_for(lambda: all((tmp_path / f"up.{rank}").exists() for rank in (0, 1)), PATIENCE_S)
    urgent = submit("--partition=urgent", "--ntasks=2", STEP, "true")
    found = states(slurm)
    assert found[ranks] == found[urgent] == (DONE, "0:0")
    log = next(tmp_path.glob("ranks.*.log")).read_text()
    assert "requeued" in log and ", start 2: " in log
    jobs = slurm.jobs()
    assert jobs[urgent]["EndTime"] <= jobs[ranks]["StartTime"]


def test_jobs_at_their_time_limit_are_requeued(
    slurm: OneNodeSlurm, submit: Submit, tmp_path: Path
) -> None:
    """Slurm checks limits every minute: the signal may come that much earlier."""
    job = submit("--time=1", "--signal=USR2@55", STEP, *SAVE)
    assert states(slurm)[job] == (DONE, "0:0")
    assert (tmp_path / "saved.0").exists() and slurm.jobs()[job]["Restarts"] == "1"


def test_what_reaches_a_command(slurm: OneNodeSlurm, submit: Submit, tmp_path: Path) -> None:
    """Its words as they are, the number of the task, and the place in an array."""
    submit("--job-name=words", "--array=7", STEP, "printf", "<%s>", "task %a of", "", "three")
    where = (sys.executable, "-c", "from avaffect.core import launch; "
             "print('shard', launch.shard_text('slurm'))")  # fmt: skip
    submit("--job-name=offset", "--array=5-9:2", STEP, *where, PYTHONPATH=ROOT)
    submit("--job-name=alone", STEP, "printf", "<%s>", "%a")
    gaps = submit("--job-name=gaps", "--array=1,2,5", STEP, *where, PYTHONPATH=ROOT)
    found = states(slurm)
    assert "<task 7 of><><three>" in (tmp_path / "words.7.log").read_text()
    assert "<%a>" in next(tmp_path.glob("alone.*.log")).read_text()
    for index, task in enumerate((5, 7, 9)):
        assert f"\nshard {index}/3\n" in (tmp_path / f"offset.{task}.log").read_text()
    assert all(found[f"{gaps}_{task}"][0] == FAILED for task in (1, 2, 5))
    assert "with gaps" in (tmp_path / "gaps.5.log").read_text()


def test_the_plan_needs_no_slurm(tmp_path: Path) -> None:
    """As many jobs, and nothing is written."""
    environment = {"PATH": "/usr/bin:/bin", "A": "own.jsonl", "GPUS": "1"}
    found = subprocess.run(
        [SUBMIT, "--dry-run"], cwd=tmp_path, text=True, capture_output=True, check=True,
        env=environment,
    )  # fmt: skip
    names = re.findall(r"^ +-  (\S+)", found.stdout, re.MULTILINE)
    assert len(names) == 29 and "synth-A" not in names and "synth-B" in names
    assert "avaffect preprocess own.jsonl " in found.stdout
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("setting", ["SHARDS=0", "SHARDS=08", "RANKS=two", "GPUS=2", "OUT=a%b"])
def test_settings_that_cannot_be(setting: str, tmp_path: Path) -> None:
    found = subprocess.run(["env", setting, SUBMIT, "--dry-run"], cwd=tmp_path, capture_output=True)
    assert found.returncode == 2 and setting.encode() in found.stderr and not found.stdout


def test_a_chain_is_submitted_whole_and_once(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    def submitted(**settings: str) -> list[str]:
        """The jobs that Slurm has got of it."""
        before = slurm.jobs().keys()
        slurm.run(SUBMIT, check=False, cwd=tmp_path, AVAFFECT="true", SLURM="--hold", **settings)
        return [job for job in slurm.jobs() if job not in before]

    assert submitted(A="absent.jsonl") == [] and [*tmp_path.iterdir()] == []
    # An array that is larger than Slurm allows.
    refused = submitted(SHARDS="5000")
    assert len(refused) == 1 and slurm.jobs()[refused[0]]["JobState"] == "CANCELLED"
    folder = "a folder's"
    assert len(submitted(OUT=folder)) == 30 and submitted(OUT=folder) == []
    slurm.run("scancel", "--user", "root")
    assert len(submitted(OUT=folder)) == 30
    slurm.run("scancel", "--user", "root")
