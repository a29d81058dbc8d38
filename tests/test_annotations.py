"""Annotations override the labels of a store, also where these are of another kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stores import make

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store

VOTES = {"kind": "distribution", "classes": ["a", "b"]}


def annotated(path: Path, spec: dict[str, object], values: dict[str, object]) -> Annotations:
    """Annotations of the label `emotion`, which the store holds as a class."""
    items = [{"id": i, "media": "x.wav", "labels": {"emotion": v}} for i, v in values.items()]
    manifest.write(path, manifest.new_header("corpus", labels={"emotion": spec}), items)
    return Annotations.read(path)


def test_votes_in_place_of_classes(tmp_path: Path) -> None:
    stores = [Store(make(tmp_path / "a.h5", 3))]
    known = annotated(tmp_path / "m.jsonl", VOTES, {"id_1": [3, 1]})
    assert known.kind(stores, "emotion") == "distribution"
    classes, found = known.distributions(stores[0], "emotion")
    assert classes == ("a", "b")
    np.testing.assert_array_equal(found, [[np.nan] * 2, [3, 1], [np.nan] * 2])
    with pytest.raises(DataError, match="'emotion' is a class, not a scalar"):
        known.scalars(stores[0], "emotion")


def test_numbers_and_traces_in_place_of_classes(tmp_path: Path) -> None:
    stores = [Store(make(tmp_path / "a.h5", 2))]
    known = annotated(tmp_path / "m.jsonl", {"kind": "scalar"}, {"id_0": 0.5})
    assert known.kind(stores, "emotion") == "scalar"
    np.testing.assert_array_equal(known.scalars(stores[0], "emotion"), [0.5, np.nan])
    known = annotated(tmp_path / "t.jsonl", {"kind": "trace", "rate_hz": 5}, {"id_1": [1, 2]})
    assert known.kind(stores, "emotion") == "trace"
    assert [len(v) for v in known.traces(stores[0], "emotion").values] == [0, 2]


def test_a_description_alone_overrides_nothing(tmp_path: Path) -> None:
    store = Store(make(tmp_path / "a.h5", 2))
    known = annotated(tmp_path / "m.jsonl", VOTES, {})
    assert known.kind([store], "emotion") == "class"
    assert known.names(store, "emotion") == ["anger", "anger"]
