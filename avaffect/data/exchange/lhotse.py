"""Manifests of lhotse: recordings, supervisions and cuts, JSON Lines compressed by gzip.

https://lhotse.readthedocs.io/en/latest/corpus.html. Labels, and fields that a supervision has no
place for, are in its `custom`, where lhotse finds them as attributes (supervision.emotion).
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core import plain_json
from avaffect.core.errors import DataError
from avaffect.data import items, manifest
from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange.listing import Listing, Utterance, steps_of
from avaffect.data.exchange.reading import Found, corpus_of, of_channels
from avaffect.settings.manifest import ManifestSettings

NAME = "lhotse"
OPTIONS = ("label", "scalar", "field", "map", "prefix", "no_check_media", "root")
FOLDER = True
TAKEN = ""
NEEDS = ()
# Field -> key of a supervision.
OWN = {"text": "text", "language": "language", "speaker": "speaker", "sex": "gender"}
KINDS = ("recordings", "supervisions", "cuts")
_DAMAGE = (OSError, EOFError, ValueError, zlib.error)


def write(listing: Listing, output: Path) -> None:
    """Raises DataError for a recording without audio."""
    listing.lose_videos()
    names = listing.names()
    recordings: dict[str, dict[str, Any]] = {}
    supervisions, cuts = [], []
    for path, own in listing.by_recording().items():
        facts = listing.recorded(own[0])
        if not facts.samples:
            raise DataError(f"{path} has no audio, which lhotse's recordings have")
        recordings[path] = {
            "id": names[path],
            "sources": [{"type": "file", "channels": list(range(facts.channels)),
                         "source": str(listing.path(own[0]))}],
            "sampling_rate": facts.rate_hz,
            "num_samples": facts.samples,
            "duration": facts.samples / facts.rate_hz,
            "channel_ids": list(range(facts.channels)),
        }  # fmt: skip
    for one in listing:
        if one.media:
            recording = recordings[one.media]
            said = _supervision(listing, one, recording)
            supervisions.append(said)
            cuts.append(_cut(said, recording))
    for kind, records in zip(KINDS, (recordings.values(), supervisions, cuts)):
        _save(output / f"{kind}.jsonl.gz", records)


def _supervision(listing: Listing, one: Utterance, recording: Mapping[str, Any]) -> dict[str, Any]:
    start, end = listing.span(one)
    channels = _channels(one, recording)
    custom: dict[str, Any] = {name: value for name, value in one.fields.items() if name not in OWN}
    for name, value in one.labels.items():
        custom[name] = steps_of(value) if isinstance(value, np.ndarray) else value
    return {
        "id": one.id,
        "recording_id": recording["id"],
        "start": start,
        "duration": round(min(end, recording["duration"]) - start, 9),
        "channel": channels if len(channels) > 1 else channels[0],
        **{key: str(one.fields[name]) for name, key in OWN.items() if name in one.fields},
        "custom": custom,
    }


def _channels(one: Utterance, recording: Mapping[str, Any]) -> list[int]:
    """Those of an utterance. Raises DataError for those that its recording lacks."""
    try:
        chosen = list(items.channels_of(one.fields))
    except ValueError as error:
        raise DataError(f"{one.id}: its audio_channels are {error}") from error
    if not {*chosen} <= {*recording["channel_ids"]}:
        raise DataError(f"{one.id}: its audio_channels are {chosen}; the recording "
                        f"{recording['id']} has {recording['channel_ids']}")  # fmt: skip
    return chosen or list(recording["channel_ids"])


def _cut(said: Mapping[str, Any], recording: Mapping[str, Any]) -> dict[str, Any]:
    several = isinstance(said["channel"], list)
    return {
        "id": said["id"],
        "start": said["start"],
        "duration": said["duration"],
        "channel": said["channel"],
        "supervisions": [{**said, "start": 0.0}],
        "recording": recording,
        "type": "MultiCut" if several else "MonoCut",
    }


def _save(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Without the time and the name that gzip writes, so that equal work has equal bytes."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def read(settings: ManifestSettings) -> Corpus:
    """A folder with recordings and supervisions, or with cuts, or a file of cuts.

    Raises DataError where there are none, a file is damaged, or a record lacks what it must have.
    """
    source = settings.source
    files = {kind: _files(source, kind) for kind in KINDS}
    use_cuts = not (files["recordings"] and files["supervisions"])
    chosen = files["cuts"] if use_cuts else files["recordings"] + files["supervisions"]
    if source.is_file():
        chosen, use_cuts = [source], True
    if not chosen:
        raise DataError(f"{source} has neither recordings.jsonl.gz and supervisions.jsonl.gz nor "
                        "cuts.jsonl.gz")  # fmt: skip
    found = Found(settings, NAME, source if source.is_dir() else source.parent, chosen)
    if use_cuts:
        for path in chosen:
            for record in _records(path):
                _guarded(path, record, lambda record: _add_cut(found, record))
        return corpus_of(found)
    recordings = {r["id"]: r for path in files["recordings"] for r in _records(path) if "id" in r}
    for path in files["supervisions"]:
        for record in _records(path):
            known = recordings.get(str(record.get("recording_id")))
            if known is None:
                found.lose("of no recording in the manifest", str(record.get("id")))
            else:
                _guarded(path, record, lambda record, own=known: _add(found, record, own, 0.0))
    return corpus_of(found)


def _files(source: Path, kind: str) -> list[Path]:
    if not source.is_dir():
        return []
    return sorted(p for p in source.iterdir() if kind in p.name and ".jsonl" in p.suffixes)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rb") as stream:
            for line in manifest.lines_of(stream, str(path)):
                number += 1
                record = plain_json.parse(line)
                if not isinstance(record, dict):
                    raise ValueError("no JSON object")
                yield record
    except _DAMAGE as error:
        raise DataError(f"{path}, line {number}: not a manifest of lhotse ({error})") from error


def _guarded(path: Path, record: dict[str, Any], add: Any) -> None:
    try:
        add(record)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"{path}: {record.get('id')} is no record of lhotse ({error!r})") from error


def _add_cut(found: Found, cut: dict[str, Any]) -> None:
    """The supervisions of a cut; their times start with the cut."""
    if "recording" not in cut:
        found.lose(f"a cut of the type {cut.get('type')}, without one recording", str(cut["id"]))
        return
    for said in cut.get("supervisions") or [{"id": cut["id"], "start": 0.0,
                                              "duration": cut["duration"]}]:  # fmt: skip
        _add(found, said, cut["recording"], float(cut["start"]))


def _add(found: Found, said: dict[str, Any], recording: dict[str, Any], offset: float) -> None:
    source, channels = _source(said, recording)
    if source is None:
        found.lose("channels of several files", said["id"])
        return
    if source["type"] != "file":
        found.lose(f"a recording of the type {source['type']}, which is no file", said["id"])
        return
    changed = _changed(recording)
    if changed:
        found.lose(f"a recording that is not as its file is ({changed})", said["id"])
        return
    start = offset + float(said["start"])
    end = start + float(said["duration"])
    whole = not start and abs(end - float(recording["duration"])) < 1e-3
    values = {**of_channels(channels), **(said.get("custom") or {})}
    values |= {name: said[key] for name, key in OWN.items() if said.get(key) is not None}
    found.add(str(said["id"]), source["source"], start, None if whole else round(end, 9), values)


def _source(
    said: dict[str, Any], recording: dict[str, Any]
) -> tuple[dict[str, Any] | None, str | None]:
    """The file of a supervision's channels, None where they are of several; and which of its
    channels they are, None: all. Without channels, as in old manifests, they are the first file's.
    """
    sources, channels = recording["sources"], said.get("channel")
    if channels is None:
        return sources[0], None
    wanted = {*(channels if isinstance(channels, list) else [channels])}
    for source in sources:
        own = list(source["channels"])
        if wanted <= {*own}:
            chosen = [place for place, channel in enumerate(own) if channel in wanted]
            return source, None if len(chosen) == len(own) else ",".join(map(str, chosen))
    return None, None


def _changed(recording: dict[str, Any]) -> str:
    """What lhotse does to a recording when it loads it, but for resampling."""
    transforms = recording.get("transforms") or ()
    names = [str(one.get("name")) for one in transforms if isinstance(one, dict)]
    return ", ".join(name for name in names if name != "Resample")
