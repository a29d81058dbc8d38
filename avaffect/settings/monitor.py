"""Settings of `monitor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.core.inputs import STANDARD_INPUT
from avaffect.settings.base import Settings, argument, option

NEEDS_TENSORBOARD = (
    "--tensorboard needs TensorBoard: in the checkout of avaffect, python -m pip install -c "
    "constraints.txt -e '.[tensorboard]'"
)


@dataclass(frozen=True, kw_only=True)
class MonitorSettings(Settings):
    """Reads the metrics files of trainings (OUTPUT.metrics.jsonl), running or ended, on this
    machine or another that writes to the same folder, and disturbs none of them. On a terminal a
    table follows them; elsewhere each look prints a line for every training with news. Ends when no
    training is running or awaited."""

    examples: ClassVar[str] = """
    avaffect monitor er.safetensors
    # The tasks of a job array, those to come among them
    avaffect monitor 'runs/er-*.safetensors'
    # Where does everything in this folder stand? For a script
    avaffect monitor . --json
    # Curves in TensorBoard, while they grow
    avaffect monitor runs --tensorboard curves
    # The same as a picture
    avaffect monitor a.safetensors b.safetensors --once --plot curves.pdf
    """

    runs: tuple[Path, ...] = argument(
        "Checkpoint that is trained, its metrics file, a folder of them, or a pattern in quotes.",
        metavar="RUN",
    )
    once: bool = option(False, "Look once, and print the table.", "--once")
    json: bool = option(False, "Look once, and print one JSON object per training.", "--json")
    every: float | None = option(
        None, "Seconds between two looks. Default: 1 on a terminal, 30 elsewhere.", "--every",
        metavar="S", at_least=0.1,
    )  # fmt: skip
    tensorboard: Path | None = option(
        None, "Folder for TensorBoard's event files: losses, metrics and scores, a folder in it "
        "for each training. Its own files there are replaced. Needs tensorboard.",
        "--tensorboard", role="output", metavar="DIR",
    )  # fmt: skip
    plot: Path | None = option(
        None, "Picture of the curves to draw at the end (.png, .svg, .pdf), a panel for each loss, "
        "metric and score; replaced where it is there. Needs matplotlib.", "--plot",
        role="output", metavar="FILE", added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if STANDARD_INPUT in self.runs:
            raise UsageError("-: standard input is no training; name checkpoints or a folder")
