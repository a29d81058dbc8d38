"""A real Slurm on this machine alone: munged, slurmctld and slurmd of its own."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STEP = ROOT / "examples" / "slurm" / "step.sbatch"
SUBMIT = ROOT / "examples" / "slurm" / "submit.sh"
PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")
# Debian's daemons are where the path of others than root does not lead.
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
# Ranks of a job meet at a port that depends on its number: others than in another such Slurm.
FirstJobId={first}
AuthType=auth/munge
# A job that is requeued waits until the credential of its last start has expired: 120 s by default.
AuthInfo=cred_expire=5,socket={folder}/munge.socket
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
KillWait=30
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes={host} Default=YES PriorityTier=1 GraceTime=20 State=UP
PartitionName=urgent Nodes={host} PriorityTier=2 PreemptMode=OFF State=UP
"""


def lacking() -> str | None:
    """Why no Slurm can be started here, None where one can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: apt-get install munge slurm-wlm)"
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root alone"
    return None


class OneNodeSlurm:
    """Started by `with`; environment: what its commands need. Each node and each job has `cpus`."""

    def __init__(self, folder: Path, cpus: int = 2) -> None:
        self.folder, self.cpus = folder, cpus
        # Tests may run in a job of another Slurm.
        known = {name: v for name, v in os.environ.items() if not name.startswith("SLURM_")}
        self.environment = {**known, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen] = []

    def __enter__(self) -> OneNodeSlurm:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        controller, daemon = _free_ports(2)
        configuration = CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], controller=controller, daemon=daemon,
            folder=self.folder, cpus=self.cpus, first=random.randrange(1, 2000),
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(configuration)
        try:
            self._start_munge()
            for name in ("slurmctld", "slurmd"):
                self._daemons.append(self._start(name, "-D"))
            wait_for(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False), 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end_jobs()
        for process in reversed(self._daemons):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()

    def _end_jobs(self) -> None:
        """Of a test that failed: the daemons leave them running."""
        if len(self._daemons) == 3:
            self.run("scancel", "--full", "--signal=KILL", "--user", "root", check=False)
            self.run("scancel", "--user", "root", check=False)
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not self.run("squeue", "-h", check=False), 30)

    def _start_munge(self) -> None:
        """With a key and a socket of its own, beside that of the machine."""
        key, socket_ = self.folder / "munge.key", self.folder / "munge.socket"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {name: self.folder / f"munge.{name}" for name in ("log", "pid", "seed")}
        self._daemons.append(self._start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket_}",
            *(f"--{name}-file={path}" for name, path in files.items()),
        ))  # fmt: skip
        wait_for(lambda: self._munge_answers(socket_), 10)

    def _munge_answers(self, socket_: Path) -> bool:
        command = ["munge", "-n", f"--socket={socket_}"]
        return subprocess.run(command, capture_output=True, env=self.environment).returncode == 0

    def _start(self, *command: str) -> subprocess.Popen:
        with (self.folder / f"{command[0]}.out").open("w") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def run(
        self, *command: object, check: bool = True, cwd: Path | None = None, **environment: object
    ) -> str:  # fmt: skip
        """Standard output of a command; environment: further variables."""
        found = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=60, cwd=cwd,
            env={**self.environment, **{name: str(value) for name, value in environment.items()}},
        )  # fmt: skip
        if check and found.returncode:
            raise RuntimeError(f"{command}: {found.returncode}\n{found.stderr}")
        return found.stdout

    def jobs(self) -> dict[str, dict[str, str]]:
        """Job or array task (`7`, `8_0`) -> what `scontrol` says of it, of all that are not
        forgotten."""
        lines = self.run("scontrol", "show", "job", "--oneliner").splitlines()
        found = {}
        for line in lines:
            facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
            task = facts.get("ArrayTaskId")
            name = facts["JobId"] if task is None else f"{facts['ArrayJobId']}_{task}"
            found[name] = facts
        return found


def wait_for(true: Callable[[], bool], seconds: float, every: float = 0.1) -> None:
    """Raises TimeoutError unless it becomes true."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not true after {seconds:g} s: {true}")
        time.sleep(every)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
