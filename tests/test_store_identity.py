"""What a store's digests and its content id are of."""

from __future__ import annotations

import hashlib
import json
import string
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from stores import PROVENANCE, make

from avaffect.data.store.integrity import ragged_digests
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec
from avaffect.data.store.writer import store_writer


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 4))
def test_digests_do_not_depend_on_how_blocks_are_cut(lengths: list[int], size: int) -> None:
    values = np.arange(sum(lengths), dtype="<i2")
    blocks = [values[i : i + size] for i in range(0, len(values), size)]
    found = ragged_digests(np.array(lengths, dtype=np.int64), blocks)
    ends = np.cumsum([0, *lengths])
    expected = [hashlib.sha256(values[a:b].tobytes()).digest() for a, b in pairwise(ends)]
    assert [row.tobytes() for row in found] == expected


def test_content_id_is_of_the_content(tmp_path: Path) -> None:
    """Any change of an id, a field, a label, a value or a specification changes it."""
    names = iter(string.ascii_letters)

    def made(identifier="a", value=1, meta="s", label="x", classes=("x", "y"), rate=5.0, vector=1.0,
             provenance=PROVENANCE) -> str:  # fmt: skip
        path = tmp_path / f"{next(names)}.h5"
        with store_writer(
            path, provenance, streams={"u": StreamSpec("units", "int32", rate)},
            labels={"e": LabelSpec("class", classes)}, pooled={"p": PooledSpec(1)},
        ) as writer:  # fmt: skip
            writer.add(
                identifier, streams={"u": np.array([value])}, labels={"e": label},
                meta={"speaker": meta}, pooled={"p": np.array([vector])},
            )  # fmt: skip
        return Store(path).content_id

    ids = [made(), made("b"), made(value=2), made(meta="t"), made(label="y"), made(rate=6.0),
           made(classes=("x", "z")), made(vector=2.0)]  # fmt: skip
    assert len(set(ids)) == len(ids)
    assert made(provenance={"command": "other"}) == ids[0]


def test_the_manual_is_enough_to_recompute_the_content_id(tmp_path: Path) -> None:
    """avaffect-store(5), followed with h5py and hashlib alone."""

    def texts(values: np.ndarray) -> str:
        parts = [len(value).to_bytes(8, "little") + value for value in values]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def array(values: np.ndarray) -> str:
        head = f"{values.dtype.str}{values.shape}".encode()
        return hashlib.sha256(head + values.tobytes()).hexdigest()

    def attributes(item: h5py.Group) -> dict:
        return {name: value.item() if hasattr(value, "item") else value
                for name, value in item.attrs.items()}  # fmt: skip

    with h5py.File(make(tmp_path / "a.h5")) as file:
        described: dict = {"format": "avaffect-store/1", "count": 5, "id": texts(file["id"][()])}
        described["meta"] = {
            name: (texts if column.dtype.kind == "S" else array)(column[()])
            for name, column in file["meta"].items()
        }
        described["streams"] = {
            name: [
                {**attributes(stream), "dtype": stream["values"].dtype.name,
                 "shape": list(stream["values"].shape[1:])},
                array(stream["offsets"][()]),
                array(file["digest"][name][()]),
            ]
            for name, stream in file["streams"].items()
        }  # fmt: skip
        described["labels"] = {
            name: [attributes(x), array((x["digest"] if isinstance(x, h5py.Group) else x)[()])]
            for name, x in file["labels"].items()
        }
        described["pooled"] = {
            name: [vectors.shape[1], attributes(vectors), array(vectors[()])]
            for name, vectors in file["pooled"].items()
        }
        text = json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert file.attrs["content_id"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
