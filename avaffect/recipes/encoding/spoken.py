"""The words of each utterance of a store, by the transcripts of its recordings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data.feature_files.tables import name_of
from avaffect.data.store.reader import Store
from avaffect.data.tables.locating import with_slashes
from avaffect.data.tables.texts import nfc
from avaffect.data.transcripts.reading import Transcripts
from avaffect.data.transcripts.words import Transcript
from avaffect.recipes.common.source_recordings import SOURCE
from avaffect.recipes.common.work import some_of

# Fields of frames: the recording that they are of, and where that begins in its file.
RECORDING = "recording"
RECORDING_START = "recording_start_s"


def is_of_frames(store: Store) -> bool:
    """Whether a store was made by `extract --frames-of`, so that utterances are frames."""
    return RECORDING in store.meta


@dataclass
class Spoken:
    """texts: (N,) of each utterance, as a number in `distinct`; -1: nothing is said in it. without:
    recordings, or utterances, without a transcript; apart: transcripts without a word in any
    utterance; count: of recordings and of transcripts that are of one; words: in these, beside: of
    them in no utterance."""

    texts: np.ndarray
    distinct: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    recordings: int = 0
    used: int = 0
    words: int = 0
    beside: int = 0


@dataclass
class _Part:
    """Utterances of one transcript: rows of the store, and the seconds in the transcript between
    which the words of each count."""

    rows: list[int] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


def words_of(store: Store, transcripts: Transcripts, around_s: float, progress: Progress) -> Spoken:
    """The words that are spoken in each utterance, or up to `around_s` seconds before and after it,
    or on either side of the middle of a frame.

    Raises DataError where no recording has a transcript, none overlaps with its own, or a
    transcript is damaged.
    """
    found = Spoken(np.full(store.count, -1, dtype=np.int64))
    parts = _parts(store, transcripts, found)
    number_of: dict[str, int] = {}
    shown = ""
    for name, part in parts.items():
        words = transcripts.of(name)
        _warn_of(transcripts, name, words, progress)
        heard = np.zeros(len(words.words), dtype=bool)
        for row, low, high in zip(part.rows, part.low, part.high):
            places = words.spoken(low - around_s, high + around_s)
            heard[places] = True
            if text := " ".join(words.words[place] for place in places.tolist()):
                found.texts[row] = number_of.setdefault(text, len(number_of))
        found.words, found.beside = found.words + len(heard), found.beside + int((~heard).sum())
        if len(heard) and not heard.any():
            found.apart.append(name)
            shown = shown or (
                f"words of {name} are from {words.starts[0]:g} to {words.ends.max():g} s, its "
                f"utterances from {min(part.low):g} to {max(part.high):g} s"
            )
    found.distinct = list(number_of)
    if store.count and not number_of:
        raise _nothing(store, transcripts, found, shown)
    _report(transcripts, found, set(parts), progress)
    return found


def _parts(store: Store, transcripts: Transcripts, found: Spoken) -> dict[str, _Part]:
    """Transcript -> its utterances; counts the recordings in `found`.

    A transcript that is named as the file counts from its beginning; one that is named as an
    utterance alone, or as the recording of frames, from theirs.
    """
    starts, ends = _times(store)
    frames = is_of_frames(store)
    owners = [str(name) for name in store.meta[RECORDING]] if frames else list(store.ids)
    begins = _begins(store)
    files, paths = _files(store), _paths(store)
    known = set(transcripts.names())
    # A single file may have any name, where there is one recording alone.
    one = len(set(files if any(files) else owners)) == 1
    alone = next(iter(known)) if transcripts.unnamed and one else None
    parts: dict[str, _Part] = {}
    for row, (owner, file, path) in enumerate(zip(owners, files, paths)):
        name = next((own for own in (owner, file, path) if own in known), alone)
        if name is None:
            continue
        low, high = float(starts[row]), float(ends[row])
        if name != owner or name in (file, path):
            low, high = low + begins[row], high + begins[row]
        elif not frames:
            low, high = 0.0, high - low
        part = parts.setdefault(name, _Part())
        part.rows.append(row)
        part.low.append((low + high) / 2 if frames else low)
        part.high.append((low + high) / 2 if frames else high)
    reached = {row for part in parts.values() for row in part.rows}
    found.without = list(dict.fromkeys(o for row, o in enumerate(owners) if row not in reached))
    found.recordings, found.used = len(set(owners)), len(parts)
    return parts


def _begins(store: Store) -> list[float]:
    """Where the recordings of frames begin in their files."""
    known = store.meta.get(RECORDING_START)
    return [0.0] * store.count if known is None else np.asarray(known, dtype=float).tolist()


def _files(store: Store) -> list[str]:
    """Of each utterance the name of its file, without folder and suffix; "" where it is unknown, or
    that of two files."""
    paths = [with_slashes(str(name)) for name in store.meta.get(SOURCE, [""] * store.count)]
    stems = [name_of(PurePosixPath(path).stem) for path in paths]
    paths_of: dict[str, set[str]] = {}
    for stem, path in zip(stems, paths):
        paths_of.setdefault(stem, set()).add(path)
    return [stem if len(paths_of[stem]) == 1 else "" for stem in stems]


def _paths(store: Store) -> list[str]:
    """Of each utterance the path of its file without suffix; "" where it is unknown."""
    sources = [with_slashes(str(name)) for name in store.meta.get(SOURCE, [""] * store.count)]
    return [nfc(PurePosixPath(path).with_suffix("").as_posix()) if path else "" for path in sources]


def _times(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """(N,) seconds each: where utterances begin in their recordings, and where they end.

    Raises DataError where the store does not know.
    """
    if "duration_s" in store.meta:
        lengths = np.asarray(store.meta["duration_s"], dtype=np.float64)
    else:
        lasting = [store.lengths(name) / spec.rate_hz for name, spec in store.streams.items()
                   if spec.rate_hz]  # fmt: skip
        if not lasting:
            raise DataError(
                f"{store.path} has no field duration_s and no stream: give the media store, or a "
                "store that extract made of it"
            )
        lengths = np.max(lasting, axis=0)
    starts = np.asarray(store.meta.get("start_s", np.zeros(store.count)), dtype=np.float64)
    starts = np.nan_to_num(starts)
    return starts, starts + np.nan_to_num(lengths)


def _nothing(store: Store, transcripts: Transcripts, found: Spoken, shown: str) -> DataError:
    """The error where nothing is said in any utterance. shown: times that do not overlap."""
    if len(found.without) == found.recordings:
        names = some_of(transcripts.names())
        return DataError(
            f"{transcripts.path} has no transcript of a recording of {store.path}: transcripts "
            f"are of {names}, recordings are {some_of(found.without)}"
        )
    if found.apart:
        return DataError(
            f"{transcripts.path}: no transcript overlaps the recording that it is of: {shown}; "
            "times are seconds from the beginning of the recording"
        )
    return DataError(f"{transcripts.path}: the transcripts have no words")


def _warn_of(transcripts: Transcripts, name: str, words: Transcript, progress: Progress) -> None:
    """What was wrong with a transcript."""
    file = transcripts.files.get(name, transcripts.path)
    for reason, lines in words.unusable.items():
        places = some_of([str(line) for line in lines])
        progress.warn(
            f"{file}: {count_of(len(lines), 'cue is', 'cues are')} left out: {reason} (lines "
            f"{places})"
        )
    if words.unordered:
        progress.warn(
            f"{file}: {count_of(words.unordered, 'cue begins', 'cues begin')} before the one "
            "above; all are sorted"
        )


def _report(transcripts: Transcripts, found: Spoken, used: set[str], progress: Progress) -> None:
    if found.without:
        progress.warn(
            f"{len(found.without)} of "
            f"{count_of(found.recordings, 'recording has', 'recordings have')} no transcript: "
            f"{some_of(found.without)}"
        )
    if found.apart:
        progress.warn(
            f"{len(found.apart)} of {count_of(found.used, 'transcript does', 'transcripts do')} "
            f"not overlap their recordings: {some_of(found.apart)}"
        )
    if 2 * found.beside > found.words:
        progress.warn(
            f"{found.beside} of {count_of(found.words, 'word is', 'words are')} in no utterance: "
            "if these are whole recordings, check that times are seconds, and that transcripts are "
            "theirs"
        )
    elif found.beside:
        progress.say(
            f"{found.beside} of {count_of(found.words, 'word is', 'words are')} in no utterance"
        )
    beside = [name for name in transcripts.names() if name not in used]
    if beside:
        progress.warn(
            f"{count_of(len(beside), 'transcript is', 'transcripts are')} of no recording here: "
            f"{some_of(beside)}"
        )
