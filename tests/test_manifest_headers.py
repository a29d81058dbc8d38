"""Headers of manifests as dataclasses: nothing is lost, what is of another type is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from avaffect.core.errors import DataError
from avaffect.core.headers.manifest import ManifestHeader
from avaffect.data import manifest

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"
MANIFESTS = sorted(WRITTEN.glob("*.jsonl"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_headers_of_version_0_1_are_read_whole(path: Path) -> None:
    raw = json.loads(path.read_text().splitlines()[0])
    header = manifest.header_of(path)
    assert header.to_dict() == raw and not header.rest


def test_nulls_and_unknown_keys_stay() -> None:
    raw = {"kind": "header", "format": "avaffect-manifest", "version": "1.3", "classes": None,
           "content": "predictions", "later": {"a": [1]}, "rest": 2,
           "labels": {"x": {"kind": "scalar", "unit": "s", "classes": None}}}  # fmt: skip
    header = ManifestHeader.from_dict(raw)
    assert header.to_dict() == raw and header.classes is None
    assert list(header.to_dict())[:4] == ["kind", "format", "version", "content"]
    told = replace(header, classes=("a",), base="b").to_dict()
    assert told["classes"] == ["a"] and told["base"] == "b"


@pytest.mark.parametrize(
    ("key", "value"),
    [("base", 3), ("runs", "two"), ("labels", []), ("stores", {"pool": [{"path": "p.h5"}]}),
     ("settings", {"temperature": "hot"}), ("filtered", "whole")],
)  # fmt: skip
def test_a_key_of_another_type_is_named(key: str, value: object, tmp_path: Path) -> None:
    header = {**manifest.new_header("corpus").to_dict(), key: value}
    path = tmp_path / "m.jsonl"
    path.write_text(f'{json.dumps(header)}\n{{"kind":"end","count":0}}\n')
    with pytest.raises(DataError, match=rf"m\.jsonl: in its header, .*{key}"):
        manifest.read(path)
