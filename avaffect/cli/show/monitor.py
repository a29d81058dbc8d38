"""Shows where trainings stand: a table that follows them on a terminal, lines elsewhere, JSON."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from avaffect.cli import bar
from avaffect.cli.console import colour_wanted, print_table
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.shown import on_one_line
from avaffect.core.table import Table
from avaffect.settings.monitor import MonitorSettings

if TYPE_CHECKING:
    from rich.table import Table as Drawn

    from avaffect.recipes.monitor import Watch
    from avaffect.recipes.monitoring.runs import TrainingState

TERMINAL_S, ELSEWHERE_S = 1.0, 30.0
# Losses or scores in a line.
SHOWN = 3
BAR = 10
COLUMNS = ("training", "state", "done", "left", "at", "losses and metrics", "development")
COLOURS = {
    "running": "green", "waiting": "dim", "killed": "red", "damaged": "red", "gone": "red",
    "stopped": "yellow", "finished": "",
}  # fmt: skip


def show(settings: MonitorSettings, progress: Progress) -> None:
    from avaffect.recipes.monitor import Watch, monitor

    if settings.once or settings.json:
        states = monitor(settings, progress)
        for state in states if settings.json else ():
            print(json.dumps(state.to_dict(), ensure_ascii=False))
        if not settings.json:
            print_table(Table.of("", COLUMNS, [_cells(state) for state in states]))
    else:
        watch = Watch(settings)
        follow = _live if sys.stdout.isatty() else _lines
        try:
            states = follow(watch, progress)
        finally:
            watch.close()
    where = f"; TensorBoard: {settings.tensorboard}" if settings.tensorboard else ""
    where += f"; curves: {settings.plot}" if settings.plot else ""
    progress.say(_summary(states) + where)


def _live(watch: Watch, progress: Progress) -> list[TrainingState]:
    """A table that is drawn anew until nothing is running or awaited."""
    from rich.console import Console
    from rich.live import Live

    console = Console(no_color=not colour_wanted(sys.stdout))
    states = watch.look()
    with Live(_drawn(states, console.height), console=console, auto_refresh=False) as live:
        while _open(states):
            _wait(watch.settings.every or TERMINAL_S, progress)
            states = watch.look()
            live.update(_drawn(states, console.height), refresh=True)
    return states


def _lines(watch: Watch, progress: Progress) -> list[TrainingState]:
    """A line for each training with news."""
    said: dict[str, str] = {}
    while True:
        states = watch.look()
        for state in states:
            cells = _cells(state)
            # The time that is left changes without news.
            news = "\t".join(cells[:3] + cells[4:])
            if said.get(state.output) != news:
                said[state.output] = news
                print(on_one_line(_line(cells)), flush=True)
        if not _open(states):
            return states
        _wait(watch.settings.every or ELSEWHERE_S, progress)


def _wait(seconds: float, progress: Progress) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        progress.check()
        time.sleep(min(left, 0.1))


def _open(states: Sequence[TrainingState]) -> bool:
    """Whether there may be news; what a pattern stands for may not have begun."""
    from avaffect.recipes.monitoring.states import OPEN

    return not states or any(state.state in OPEN for state in states)


def _cells(state: TrainingState) -> list[str]:
    place = [f"{name} {value}" for name, value in state.tags.items() if name != "seed"]
    place += [f"epoch {state.epoch}"] if state.epoch is not None else []
    place += [f"step {state.step}"] if state.step is not None else []
    return [
        state.output,
        state.state,
        "" if state.done is None else f"{100 * state.done:.0f} %",
        "" if state.left_s is None else bar.clock(state.left_s),
        ", ".join(place),
        _values(state.training),
        _values(state.development),
    ]


def _values(values: dict[str, float]) -> str:
    return " ".join(f"{name}={bar.short(value)}" for name, value in [*values.items()][:SHOWN])


def _line(cells: list[str]) -> str:
    """er.safetensors: running, 42 %, 1:20 left, epoch 3, step 120; ce=0.9; development ua=0.4"""
    output, state, done, left, place, training, development = cells
    first = ", ".join(filter(None, [state, done, left and f"{left} left", place]))
    parts = [first, training, development and f"development {development}"]
    return f"{output}: {'; '.join(filter(None, parts))}"


def _drawn(states: Sequence[TrainingState], height: int) -> Drawn:
    """Where the rows do not all fit, the running ones are on top."""
    from rich.table import Table as Drawn
    from rich.text import Text

    # At the end a line says it below.
    caption = _summary(states) if _open(states) else None
    drawn = Drawn(header_style="bold", caption=caption, caption_justify="left")
    for column in COLUMNS:
        wide = column in ("training", "losses and metrics", "development")
        drawn.add_column(column, no_wrap=not wide, overflow="fold")
    rows = list(states)
    if len(rows) > height - 6:
        rows.sort(key=lambda state: list(COLOURS).index(state.state))
    for state in rows:
        cells = [Text(on_one_line(cell)) for cell in _cells(state)]
        cells[1].stylize(COLOURS[state.state])
        if state.done is not None:
            cells[2] = Text(f"{bar.blocks(state.done, BAR)} {cells[2].plain.rjust(5)}")
        drawn.add_row(*cells)
    return drawn


def _summary(states: Sequence[TrainingState]) -> str:
    """3 trainings: 1 running, 2 finished; 0:12:10 of training"""
    counts = Counter(state.state for state in states)
    parts = ", ".join(f"{counts[name]} {name}" for name in COLOURS if counts[name])
    what = count_of(len(states), "training")
    seconds = sum(state.seconds for state in states)
    return f"{what}: {parts or 'none there yet'}; {bar.clock(seconds)} of training"
