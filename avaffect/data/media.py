"""From the items of a corpus manifest to decoded streams, by several processes."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from avaffect.core.hashing import content_id
from avaffect.data.decoding import SAMPLE_RATE, SILENT_PEAK, Sound, Unusable, decode_sound
from avaffect.data.manifest import Item, Manifest
from avaffect.data.schema import StreamSpec
from avaffect.data.workers import ordered_map

STREAMS = {"waveform": StreamSpec("waveform", "int16", float(SAMPLE_RATE))}


@dataclass(frozen=True)
class Task:
    """One utterance to decode. spool: where its streams are written, one raw file for each."""

    path: Path
    start_s: float | None
    end_s: float | None
    spool: Path
    keep_silent: bool


@dataclass(frozen=True)
class Decoded:
    """streams: name -> raw file of steps."""

    streams: dict[str, Path]
    duration_s: float
    damaged_packets: int
    filled_s: float


@dataclass(frozen=True)
class Lost:
    """Why a recording gave no utterance. reason: a word or two to count by."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})"


def source_of(item: Item) -> str:
    """The recording whose sound an item means, as the manifest names it; "" where none is named."""
    media = item.get("media")
    if isinstance(media, dict):
        media = media.get("audio", media.get("video"))
    return media if isinstance(media, str) else ""


def seconds_of(item: Item, key: str) -> float | None:
    """An item's start or end. Raises Unusable where it is no time."""
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise Unusable("outside", f"its {key} is {value!r}, which is no time in seconds")
    return float(value)


def media_content_id(manifest: Manifest, items: Iterable[Item]) -> str:
    """Identity of the recordings that items name, by path and size: a changed one is noticed."""
    sources = sorted({source_of(item) for item in items})
    return content_id([[source, _size(manifest.folder / source)] for source in sources if source])


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def decode_items(
    folder: Path, items: Iterable[Item], spool: Path, jobs: int, keep_silent: bool
) -> Generator[Decoded | Lost, None, None]:
    """Decode the items' recordings, in their order whatever the number of processes.

    folder: what media paths are relative to; spool: a folder for raw files, which the caller
    removes as it goes. Few items are under way at once.
    """
    tasks = (_task(folder, item, spool / f"{n}", keep_silent) for n, item in enumerate(items))
    yield from ordered_map(_decode, tasks, jobs, _crashed)


def _task(folder: Path, item: Item, spool: Path, keep_silent: bool) -> Task | Lost:
    try:
        start_s, end_s = seconds_of(item, "start"), seconds_of(item, "end")
    except Unusable as error:
        return Lost(error.reason, error.detail)
    source = source_of(item)
    if not source:
        return Lost("missing", "the item names no recording")
    return Task(folder / source, start_s, end_s, spool, keep_silent)


def _decode(task: Task | Lost) -> Decoded | Lost:
    if isinstance(task, Lost):
        return task
    waveform = task.spool.with_suffix(".waveform")
    try:
        with waveform.open("wb") as file:
            sound = decode_sound(task.path, file, task.start_s, task.end_s)
        _check_level(task, sound)
    except Unusable as error:
        waveform.unlink()
        return Lost(error.reason, error.detail)
    duration_s = sound.samples / SAMPLE_RATE
    return Decoded({"waveform": waveform}, duration_s, sound.damaged, sound.filled_s)


def _check_level(task: Task, sound: Sound) -> None:
    if sound.peak <= SILENT_PEAK and not task.keep_silent:
        raise Unusable("silent", f"its largest sample is {sound.peak} of 32768")


def _crashed(task: Task | Lost) -> Lost:
    return Lost("unreadable", "its decoder crashed, or ran out of memory")
