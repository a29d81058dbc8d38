"""Commands in wav.scp of Kaldi, which are not run: the recording that one decodes, and of which
channels; commands that change the sound otherwise have no recording here."""

from __future__ import annotations

import itertools
import shlex
from pathlib import PurePosixPath

from avaffect.data.exchange.recorded import PLAIN_SUFFIXES

SUFFIXES = (*PLAIN_SUFFIXES, ".sph", ".mp3", ".mp4", ".m4a", ".opus", ".avi", ".mkv", ".mov")
# What decodes, converts and resamples, and its words that change times or mix channels otherwise
# than they are in the recording.
_CHANGES = {
    "ffmpeg": ("-ss", "-t", "-to", "-af", "-filter:a", "-filter_complex", "-map", "-sseof"),
    "sox": ("speed", "tempo", "pitch", "stretch", "trim", "pad", "reverse", "silence", "vad",
            "delay", "splice", "repeat", "bend", "reverb", "echo", "-m", "-M"),
    "sph2pipe": ("-t", "-s"),
    "flac": (), "cat": (), "lame": (), "mpg123": (), "opusdec": (),
}  # fmt: skip


def decoded(extended: str) -> tuple[str, str | None]:
    """(path, channels as an item lists them, None: all) of an extended file name.

    Raises ValueError, with the reason, for a command that names no recording, or gives another
    sound than the recording has.
    """
    if not extended.endswith("|"):
        return extended, None
    words = shlex.shlex(extended, posix=True, punctuation_chars="|<>;&")
    words.whitespace_split, words.commenters = True, ""
    try:
        named = list(words)
    except ValueError:
        # A quote that does not end.
        named = []
    path = next((name for name in named if name.lower().endswith(SUFFIXES)), None)
    if path is None:
        raise ValueError("names no recording")
    channels = None
    for stage in _stages(named):
        channels = _channels(stage) or channels
    return path, channels


def _stages(words: list[str]) -> list[list[str]]:
    """The commands that are joined by |."""
    found: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            found.append([])
        else:
            found[-1].append(word)
    return [stage for stage in found if stage]


def _channels(stage: list[str]) -> str | None:
    """Those that one command takes."""
    program = PurePosixPath(stage[0]).name
    if program not in _CHANGES:
        raise ValueError(f"changes the sound ({program})")
    changes = [word for word in stage[1:] if word in _CHANGES[program]]
    if changes:
        raise ValueError(f"changes the sound ({program} {changes[0]})")
    options = dict(itertools.pairwise(stage))
    if program == "sox" and "remix" in stage:
        mixed = stage[stage.index("remix") + 1 :]
        if len(mixed) != 1 or not mixed[0].replace(",", "").isdigit():
            raise ValueError(f"changes the sound (sox remix {' '.join(mixed)})")
        return _from_0(mixed[0].split(","))
    if program == "sph2pipe" and options.get("-c", "3") in "12":
        return _from_0([options["-c"]])
    if program == "ffmpeg" and "-map_channel" in stage:
        return options["-map_channel"].rpartition(".")[2]
    return None


def _from_0(numbers: list[str]) -> str:
    return ",".join(str(int(number) - 1) for number in numbers)
