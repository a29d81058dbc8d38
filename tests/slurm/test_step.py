"""examples/slurm with other commands: which jobs are requeued, and what reaches them; the plan."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from one_node_slurm import STEP, SUBMIT, OneNodeSlurm, wait_for

# On a loaded machine; a second or two on an idle one.
PATIENCE_S = 300


def test_jobs_that_are_not_requeued(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    """A failure, what `scancel` ends, and what is stopped again and again; and the words of a
    command reach it as they are."""

    def submit(*words: object, **environment: object) -> str:
        found = slurm.run("sbatch", "--parsable", f"--output={tmp_path}/%j.log", *words,
                          **environment)  # fmt: skip
        return str(found.strip())

    failed = submit(STEP, "bash", "-c", "exit 3")
    after = submit(f"--dependency=afterok:{failed}", STEP, "true")
    stopped = submit(STEP, "bash", "-c", "exit 75", MOST_RESTARTS=0)
    saves = "trap 'exit 75' TERM; touch started; sleep 60 & wait"
    cancelled = submit(f"--chdir={tmp_path}", STEP, "bash", "-c", saves)
    named = submit("--array=7", STEP, "printf", "<%s>", "task %a of", "", "three")
    wait_for((tmp_path / "started").exists, PATIENCE_S)
    slurm.run("scancel", cancelled)
    wait_for(lambda: not slurm.run("squeue", "-h"), PATIENCE_S)
    found = {job: (facts["JobState"], facts["ExitCode"]) for job, facts in slurm.jobs().items()}
    assert found[failed] == ("FAILED", "3:0") and found[after][0] == "CANCELLED"
    assert found[stopped] == ("FAILED", "75:0") and found[cancelled][0] == "CANCELLED"
    assert found[f"{named}_7"] == ("COMPLETED", "0:0")
    number = slurm.jobs()[f"{named}_7"]["JobId"]
    assert "<task 7 of><><three>" in (tmp_path / f"{number}.log").read_text()


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
