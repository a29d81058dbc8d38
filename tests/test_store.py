"""Stores: what was written is read, by mapping or through h5py; damage is seen, never read."""

from __future__ import annotations

import hashlib
import pickle
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from stores import LABELS, POOLED, PROVENANCE, STREAMS, make

from avaffect.core.errors import DataError
from avaffect.core.shown import is_plain
from avaffect.data.store import schema
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.structure import read_header
from avaffect.data.store.verifying import verify_store
from avaffect.data.store.writer import store_writer

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
REAL = st.floats(width=32, allow_nan=False)
UTTERANCE = st.fixed_dictionaries(
    {
        "streams": st.fixed_dictionaries(
            {},
            optional={
                name: npst.arrays(
                    spec.dtype, st.integers(0, 9).map(lambda n, s=spec: (n, *s.shape))
                )
                for name, spec in STREAMS.items()
            },
        ),
        "labels": st.fixed_dictionaries(
            {},
            optional={
                "emotion": st.sampled_from([None, *LABELS["emotion"].classes]),
                "arousal": REAL,
                "votes": st.lists(REAL, min_size=2, max_size=2),
                "valence": npst.arrays("float32", st.integers(0, 5), elements=REAL),
                "raters": npst.arrays("float32", st.tuples(st.integers(0, 5), st.just(2))),
            },
        ),
        "meta": st.fixed_dictionaries(
            {}, optional={"speaker": TEXT, "age": st.integers(-9, 99), "start_s": REAL}
        ),
        "pooled": st.fixed_dictionaries({"mean": npst.arrays("float32", 4, elements=REAL)}),
    }
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(TEXT.filter(bool).filter(is_plain), unique=True, max_size=6), st.data())
def test_round_trip(tmp_path: Path, ids: list[str], data) -> None:
    given_items = [data.draw(UTTERANCE) for _ in ids]
    path = tmp_path / "store.h5"
    with store_writer(path, PROVENANCE, streams=STREAMS, labels=LABELS, pooled=POOLED) as writer:
        for identifier, item in zip(ids, given_items):
            writer.add(identifier, **item)
    store = verify_store(path)
    assert (store.ids, store.count, store.provenance) == (ids, len(ids), PROVENANCE)
    assert (store.streams, store.labels, store.pooled) == (STREAMS, LABELS, POOLED)
    for row, item in enumerate(given_items):
        for name, spec in STREAMS.items():
            found = store.read(name, row)
            expected = item["streams"].get(name, np.empty((0, *spec.shape), spec.dtype))
            assert found.dtype == expected.dtype and found.shape == expected.shape
            assert found.tobytes() == expected.tobytes()
            content = hashlib.sha256(expected.tobytes()).digest()
            assert store.digests(name)[row].tobytes() == content
        _same_labels(store, row, item["labels"])
        _same_meta(store, row, given_items)
        np.testing.assert_array_equal(store.pooled_vectors("mean")[row], item["pooled"]["mean"])


def _same_labels(store: Store, row: int, given_labels: dict) -> None:
    emotion = given_labels.get("emotion")
    classes = LABELS["emotion"].classes
    assert store.label("emotion")[row] == (-1 if emotion is None else classes.index(emotion))
    np.testing.assert_equal(store.label("arousal")[row], given_labels.get("arousal", np.nan))
    votes = given_labels.get("votes", [np.nan, np.nan])
    np.testing.assert_array_equal(store.label("votes")[row], np.float32(votes))
    np.testing.assert_array_equal(store.trace("valence", row), given_labels.get("valence", []))
    raters = given_labels.get("raters", np.empty((0, 2)))
    np.testing.assert_array_equal(store.trace("raters", row), raters)


def _same_meta(store: Store, row: int, items: list[dict]) -> None:
    for name, missing in (("speaker", ""), ("age", np.nan), ("start_s", np.nan)):
        if any(name in item["meta"] for item in items):
            np.testing.assert_equal(store.meta[name][row], items[row]["meta"].get(name, missing))
        else:
            assert name not in store.meta


def test_equal_content_gives_equal_bytes_at_another_time(tmp_path: Path) -> None:
    first = make(tmp_path / "a.h5").read_bytes()
    time.sleep(1.1)  # HDF5 would keep times in seconds
    (tmp_path / "elsewhere").mkdir()
    assert make(tmp_path / "elsewhere" / "b.h5").read_bytes() == first


def test_an_empty_store_is_whole(tmp_path: Path) -> None:
    store = verify_store(make(tmp_path / "empty.h5", 0))
    assert store.count == 0 and store.ids == [] and store.values("features").shape == (0, 3)
    assert store.lengths("waveform").shape == (0,) and store.pooled_vectors("mean").shape == (0, 4)


def test_values_are_mapped_aligned_and_read_only(tmp_path: Path) -> None:
    store = Store(make(tmp_path / "a.h5"))
    for values in (store.values("waveform"), store.values("features"), store.read("features", 3)):
        assert type(values) is np.ndarray and not values.flags.owndata
        assert values.flags.aligned and not values.flags.writeable
    with pytest.raises(DataError, match="no stream 'nope'"):
        store.read("nope", 0)


def test_nothing_is_there_before_the_whole_is(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(RuntimeError), store_writer(path, PROVENANCE, streams=STREAMS) as writer:
        writer.add("a", streams={"waveform": np.ones(5, "int16")})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_store_cannot_hold_is_refused(tmp_path: Path) -> None:
    def write(identifier: str = "a", **given) -> None:
        with store_writer(tmp_path / "x.h5", PROVENANCE, streams=STREAMS, labels=LABELS) as writer:
            writer.add("there", meta={})
            writer.add(identifier, **given)

    with pytest.raises(DataError, match="twice"):
        write("there")
    for bad in ("a\0b", "tail\0", "lone \ud800"):
        with pytest.raises(DataError, match="control character"):
            write(bad)
        with pytest.raises(DataError, match="text"):
            write(meta={"speaker": bad})
    with pytest.raises(DataError, match="no id"):
        write("")
    for name in ("a/b", "", "."):
        with pytest.raises(DataError, match="cannot name"):
            write(meta={name: 1})
    with pytest.raises(DataError, match="not one of its classes"):
        write(labels={"emotion": "joy"})
    odd = tmp_path / "odd.raw"
    odd.write_bytes(b"123")
    with pytest.raises(ValueError, match="not a multiple"):
        write(streams={"waveform": odd})
    with pytest.raises(ValueError, match="not declared"):
        write(streams={"sound": np.zeros(3)})


def test_mixed_fields_become_what_holds_them_all() -> None:
    assert schema.column([1, 2]).dtype == "<i8"
    assert schema.column([True, 2]).tolist() == [1, 2]
    np.testing.assert_array_equal(schema.column([1, None, 2.5]), [1.0, np.nan, 2.5])
    assert schema.column([1, "x", None, 2.0, 2.5]) == ["1", "x", "", "2", "2.5"]
    assert schema.column([2**70, 1]) == [str(2**70), "1"]


def test_many_classes_fit(tmp_path: Path) -> None:
    """HDF5's old format has no room for attributes over 64 kB: thousands of speakers."""
    classes = tuple(f"speaker_{n:06d}" for n in range(20_000))
    path = tmp_path / "a.h5"
    with store_writer(path, PROVENANCE, labels={"speaker": LabelSpec("class", classes)}) as writer:
        writer.add("a", labels={"speaker": classes[-1]})
    assert Store(path).labels["speaker"].classes == classes


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.h5").read_bytes()
    cut = tmp_path / "cut.h5"
    lengths = {*range(0, len(whole), 97), *range(len(whole) - 9, len(whole)), 1, 7, 8, 9}
    for length in sorted(lengths):
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match="cut"):
            Store(cut)


def test_a_changed_byte_of_the_values_is_found(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    whole = path.read_bytes()
    places = {}
    with h5py.File(path) as file:
        for name in ("streams/waveform/values", "pooled/mean", "labels/arousal", "meta/start_s",
                     "labels/valence/values", "digest/features", "id"):  # fmt: skip
            places[name] = file[name].id.get_offset() + file[name].nbytes - 2
    for name, place in places.items():
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            verify_store(path)
            pytest.fail(f"a changed byte in {name} was not seen")
    path.write_bytes(whole)
    verify_store(path)


def test_a_damaged_structure_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path, random = make(tmp_path / "a.h5"), np.random.default_rng(0)
    whole, reference = path.read_bytes(), Store(path)
    for _ in range(100):
        content = bytearray(whole)
        content[int(random.integers(len(whole)))] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        try:
            found = verify_store(path)
        except DataError:
            continue
        # A byte that nothing depends on, or one in the provenance's text.
        assert found.content_id == reference.content_id and found.ids == reference.ids


def edited(path: Path, **attributes) -> Path:
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    return path


def test_other_files_are_refused_with_a_clear_word(tmp_path: Path) -> None:
    def refused(path: Path, word: str) -> None:
        for opening in (Store, read_header):
            with pytest.raises(DataError, match=word):
                opening(path)

    refused(tmp_path / "nowhere.h5", "no such file")
    refused(edited(make(tmp_path / "a.h5"), format_version="2.0"), "version 2.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "VERSION", "1.7")
        later = make(tmp_path / "b.h5")
    assert Store(later).version == "1.7"
    refused(edited(make(tmp_path / "c.h5"), complete=False), "is incomplete")
    refused(edited(make(tmp_path / "d.h5"), format="other"), "not an avaffect-store")
    (tmp_path / "e.h5").write_bytes(b"")
    refused(tmp_path / "e.h5", "is empty")
    # Files of other kinds say what they are, whatever their names.
    others = {
        b'{"format":"avaffect-manifest","content":"corpus"}\n': "is a manifest of a corpus, and a",
        b"\xef\xbb\xbf{}": "is JSON, but not a manifest, and a store",
        b"\x40\0\0\0\0\0\0\0{}": "is a checkpoint, and a store",
        b"RIFF\x24\0\0\0WAVE": "is a recording, and a store",
        b"\0\0\0\x20ftypisom": "is a recording, and a store",
        b"\x1aE\xdf\xa3\x93B\x82\x88": "is a recording, and a store",
        b"time,arousal\n0,1\n": "is a table or other text, and a store",
        b"\x89HDF": "is cut short or damaged; make it again",
        make(tmp_path / "h.h5").read_bytes()[:-100]: "is cut short; make it again",
    }
    for number, (content, words) in enumerate(others.items()):
        path = tmp_path / f"other{number}.h5"
        path.write_bytes(content)
        refused(path, words)
    with h5py.File(make(tmp_path / "f.h5"), "r+") as file:
        file["streams/waveform/offsets"][-1] += 1
    with pytest.raises(DataError, match="offsets"):
        Store(tmp_path / "f.h5")
    with h5py.File(make(tmp_path / "g.h5"), "r+") as file:
        del file["provenance"]
    refused(tmp_path / "g.h5", "damaged")


@pytest.mark.parametrize("how", [{"chunks": True}, {"compression": "gzip"}, {"dtype": ">f4"}])
def test_other_layouts_are_read_through_h5py(tmp_path: Path, how: dict) -> None:
    """A store that another tool repacked has other bytes and the same content."""
    path = make(tmp_path / "a.h5")
    expected = np.array(Store(path).values("features"))
    with h5py.File(path, "r+") as file:
        for name in ("streams/features/values", "pooled/mean"):
            values, attributes = file[name][()], dict(file[name].attrs)
            del file[name]
            dataset = file.create_dataset(name, data=values.astype(how.get("dtype", "f4")), **{
                k: v for k, v in how.items() if k != "dtype"
            })  # fmt: skip
            dataset.attrs.update(attributes)
        offsets = file["streams/features/offsets"][()]
        del file["streams/features/offsets"]
        file["streams/features/offsets"] = offsets.astype(">i8")
    store = verify_store(path)
    assert store.values("features").flags.owndata
    np.testing.assert_array_equal(store.values("features"), expected)
    np.testing.assert_array_equal(np.concatenate(list(store.blocks("features"))), expected)


def test_pickling_sends_the_path_alone(tmp_path: Path) -> None:
    store = Store(make(tmp_path / "a.h5", 200))
    store.values("waveform")
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    again = pickle.loads(sent)
    np.testing.assert_array_equal(again.read("waveform", 4), store.read("waveform", 4))


def test_a_store_replaced_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    store, mapped = Store(path), Store(path)
    before = mapped.read("waveform", 4).copy()
    sent = pickle.dumps(store)
    make(path, 7)
    with pytest.raises(DataError, match="replaced"):
        store.read("waveform", 4)
    with pytest.raises(DataError, match="replaced"):
        pickle.loads(sent)
    # What was mapped before stays as it was.
    np.testing.assert_array_equal(mapped.read("waveform", 4), before)
