"""JSON of strangers: texts that Python's own reader takes, and no artifact has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import invoke
from hypothesis import given
from hypothesis import strategies as st

from avaffect.core import plain_json
from avaffect.core.errors import DataError
from avaffect.core.structure import Structure

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)  # fmt: skip


@given(VALUES)
def test_reads_what_json_writes(value: object) -> None:
    assert plain_json.parse(json.dumps(value)) == value


BAD = ["NaN", "[-Infinity]", "1e999", '{"a": -1e999}', '{"a": 1, "a": 2}', "[" * 100_000,
       '[{"b": {"c": 0, "c": 0}}]', '{"a":' * 100_000, "", "{", b"\xff", "9" * 5000]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_refuses(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        plain_json.parse(text)


@pytest.mark.parametrize(
    "label", ["1e999", '{"a":' * 50_000 + "1" + "}" * 50_000, '1,"arousal":2'], ids=range(3)
)
def test_a_manifest_with_such_a_line(tmp_path: Path, label: str) -> None:
    (tmp_path / "table.csv").write_text("id,media,arousal\nu0,u0.wav,7\n", encoding="utf-8")
    invoke(tmp_path, "manifest", "table", "table.csv", "--id", "id", "--media", "media",
           "--scalar", "arousal", "--no-check-media", "-o", "a.jsonl")  # fmt: skip
    text = (tmp_path / "a.jsonl").read_text(encoding="utf-8")
    assert '"arousal":7.0' in text
    (tmp_path / "b.jsonl").write_text(text.replace("7.0", label), encoding="utf-8")
    for command in ("info", "check", "select"):
        found = invoke(tmp_path, command, "b.jsonl", status=65)
        assert "b.jsonl, line 2" in found.stderr


def test_true_is_no_number() -> None:
    assert Structure.from_dict({"depth": 1}).depth == 1
    with pytest.raises(DataError, match="depth"):
        Structure.from_dict({"depth": True})
