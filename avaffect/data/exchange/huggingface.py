"""Data sets of Hugging Face's datasets: Parquet files, a file a split, which load_dataset reads.

https://huggingface.co/docs/datasets/about_dataset_features: the schema's metadata describe the
features: recordings are of the type Audio (bytes, path), classes of the type ClassLabel. Read are
Parquet files, and the Arrow files of save_to_disk.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avaffect.core import faults, plain_json
from avaffect.core.atomic import atomic_path
from avaffect.core.errors import DataError, UsageError
from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange.listing import Listing, Utterance, steps_of
from avaffect.data.exchange.reading import Found, corpus_of
from avaffect.data.exchange.tiers import files_of
from avaffect.data.tables.spellings import splits_of
from avaffect.settings.manifest import ManifestSettings

NAME = "huggingface"
OPTIONS = ("label", "scalar", "field", "map", "prefix", "no_check_media", "root", "unpack")
FOLDER = True
TAKEN = r"audio|id|start|end"
NEEDS = ("pyarrow",)
AUDIO = "audio"
SPLITS = {"development": "validation"}
KEY = b"huggingface"
_PART = re.compile(r"([\w.]+?)-\d+-of-\d+(?:-[0-9a-f]+)?")
# First bytes -> suffix, of recordings without a name.
_MAGIC = ((b"RIFF", ".wav"), (b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"),
          (b"\xff\xfb", ".mp3"))  # fmt: skip
_TIMES = ("start", "end")


def write(listing: Listing, output: Path) -> None:
    """Recordings are named by their absolute paths, or with `listing.embeds` contained."""
    import pyarrow
    from pyarrow import parquet

    listing.lose_videos()
    listing.by_recording()
    by_split: dict[str, list[Utterance]] = defaultdict(list)
    for one in listing:
        split = str(one.fields.get("split", "train"))
        if not re.fullmatch(r"\w[\w.]*", split):
            raise DataError(f"{one.id}: its split is {split!r}; the name of a file is made of it")
        if one.media:
            by_split[SPLITS.get(split, split)].append(one)
    features = _features(listing)
    metadata = {KEY: json.dumps({"info": {"features": features}}, ensure_ascii=False).encode()}
    schema = pyarrow.schema(
        [(name, _arrow(feature)) for name, feature in features.items()], metadata=metadata
    )
    (output / "data").mkdir()
    for split, own in by_split.items():
        path = output / "data" / f"{split}-00000-of-00001.parquet"
        with parquet.ParquetWriter(path, schema) as stream:
            for start in range(0, len(own), 256):
                rows = [_row(listing, one, features) for one in own[start : start + 256]]
                stream.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _features(listing: Listing) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {AUDIO: {"_type": "Audio"}, "id": _value("string")}
    if any(one.is_part for one in listing):
        found |= {name: _value("float64") for name in _TIMES}
    for name in listing.fields:
        if name == "split":
            continue
        kinds = {type(one.fields[name]) for one in listing if name in one.fields}
        plain = "int64" if kinds == {int} else "float64" if kinds <= {int, float} else "string"
        found[name] = _value(plain)
    for name, spec in listing.labels.items():
        if spec.kind == "class":
            have = {str(one.labels[name]) for one in listing if name in one.labels}
            names = [*spec.classes, *sorted(have - {*spec.classes})]
            found[name] = {"names": names, "_type": "ClassLabel"}
        elif spec.kind == "distribution":
            found[name] = {part: _value("float64") for part in spec.classes}
        elif spec.kind == "scalar":
            found[name] = _value("float64")
        else:
            value = _value("float32")
            value = {"feature": value, "_type": "List"} if spec.raters else value
            found[name] = {"feature": value, "_type": "List"}
    return found


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _arrow(feature: dict[str, Any]) -> Any:
    """The type in Arrow of a feature."""
    import pyarrow

    kind = feature.get("_type")
    if kind == "Audio":
        return pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    if kind == "ClassLabel":
        return pyarrow.int64()
    if kind == "Value":
        return getattr(pyarrow, str(feature["dtype"]))()
    if kind == "List":
        return pyarrow.list_(_arrow(feature["feature"]))
    return pyarrow.struct({name: _arrow(part) for name, part in feature.items()})


def _row(listing: Listing, one: Utterance, features: dict[str, dict[str, Any]]) -> dict[str, Any]:
    path = listing.path(one)
    audio: dict[str, Any] = {"bytes": None, "path": str(path)}
    if listing.embeds:
        audio = {"bytes": path.read_bytes(), "path": path.name}
    row: dict[str, Any] = {AUDIO: audio, "id": one.id, "start": one.start, "end": one.end}
    for name, value in {**one.fields, **one.labels}.items():
        feature = features.get(name, {})
        if feature.get("_type") == "ClassLabel":
            value = feature["names"].index(str(value))
        elif feature.get("dtype") == "string":
            value = str(value)
        elif feature.get("_type") == "List":
            value = steps_of(value)
        row[name] = value
    return {name: row.get(name) for name in features}


def read(settings: ManifestSettings) -> Corpus:
    """A folder of Parquet or Arrow files, or one file. Splits are those of the files' names.

    Contained recordings are written to `settings.unpack`. Raises UsageError without pyarrow, or
    where recordings are contained and there is no such folder, DataError where a file is damaged.
    """
    if find_spec("pyarrow") is None:
        raise UsageError("Parquet and Arrow need pyarrow: python -m pip install pyarrow")
    files = files_of(settings.source, (".parquet", ".arrow"))
    # What datasets keeps of computations.
    files = [path for path in files if not path.name.startswith("cache-")]
    root = settings.unpack or (settings.source if settings.source.is_dir() else files[0].parent)
    found = Found(settings, NAME, root.resolve(), files)
    number = 0
    for path in files:
        split = _split(settings.source, path)
        for row, features in _rows(path):
            number += 1
            _add(found, row, features, split, number)
    return corpus_of(found)


def _split(source: Path, path: Path) -> str | None:
    """By the name of the file, or of its folder, as save_to_disk has it."""
    match = _PART.fullmatch(path.stem)
    names = [match[1] if match else path.stem]
    if path.parent != source:
        names.append(path.parent.name)
    known = splits_of(names)
    return next((known[name] for name in names if name in known), None)


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Rows, each with the features. Raises DataError where the file is damaged."""
    import pyarrow
    from pyarrow import ipc, parquet

    damage = (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError)
    try:
        if path.suffix == ".parquet":
            with parquet.ParquetFile(path) as file:
                features = _described(path, file.schema_arrow)
                for batch in file.iter_batches(batch_size=256):
                    yield from ((row, features) for row in batch.to_pylist())
            return
        with path.open("rb") as stream, ipc.open_stream(stream) as batches:
            features = _described(path, batches.schema)
            for batch in batches:
                yield from ((row, features) for row in batch.to_pylist())
    except damage as error:
        faults.check_machine(path, error)
        raise DataError(f"{path} is no Parquet or Arrow file, or is damaged ({error})") from error


def _described(path: Path, schema: Any) -> dict[str, Any]:
    """Name -> feature; by the schema's metadata, or the file that save_to_disk writes beside."""
    beside = path.parent / "dataset_info.json"
    text = (schema.metadata or {}).get(KEY)
    if text is not None:
        found = plain_json.parse(text).get("info", {}).get("features")
    else:
        found = plain_json.parse(beside.read_bytes()).get("features") if beside.is_file() else None
    features: dict[str, Any] = {name: {} for name in schema.names}
    return {**features, **(found or {})}


def _add(
    found: Found, row: dict[str, Any], features: dict[str, Any], split: str | None, number: int
) -> None:
    values: dict[str, Any] = {"split": split} if split else {}
    media: Any = None
    for name, value in row.items():
        feature = features.get(name) or {}
        kind = feature.get("_type") if isinstance(feature, dict) else None
        is_media = isinstance(value, dict) and {*value} == {"bytes", "path"}
        if kind in ("Audio", "Video") or is_media:
            media = value
        elif kind == "ClassLabel":
            known = isinstance(value, int) and 0 <= value < len(feature["names"])
            values[name] = feature["names"][value] if known else None
            found.labels.setdefault(name, {"kind": "class", "classes": feature["names"]})
        else:
            values[name] = value
    named = next((str(values[key]) for key in ("id", "file", "path") if values.get(key)), None)
    path = _recording(found, media, values, named, number)
    if path is None:
        found.lose("no recording", named or f"row {number}")
        return
    identifier = str(values.pop("id", None) or Path(path).stem)
    start, end = (values.pop(name, None) for name in _TIMES)
    found.add(identifier, path, start, end, values)


def _recording(
    found: Found, media: Any, values: dict[str, Any], named: str | None, number: int
) -> str | None:
    """The path of a recording; a contained one is written to the folder of `unpack`."""
    if not isinstance(media, dict):
        return next((str(values[k]) for k in ("path", "file") if values.get(k)), None)
    name, content = media.get("path"), media.get("bytes")
    if not content:
        return name
    folder = found.settings.unpack
    if folder is None:
        raise UsageError(f"{found.settings.source} contains its recordings; name a folder for them "
                         "with --unpack")  # fmt: skip
    suffix = Path(name).suffix if name else ""
    suffix = suffix or next((end for magic, end in _MAGIC if content.startswith(magic)), ".mp4")
    stem = re.sub(r"[^\w.-]", "_", Path(name or named or str(number)).name)
    stem = stem.removesuffix(suffix) or str(number)
    path = _free(folder, [stem, f"{stem}_{number}"], suffix, content)
    if not found.settings.dry_run and not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return path.name


def _free(folder: Path, stems: list[str], suffix: str, content: bytes) -> Path:
    """The first of the names, the last also with _2, _3 and so on, that has this content, or is not
    there: files of other recordings stay as they are."""
    further = (f"{stems[-1]}_{number}" for number in itertools.count(2))
    paths = (folder / f"{name}{suffix}" for name in itertools.chain(stems, further))
    return next(path for path in paths if not path.exists() or _holds(path, content))


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content
