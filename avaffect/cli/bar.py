"""A task's progress in one line: figures first, then a bar and details if there is room."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from avaffect.core.nouns import count_of

SHORTEST_BAR, LONGEST_BAR = 6, 30
BLOCKS = " ▏▎▍▌▋▊▉█"


@dataclass
class Task:
    """done: units, of which `before` were done before the task started; total None: unknown."""

    what: str
    total: float | None
    unit: str
    done: float = 0
    before: float = 0
    began: float = field(default_factory=time.monotonic)
    facts: dict[str, object] = field(default_factory=dict)

    def advance(self, count: float, facts: dict[str, object]) -> None:
        self.done += count
        self.facts = facts or self.facts

    def rate(self, now: float) -> float:
        """Units a second since the start of the task; 0 before the first."""
        return (self.done - self.before) / max(now - self.began, 1e-9)


def figures(task: Task, now: float, with_rate: bool = True) -> str:
    """12/80 utterances, 3.1/s, 0:22 left"""
    total = "" if task.total is None else f"/{_count(task.total, task.total)}"
    parts = [f"{_count(task.done, task.total)}{total} {task.unit}".rstrip()]
    rate = task.rate(now)
    if rate > 0:
        if with_rate:
            parts.append(_rate(rate, task.unit))
        if task.total is not None:
            parts.append(f"{clock(max(task.total - task.done, 0) / rate)} left")
    return ", ".join(parts)


def facts(task: Task) -> list[str]:
    """name=value of the facts of a task."""
    return [f"{name}={short(value)}" for name, value in task.facts.items()]


def bar_line(task: Task, now: float, width: int, utf8: bool = True) -> str:
    """A line of `width` columns at most: what, share, bar, figures, and as many facts as fit."""
    numbers = figures(task, now)
    if len(numbers) + SHORTEST_BAR > width - 8:
        numbers = figures(task, now, with_rate=False)
    room = width - len(numbers) - 3
    share = None
    if task.total:
        share = min(max(task.done / task.total, 0.0), 1.0)
        room -= 5
    what = task.what if len(task.what) <= max(room - SHORTEST_BAR, 12) else _cut(task.what, room)
    room -= len(what)
    said = ""
    for fact in facts(task):
        if room - len(said) - len(fact) - 2 < SHORTEST_BAR:
            break
        said += f", {fact}"
    room -= len(said)
    line = what
    if share is not None:
        line += f" {int(100 * share):3d}%"
        if room >= SHORTEST_BAR:
            line += f" |{blocks(share, min(room - 2, LONGEST_BAR), utf8)}|"
    line += f" {numbers}{said}"
    return line[:width]


def log_line(tasks: list[Task], now: float) -> str:
    """A line with all nested tasks, the outer first."""
    words = [f"{task.what}: {figures(task, now)} {' '.join(facts(task))}".rstrip()
             for task in tasks]  # fmt: skip
    return "; ".join(words)


def blocks(share: float, width: int, utf8: bool = True) -> str:
    if not utf8:
        return ("#" * int(share * width)).ljust(width)
    whole, part = divmod(int(share * width * 8), 8)
    return (BLOCKS[8] * whole + (BLOCKS[part] if part else "")).ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 3)] + "~"


def _count(value: float, total: float | None) -> str:
    if isinstance(value, int) or value == total:
        return f"{value:g}" if value < 1e6 else str(int(value))
    return f"{value:.2f}" if (total or value) < 10 else f"{value:.1f}"


def _rate(rate: float, unit: str) -> str:
    if rate >= 1:
        return f"{rate:.3g}/s" if rate < 1000 else f"{rate:.0f}/s"
    one = unit.removesuffix("s")
    seconds = 1 / rate
    return f"{seconds:.1f} s/{one}" if seconds < 60 else f"{clock(seconds)}/{one}"


def clock(seconds: float) -> str:
    """1:02:03, or 2:03; days if there are any."""
    whole = int(seconds + 0.5)
    minutes, last = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{count_of(hours // 24, 'day')}"
    return f"{hours}:{minutes:02d}:{last:02d}" if hours else f"{minutes}:{last:02d}"


def short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
