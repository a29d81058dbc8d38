"""The processes of a run, as lightning-fabric asks for them.

Its own class of Slurm refuses srun --ntasks, and takes the tasks of a job for those of a run.
"""

from __future__ import annotations

from lightning_fabric.plugins.environments import ClusterEnvironment

from avaffect.core.launch import Launch


class Started(ClusterEnvironment):
    """Processes that a launcher has started already, or this one alone.

    Each process has one device, which it chooses itself: `local_rank` is 0 in all of them.
    """

    def __init__(self, started: Launch) -> None:
        super().__init__()
        self.started = started

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.started.address

    @property
    def main_port(self) -> int:
        return self.started.port

    @staticmethod
    def detect() -> bool:
        return True

    def world_size(self) -> int:
        return self.started.processes

    def set_world_size(self, size: int) -> None:
        """Known already."""

    def global_rank(self) -> int:
        return self.started.rank

    def set_global_rank(self, rank: int) -> None:
        """Known already."""

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self.started.node
