"""Single flipped bits: `check` notices all that change what is read, opening those of headers.

A store that is replaced while it is read; an output that is damaged is not up to date.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stores import LABELS, POOLED, STREAMS, make

from avaffect.core import checkpoint_header
from avaffect.core.errors import DataError, OutputExistsError
from avaffect.core.progress import SILENT
from avaffect.core.provenance import provenance
from avaffect.data import artifacts, manifest
from avaffect.data.store import mapping, schema
from avaffect.data.store.reader import Store
from avaffect.data.store.structure import read_header
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common import publishing
from avaffect.recipes.common.verification import verify
from avaffect.settings.base import Common
from avaffect.training import checkpoint

RECORD = provenance("test", {"rate": 1e-5, "name": "Müller"}, [])
STATISTICS = {"frames": 7, "mean": [0.25], "std": [0.5]}


def _store(path: Path) -> Path:
    with store_writer(path, RECORD, streams=STREAMS, labels=LABELS, pooled=POOLED) as writer:
        for n in range(3):
            writer.add(
                f"id_{n}",
                streams={"waveform": np.arange(9 * n, dtype="int16"),
                         "face": np.full((n, 2, 4, 1), n, "uint8")},
                labels={"emotion": "anger", "arousal": 0.5, "valence": np.arange(n) / 9},
                meta={"speaker": f"s{n}", "start_s": 0.1 * n},
                pooled={"mean": np.arange(4)},
            )  # fmt: skip
        writer.set_statistics("face", STATISTICS)
    return path


def _checkpoint(path: Path) -> Path:
    checkpoint.save(
        path, "classifier", {"a.weight": torch.ones(2, 3), "b": torch.arange(3)},
        model={"name": "head", "configuration": {"size": 3, "rate": 1e-5}},
        labels={"emotion": ["anger", "joy"]}, labelled_speakers=["s1", "s2", "emodb_03"],
        metrics={"ua": 0.5}, provenance=RECORD,
    )  # fmt: skip
    return path


def _manifest(path: Path) -> Path:
    items = [{"id": f"u{n}", "media": f"u{n}.wav", "labels": {"arousal": 1e-5}} for n in range(3)]
    header = manifest.new_header("corpus", base=".", labels={"arousal": {}}, provenance=RECORD)
    manifest.write(path, header, items)
    return path


def _read_store(path: Path) -> Any:
    """All that a store says, and where it lies in the file does not matter."""
    store = Store(path)
    arrays = {name: store.values(name) for name in store.streams}
    arrays |= {f"{n} offsets": store.offsets(n) for n in store.streams}
    arrays |= {f"{n} digests": store.digests(n) for n in store.streams}
    arrays |= {f"{n} pooled": store.pooled_vectors(n) for n in store.pooled}
    for name, spec in store.labels.items():
        blocks = store.trace_blocks(name) if spec.kind == "trace" else [store.label(name)]
        arrays[f"{name} label"] = np.concatenate([np.zeros(0), *(b.ravel() for b in blocks)])
    columns = {name: list(values) for name, values in store.meta.items()}
    statistics = {name: spec.statistics for name, spec in store.streams.items()}
    said = [store.version, store.ids, columns, store.streams, store.labels, store.pooled]
    bits = {name: values.tobytes() for name, values in arrays.items()}
    return repr([*said, store.provenance, statistics, store.content_id]), bits


def _read_checkpoint(path: Path) -> Any:
    return checkpoint_header.read_header(path), repr(load_file(path))


def _read_manifest(path: Path) -> Any:
    found = manifest.read(path)
    return found.header, found.items


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    "store": (_store, _read_store),
    "checkpoint": (_checkpoint, _read_checkpoint),
    "manifest": (_manifest, _read_manifest),
}


# A store takes longer to verify.
FLIPS = {"store": 60, "checkpoint": 300, "manifest": 300}


def _flipped(
    content: bytes, positions: Iterable[int], seed: int = 0
) -> Iterable[tuple[int, bytes]]:
    draw = random.Random(seed)
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= 1 << draw.randrange(8)
        yield position, bytes(changed)


def _passes(call: Callable[[Path], Any], path: Path) -> bool:
    try:
        call(path)
    except DataError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_check_notices_every_bit_that_means_something(kind: str, tmp_path: Path) -> None:
    make_one, read = KINDS[kind]
    path = make_one(tmp_path / "artifact")
    assert verify(path) == ""
    content, right = path.read_bytes(), read(path)
    count = min(FLIPS[kind], len(content))
    chosen = random.Random(1).sample(range(len(content)), count)
    unnoticed = []
    for position, changed in _flipped(content, chosen):
        path.write_bytes(changed)
        if _passes(verify, path):
            unnoticed.append(position)
            # Slack of HDF5, or another spelling of the same number.
            assert read(path) == right, position
    if kind != "store":
        assert len(unnoticed) <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_opening_notices_every_bit_of_a_header(kind: str, tmp_path: Path) -> None:
    make_one, read = KINDS[kind]
    path = make_one(tmp_path / "artifact")
    content, right = path.read_bytes(), read(path)
    told = b"labelled_speakers" if kind == "checkpoint" else b'"M\xc3\xbcller"'
    places = [content.index(text) for text in (told, b"settings")]
    if kind == "store":
        places.append(content.index(b'"frames"'))
    positions = [start + offset for start in places for offset in range(0, 40, 4)]
    opening = {"store": Store, "checkpoint": checkpoint.load, "manifest": manifest.read}[kind]
    for position, changed in _flipped(content, positions):
        path.write_bytes(changed)
        if _passes(opening, path):
            assert read(path) == right, position
        assert _passes(artifacts.describe, path) == _passes(opening, path)


def test_a_flipped_speaker_is_never_accepted(tmp_path: Path) -> None:
    """`finetune` would take a test speaker whose labels were seen for a new one."""
    path = _checkpoint(tmp_path / "x.safetensors")
    content = path.read_bytes()
    start = content.index(b"emodb_03")
    for _, changed in _flipped(content, range(start, start + 8)):
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"damaged|not a safetensors"):
            checkpoint.load(path)


def test_files_of_version_one_are_read_and_check_says_what_has_no_digest(
    tmp_path: Path, monkeypatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", "1.0")
        path = _store(tmp_path / "old.h5")
    assert Store(path).version == "1.0"
    assert "version 1.0" in verify(path) and "statistics" in verify(path)
    fresh = _store(tmp_path / "new.h5")
    assert Store(fresh).content_id == Store(path).content_id
    lines = _manifest(tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()
    old = tmp_path / "old.jsonl"
    lines[0] = lines[0].replace('"version":"1.1"', '"version":"1.0"')
    old.write_text("\n".join([*lines[:-1], '{"kind":"end","count":3}', ""]), encoding="utf-8")
    assert manifest.read(old).content_id == manifest.read(tmp_path / "m.jsonl").content_id
    assert "version 1.0" in verify(old)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_output_is_not_up_to_date(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind][0](tmp_path / "artifact")
    content = path.read_bytes()

    def current(record=RECORD, force: bool = False) -> bool:
        return publishing.is_current(Common(output=path, force=force), record, SILENT)

    assert current()
    with pytest.raises(OutputExistsError):
        current({**RECORD, "command": "other"})
    place = content.index("Müller".encode())
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    cut = (content[:-1], content[:-9], content[: len(content) // 2])
    for changed in (flipped, *cut, content + b"\n"):
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"damaged|cut short|was changed") as caught:
            current()
        assert "delete it, or overwrite it with --force" in str(caught.value)
        assert not current(force=True)
    for _, changed in _flipped(content, range(9)):
        path.write_bytes(changed)
        with pytest.raises((DataError, OutputExistsError)):
            current()
    path.write_text("notes of somebody\n")
    with pytest.raises(OutputExistsError):
        current()


def test_a_flipped_weight_is_seen_where_that_is_cheap(tmp_path: Path, monkeypatch) -> None:
    path = _checkpoint(tmp_path / "x.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        publishing.is_current(Common(output=path), RECORD, SILENT)
    monkeypatch.setattr(publishing, "SMALL_BYTES", 0)
    assert publishing.is_current(Common(output=path), RECORD, SILENT)


def test_bytes_behind_a_store_are_damage_and_do_not_keep_it_from_being_read(tmp_path: Path) -> None:
    path = _store(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes() + b"12")
    with pytest.raises(DataError, match="2 bytes were appended"):
        verify(path)
    assert Store(path).count == 3


def test_values_belong_to_the_file_whose_header_was_checked(tmp_path: Path, monkeypatch) -> None:
    """The path names another store between the header and the values."""
    path, other = make(tmp_path / "a.h5", 5), make(tmp_path / "b.h5", 4)
    expected = Store(path).values("features").copy()
    store = Store(path)
    plain = mapping.Pages.of.__func__

    def replaced(cls, descriptor: int, before):
        if other.exists():
            other.replace(path)
        return plain(cls, descriptor, before)

    monkeypatch.setattr(mapping.Pages, "of", classmethod(replaced))
    np.testing.assert_array_equal(store.values("features"), expected)
    # What is read next is of another file, and is refused.
    with pytest.raises(DataError, match="replaced while it was read"):
        store.values("waveform")


def test_equal_content_in_another_layout_is_mapped_anew(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    store = Store(path)
    features = store.values("features")
    longer = make(tmp_path / "b.h5")
    # The same content behind a longer record: all values lie elsewhere.
    with store_writer(longer, {**RECORD, "note": "x" * 9999}, streams=STREAMS, labels=LABELS,
                      pooled=POOLED) as writer:  # fmt: skip
        for row, name in enumerate(store.ids):
            writer.add(
                name,
                streams={n: store.read(n, row) for n in store.streams},
                labels={"emotion": "anger", "arousal": 0.5, "valence": store.trace("valence", row)},
                meta={n: v[row] for n, v in store.meta.items()},
                pooled={"mean": store.pooled_vectors("mean")[row]},
            )
    expected = Store(longer).values("waveform").copy()
    fresh = Store(path)
    fresh.values("features")
    assert read_header(longer).content_id == store.content_id
    longer.replace(path)
    np.testing.assert_array_equal(fresh.values("waveform"), expected)
    np.testing.assert_array_equal(fresh.values("features"), features)


def test_the_digest_is_what_the_manual_says(tmp_path: Path) -> None:
    path = _checkpoint(tmp_path / "x.safetensors")
    header = checkpoint_header.read_header(path)
    said = header.pop("header_digest")
    table = [["a.weight", "F32", [2, 3]], ["b", "I64", [3]]]
    text = json.dumps([header, table], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert said == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
