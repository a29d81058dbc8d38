"""Every reader of a store notices changed values, columns and texts: not `check` alone."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from chain import ROOT, invoke
from stores import make, write_store

from avaffect.core.errors import DataError
from avaffect.data.dataset import dataset_of
from avaffect.data.store import heaps, integrity, schema
from avaffect.data.store.reader import Store
from avaffect.data.store.verifying import verify_store


def _changed(path: Path, name: str, place: int = -1) -> Path:
    """One bit of the last byte, or of another, of a dataset."""
    with h5py.File(path) as file:
        dataset = file[name]
        start, size = dataset.id.get_offset(), dataset.nbytes
    content = bytearray(path.read_bytes())
    content[start + place % size] ^= 1
    path.write_bytes(content)
    return path


LAST = 4
READERS: dict[str, Callable[[Store], object]] = {
    "id": lambda store: store.ids,
    "meta/speaker": lambda store: store.meta["speaker"],
    "meta/start_s": lambda store: store.meta["start_s"],
    "labels/emotion": lambda store: store.label("emotion"),
    "labels/votes": lambda store: store.label("votes"),
    "labels/valence/values": lambda store: store.trace("valence", LAST),
    "labels/valence/digest": lambda store: store.trace("valence", LAST),
    "streams/features/values": lambda store: store.read("features", LAST),
    "digest/features": lambda store: store.read("features", LAST),
    "pooled/mean": lambda store: store.pooled_vectors("mean"),
}
IN_BLOCKS: dict[str, Callable[[Store], object]] = {
    "id": lambda store: list(store.id_blocks()),
    "meta/speaker": lambda store: store.meta_at("speaker", np.arange(2)),
    "labels/valence/values": lambda store: list(store.trace_blocks("valence")),
    "streams/features/values": lambda store: list(store.blocks("features")),
    "pooled/mean": lambda store: list(store.pooled_blocks("mean")),
}


@pytest.mark.parametrize(("readers", "name"), [(r, n) for r in (READERS, IN_BLOCKS) for n in r])
def test_a_changed_bit_is_noticed_where_it_is_read(
    readers: dict[str, Callable[[Store], object]], name: str, tmp_path: Path
) -> None:
    path = make(tmp_path / "a.h5")
    readers[name](Store(path))
    store = Store(_changed(path, name))
    with pytest.raises(DataError, match=r"a\.h5 is damaged"):
        readers[name](store)
    with pytest.raises(DataError, match=r"a\.h5 is damaged"):
        verify_store(path)


def test_changed_offsets_are_noticed_at_opening(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    # Utterance 2 ends, and 3 begins, a step elsewhere: they fit the values.
    _changed(path, "streams/features/offsets", 3 * 8)
    with pytest.raises(DataError, match="offsets"):
        Store(path)


def test_the_other_utterances_are_read(tmp_path: Path) -> None:
    path = _changed(make(tmp_path / "a.h5"), "streams/features/values")
    store = Store(path)
    assert [len(store.read("features", row)) for row in range(LAST)] == [0, 1, 2, 3]
    with pytest.raises(DataError, match="features of id_4"):
        store.read("features", LAST)
    # It is not remembered as whole, and neither is it in a copy.
    for again in (store, pickle.loads(pickle.dumps(store))):
        with pytest.raises(DataError, match="features of id_4"):
            again.read("features", LAST)


def test_an_utterance_is_hashed_once(tmp_path: Path, monkeypatch) -> None:
    calls = []
    plain = integrity.Rows.verify

    def counted(self, row: int, values: np.ndarray) -> None:
        calls.append(row)
        plain(self, row, values)

    monkeypatch.setattr(integrity.Rows, "verify", counted)
    store = Store(make(tmp_path / "a.h5"))
    for _ in range(3):
        store.read("features", 2)
    assert calls == [2]


def test_long_utterances_leave_memory_after_they_are_hashed(tmp_path: Path, monkeypatch) -> None:
    values = np.random.default_rng(0).integers(-99, 99, 1 << 20).astype("int16")
    path = tmp_path / "long.h5"
    write_store(path, {"waveform": (16000.0, [values[:9], values])})
    monkeypatch.setattr(integrity, "BLOCK_BYTES", 1 << 16)
    released = []
    store = Store(path)
    monkeypatch.setattr(store, "_release", lambda part: released.append(part.nbytes))
    np.testing.assert_array_equal(store.read("waveform", 1), values)
    assert released == [1 << 16] * 32
    store.read("waveform", 0)
    assert len(released) == 32
    # The real one changes nothing of what is read.
    again = Store(path)
    np.testing.assert_array_equal(again.read("waveform", 1), values)


STEPS = 1 << 20


def _film(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    """Two utterances of 2 MiB, in blocks of 64 KiB that begin in the middle of the second."""
    monkeypatch.setattr(integrity, "LONG_BYTES", 1 << 20)
    monkeypatch.setattr(integrity, "PART_BYTES", 1 << 16)
    values = np.random.default_rng(0).integers(-99, 99, 2 * STEPS + 9).astype("int16")
    write_store(path, {"waveform": (16000.0, [values[: STEPS + 9], values[STEPS + 9 :]])})
    return path, values[STEPS + 9 :]


def test_a_crop_of_a_film_does_not_read_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, film = _film(tmp_path / "film.h5", monkeypatch)
    hashed: list[int] = []
    plain = schema.little_endian

    def noted(part: np.ndarray) -> memoryview:
        hashed.append(part.nbytes)
        return plain(part)

    monkeypatch.setattr(schema, "little_endian", noted)
    store = Store(path)
    dataset = dataset_of([store], store.ids, ["waveform"], crop_s=1.0)
    for _ in range(2):
        hashed.clear()
        np.testing.assert_array_equal(
            dataset.read("waveform", 1, start_s=60.0), film[60 * 16000 : 61 * 16000]
        )
    # What was compared is not compared again.
    assert hashed == []
    hashed.clear()
    again = dataset_of([Store(path)], store.ids, ["waveform"], crop_s=1.0)
    again.read("waveform", 1, start_s=30.0)
    # A second is 32,000 bytes: one block or two, beside the digests.
    assert 0 < sum(size for size in hashed if size >= 1 << 15) <= 2 << 16
    # Nothing lies there: an utterance may end before its crop does.
    assert len(again.read("waveform", 1, start_s=600.0)) == 0


def test_damage_of_a_film_is_noticed_in_the_crops_that_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = _film(tmp_path / "film.h5", monkeypatch)
    store = Store(_changed(path, "streams/waveform/values"))
    dataset = dataset_of([store], store.ids, ["waveform"], crop_s=1.0)
    assert len(dataset.read("waveform", 1, start_s=10.0)) == 16000
    for _ in range(2):
        with pytest.raises(DataError, match="waveform of u1"):
            dataset.read("waveform", 1, start_s=STEPS / 16000 - 1)
    with pytest.raises(DataError, match="waveform of u1"):
        store.read("waveform", 1)


def test_digests_of_blocks_are_compared_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, film = _film(tmp_path / "film.h5", monkeypatch)
    whole = verify_store(path).content_id
    invoke(tmp_path, "merge", "film.h5", "-o", "m.h5")
    assert Store(tmp_path / "m.h5").content_id == whole
    with h5py.File(path) as file, h5py.File(tmp_path / "m.h5") as merged:
        found = file["block_digest/waveform"][()]
        np.testing.assert_array_equal(merged["block_digest/waveform"][()], found)
    assert found.shape == (-(-(4 * STEPS + 18) // (1 << 16)), 32)
    store = Store(_changed(path, "block_digest/waveform"))
    with pytest.raises(DataError, match="block_digest/waveform"):
        store.read("waveform", 1, slice(0, 9))
    with pytest.raises(DataError, match="block_digest/waveform"):
        verify_store(path)
    # Stores of earlier versions have none: all of the utterance is compared.
    with h5py.File(path, "r+") as file:
        del file["block_digest"]
    np.testing.assert_array_equal(Store(path).read("waveform", 1, slice(5, 9)), film[5:9])
    with pytest.raises(DataError, match="waveform of u1"):
        Store(_changed(path, "streams/waveform/values")).read("waveform", 1, slice(5, 9))


def test_stores_of_short_utterances_have_no_digests_of_blocks(tmp_path: Path) -> None:
    with h5py.File(make(tmp_path / "a.h5")) as file:
        assert "block_digest" not in file


def test_stores_without_digests_of_columns_are_read(tmp_path: Path) -> None:
    """Those of other programs, and of version 0.1; `check` finds their damage."""
    path = make(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["column_digests"]
    verify_store(path)
    _changed(path, "meta/speaker")
    assert Store(path).meta["speaker"] != Store(make(tmp_path / "b.h5")).meta["speaker"]
    with pytest.raises(DataError, match="content id"):
        verify_store(path)


def test_merge_does_not_join_damage(tmp_path: Path) -> None:
    make(tmp_path / "a.h5")
    whole = invoke(tmp_path, "merge", "a.h5", "-o", "m.h5")
    assert whole.status == 0
    (tmp_path / "m.h5").unlink()
    _changed(tmp_path / "a.h5", "streams/features/values")
    found = invoke(tmp_path, "merge", "a.h5", "-o", "m.h5", status=65)
    assert "a.h5 is damaged" in found.stderr
    assert not (tmp_path / "m.h5").exists()


class TestHeaps:
    """HDF5 never ends on a heap of texts whose free space has no length."""

    def _store(self, path: Path) -> tuple[Path, int]:
        content = make(path).read_bytes()
        return path, content.index(heaps.SIGNATURE)

    @pytest.mark.parametrize("start", [16, 40, 200])
    def test_zeroed_texts_end(self, start: int, tmp_path: Path) -> None:
        path, heap = self._store(tmp_path / "a.h5")
        content = bytearray(path.read_bytes())
        content[heap + start : heap + start + 400] = bytes(400)
        path.write_bytes(content)
        code = f"from avaffect.__main__ import main; import sys; sys.argv = ['', 'check', {str(path)!r}]; main()"  # noqa: E501
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert found.returncode == 65 and str(path) in found.stderr

    @pytest.mark.parametrize("length", [0, 2**64 - 16, 2**64 - 8, 4097])
    def test_lengths_beyond_the_heap(self, length: int, tmp_path: Path) -> None:
        path, heap = self._store(tmp_path / "a.h5")
        content = bytearray(path.read_bytes())
        number = 0 if length == 0 else 1
        content[heap + 16 : heap + 18] = number.to_bytes(2, "little")
        content[heap + 24 : heap + 32] = length.to_bytes(8, "little")
        path.write_bytes(content)
        with path.open("rb") as stream, pytest.raises(ValueError, match=f"{length} bytes"):
            heaps.check_heaps(stream.fileno(), heap, memoryview(bytes(content[heap : heap + 4096])))

    def test_a_signature_on_a_border_is_seen(self, tmp_path: Path) -> None:
        path, heap = self._store(tmp_path / "a.h5")
        content = bytearray(path.read_bytes())
        content[heap + 16 : heap + 32] = bytes(16)
        path.write_bytes(content)
        with path.open("rb") as stream, pytest.raises(ValueError, match="object 0"):
            read = memoryview(bytes(content[heap + 2 : heap + 99]))
            heaps.check_heaps(stream.fileno(), heap + 2, read)

    def test_texts_that_say_so_are_none(self, tmp_path: Path) -> None:
        ids = ["GCOL", "GCOLx" * 9]
        path = tmp_path / "g.h5"
        write_store(path, {"x": (1.0, [np.zeros(3, "f4")] * 2)})
        with path.open("rb") as stream:
            heaps.check_heaps(stream.fileno(), 0, memoryview("".join(ids).encode()))
        verify_store(path)
