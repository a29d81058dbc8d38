"""Data folders of Kaldi, which ESPnet, WeNet, k2 and others read too.

https://kaldi-asr.org/doc/data_prep.html: lines of "ID VALUE", sorted as bytes. wav.scp has the
recordings, segments the utterances that are parts of them, utt2spk and spk2utt their speakers, text
their words, spk2gender m or f. Every label and other field is a file utt2NAME, as utt2lang is.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange.kaldi_commands import decoded
from avaffect.data.exchange.listing import Listing, Utterance
from avaffect.data.exchange.reading import Found, corpus_of, of_channels
from avaffect.data.tables.texts import read_text
from avaffect.settings.manifest import ManifestSettings

NAME = "kaldi"
OPTIONS = ("label", "scalar", "field", "map", "prefix", "no_check_media", "root", "encoding")
FOLDER = True
TAKEN = r"spk|dur|num_frames|uniq|[^/]*/.*"
NEEDS = ()
WORDS = "text"
SEX, SEXES = "sex", {"female": "f", "male": "m"}
# A command that decodes a recording, as Kaldi has for what is not WAV.
_COMMAND = "ffmpeg -v error -i {} -f wav -"
_OWN = ("utt2spk", "utt2dur", "utt2num_frames", "utt2uniq")


def write(listing: Listing, output: Path) -> None:
    """Raises DataError for an id, speaker or name of a recording with a blank, which separates
    fields in Kaldi."""
    listing.lose_videos()
    names = listing.names()
    _check_ids(listing, names)
    by_recording = listing.by_recording()
    has_parts = any(one.is_part for one in listing)
    # Without parts an utterance is its recording.
    keys = {one.id: names[p] if has_parts else one.id for p, own in by_recording.items()
            for one in own}  # fmt: skip
    paths = {keys[one.id]: listing.path(one) for own in by_recording.values() for one in own}
    # As they are: blanks of a path say which it is.
    _file(output / "wav.scp", {key: [_extended(path)] for key, path in paths.items()})
    known = [one for one in listing if one.id in keys]
    if has_parts:
        _file(output / "segments", {one.id: _segment(listing, one, keys[one.id]) for one in known})
    _speakers(listing, known, output)
    for name in listing.fields:
        if name != "speaker":
            values = {one.id: str(one.fields[name]) for one in known if name in one.fields}
            # Kaldi wants all utterances in it, those without words too.
            spoken = {one.id: values.get(one.id, "") for one in known}
            _file(output / (WORDS if name == WORDS else f"utt2{name}"),
                  spoken if name == WORDS else values)  # fmt: skip
    for name in listing.plain_labels():
        _file(
            output / f"utt2{name}", {o.id: str(o.labels[name]) for o in known if name in o.labels}
        )


def _check_ids(listing: Listing, names: Mapping[str, str]) -> None:
    has_parts = any(one.is_part for one in listing)
    for one in listing:
        recording = names[one.media] if has_parts and one.media else "-"
        for name in (one.id, str(one.fields.get("speaker", "-")), recording):
            if not name or re.search(r"\s", name):
                raise DataError(f"{one.id}: {name!r} has a blank, which separates fields in Kaldi")


def _extended(path: Path) -> str:
    return (
        str(path)
        if path.suffix.lower() == ".wav"
        else f"{_COMMAND.format(shlex.quote(str(path)))} |"
    )


def _segment(listing: Listing, one: Utterance, key: str) -> str:
    start, end = listing.span(one)
    return f"{key} {start:.6f} {end:.6f}"


def _speakers(listing: Listing, known: list[Utterance], output: Path) -> None:
    """Without a speaker an utterance is its own, as Kaldi says it should be."""
    speakers = {one.id: str(one.fields.get("speaker", one.id)) for one in known}
    _file(output / "utt2spk", speakers)
    spoken: dict[str, list[str]] = {}
    for identifier in sorted(speakers, key=str.encode):
        spoken.setdefault(speakers[identifier], []).append(identifier)
    _file(output / "spk2utt", {speaker: " ".join(own) for speaker, own in spoken.items()})
    sexes = {
        speakers[one.id]: SEXES[str(one.fields[SEX])]
        for one in known
        if "speaker" in one.fields and one.fields.get(SEX) in SEXES
    }
    _file(output / "spk2gender", sexes)


def _file(path: Path, values: Mapping[str, str | list[str]]) -> None:
    """Lines in the order of LC_ALL=C sort, which Kaldi requires. Nothing where there is nothing."""
    keys = sorted(values, key=str.encode)
    split = {key: v.split() if isinstance(v := values[key], str) else v for key in keys}
    lines = [" ".join([key, *split[key]]) + "\n" for key in keys]
    if lines:
        path.write_text("".join(lines), encoding="utf-8")


def read(settings: ManifestSettings) -> Corpus:
    """A data folder with wav.scp. Files utt2NAME are labels where --label or --scalar names them,
    and fields otherwise; `emotion` is a label.

    Commands in wav.scp are not run: the recording that one decodes is read where it names one and
    leaves its times as they are.
    Raises DataError for a line that is not as Kaldi has it.
    """
    folder = settings.source
    if not (folder / "wav.scp").is_file():
        raise DataError(f"{folder} has no wav.scp, which a data folder of Kaldi has")
    recordings = _lines(folder / "wav.scp")
    found = Found(settings, NAME, folder.resolve(), [folder / "wav.scp"])
    columns = {p.name.removeprefix("utt2"): p for p in sorted(folder.glob("utt2*"))
               if p.name not in _OWN}  # fmt: skip
    given = {"speaker": folder / "utt2spk", WORDS: folder / WORDS, **columns}
    values = {name: _lines(path) for name, path in given.items() if path.is_file()}
    found.tables += [path for path in given.values() if path.is_file()]
    sexes = _sexes(folder, found)
    segments = _segments(folder, recordings, found)
    there = {*segments, *itertools.chain(*found.lost.values())}
    for name, lines in values.items():
        stray = sorted(lines.keys() - there)
        if stray:
            found.left_out[f"lines of {given[name].name} for no utterance of the folder"] += stray
    for identifier, (recording, start, end) in segments.items():
        own = {name: lines[identifier] for name, lines in values.items() if identifier in lines}
        if own.get("speaker") == identifier:
            del own["speaker"]
        if own.get("speaker") in sexes:
            own[SEX] = sexes[own["speaker"]]
        try:
            media, channels = decoded(recordings[recording])
        except ValueError as error:
            found.lose(f"a command in wav.scp that {error}", identifier)
            continue
        found.add(identifier, media, start, end, {**of_channels(channels), **own})
    return corpus_of(found)


def _sexes(folder: Path, found: Found) -> dict[str, str]:
    path = folder / "spk2gender"
    if not path.is_file():
        return {}
    found.tables.append(path)
    back = {short: name for name, short in SEXES.items()}
    return {speaker: back.get(letter, letter) for speaker, letter in _lines(path).items()}


def _segments(
    folder: Path, recordings: Mapping[str, str], found: Found
) -> dict[str, tuple[str, float, float | None]]:
    """Utterance -> recording, start, and end (None: the recording's)."""
    path = folder / "segments"
    if not path.is_file():
        return {identifier: (identifier, 0.0, None) for identifier in recordings}
    found.tables.append(path)
    spans: dict[str, tuple[str, float, float | None]] = {}
    for identifier, line in _lines(path).items():
        try:
            recording, start, end, *_ = line.split()
            times = float(start), float(end)
        except ValueError as error:
            raise DataError(
                f"{path}: {identifier} {line[:60]!r}; expected a recording, its start and end in s"
            ) from error
        if recording not in recordings:
            found.lose("a segment of a recording that wav.scp has not", identifier)
            continue
        # -1 stands for the end of the recording.
        spans[identifier] = recording, times[0], None if times[1] < 0 else times[1]
    return spans


def _lines(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        # Blanks or tabs, as Kaldi reads them.
        key, *rest = re.split(r"[ \t]+", line.strip(), maxsplit=1)
        if key in found:
            raise DataError(f"{path}, line {number}: {key} occurs twice")
        found[key] = rest[0] if rest else ""
    return found
