"""The manifest format: round trips, and every way in which a stream can be broken."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avaffect.core.errors import DataError
from avaffect.core.shown import is_plain
from avaffect.data import manifest

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLAIN = TEXTS.filter(is_plain)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
FINITE = st.one_of(TEXTS, st.integers(-(2**53), 2**53), FLOATS, st.none())
ITEMS = st.lists(
    st.fixed_dictionaries(
        {"id": PLAIN.filter(bool), "labels": st.dictionaries(TEXTS, FINITE, max_size=3)},
        optional={"media": PLAIN, "speaker": TEXTS, "unknown to this version": FINITE},
    ),
    max_size=6,
    unique_by=lambda item: item["id"],
)
HEADERS = st.dictionaries(TEXTS, FINITE, max_size=3)


def lines_of(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def closed(*records: object) -> bytes:
    """With an end record that counts the items and holds the digest of the lines before."""
    before = lines_of(*records)
    digest = "sha256:" + hashlib.sha256(before).hexdigest()
    return before + lines_of({"kind": "end", "count": len(records) - 1, "digest": digest})


HEADER = manifest.new_header("corpus", base=".").to_dict()
# As other programs, and version 1.0, write it: without a digest.
PLAIN = {**HEADER, "version": "1.0"}
ITEM = {"kind": "item", "id": "a"}
END = {"kind": "end", "count": 1}
WHOLE = closed(HEADER, ITEM)


def read_bytes(folder: Path, content: bytes) -> manifest.Manifest:
    path = folder / "m.jsonl"
    path.write_bytes(content)
    return manifest.read(path)


@given(ITEMS, HEADERS)
def test_round_trip_keeps_everything(tmp_path_factory, items, extra):
    path = tmp_path_factory.mktemp("round") / "m.jsonl"
    facts = {f"x-{name}": value for name, value in extra.items()}
    assert manifest.write(path, manifest.new_header("corpus", **facts), items) == len(items)
    found = manifest.read(path, expect="corpus")
    assert found.items == [{"kind": "item", **item} for item in items]
    assert found.header.to_dict().items() >= facts.items()
    again = path.with_name("again.jsonl")
    manifest.write(again, found.header, found.items)
    assert again.read_bytes() == path.read_bytes()
    assert manifest.read(again).content_id == found.content_id


def test_empty_manifest_is_valid(tmp_path):
    found = read_bytes(tmp_path, closed(HEADER))
    assert len(found) == 0


def test_every_truncation_is_refused(tmp_path):
    # Without its last line feed alone the end record is still whole.
    for length in range(len(WHOLE) - 1):
        with pytest.raises(DataError, match=r"cut short|empty"):
            read_bytes(tmp_path, WHOLE[:length])
    assert len(read_bytes(tmp_path, WHOLE[:-1])) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (lines_of(HEADER, ITEM), "no end record after 1 item"),
        (lines_of(HEADER, END), "counts 1, but it has 0 items"),
        (lines_of(HEADER, ITEM, {"kind": "end"}), "counts None, but"),
        (WHOLE + lines_of(ITEM), "follows its end record"),
        (WHOLE + WHOLE, "follows its end record"),
        (lines_of({**HEADER, "version": "2.0"}, ITEM, END), "version 2.0"),
        (lines_of({**HEADER, "content": "poems"}, ITEM, END), "unknown content 'poems'"),
        (lines_of(ITEM, END), "is not a manifest"),
        (b"RIFF....WAVE\n", "is a recording, and a manifest"),
        (b"\xff\xfe\n", "is a table or other text, and a manifest"),
        (lines_of(HEADER, [1, 2], END), "not a JSON object"),
        (lines_of(HEADER, {"kind": "verse"}, END), "unknown kind of record 'verse'"),
        (lines_of(PLAIN, ITEM, ITEM, {**END, "count": 2}), "the id a occurs twice"),
        (closed(HEADER, ITEM, ITEM), "the id a occurs twice"),
        (closed(HEADER, {"kind": "item"}), "an item has no id"),
        (closed(HEADER, {"kind": "item", "id": 7}), "an item has no id"),
        (lines_of(HEADER, ITEM, END), "digest differs.* `avaffect seal`"),
        (WHOLE.replace(b'"a"', b'"b"'), "digest differs.* `avaffect seal`"),
        (WHOLE.replace(b'"base": "."', b'"base": "/"'), "digest differs"),
    ],
)
def test_broken_manifests_say_what_is_wrong(tmp_path, content, said):
    with pytest.raises(DataError, match=said) as caught:
        read_bytes(tmp_path, content)
    assert "m.jsonl" in str(caught.value)


def test_higher_minor_version_and_unknown_keys_are_read(tmp_path):
    later = closed({**HEADER, "version": "1.9", "new": 1}, ITEM)
    found = read_bytes(tmp_path, later)
    assert found.header.to_dict()["new"] == 1
    with pytest.raises(DataError, match="digest differs"):
        read_bytes(tmp_path, later.replace(b'"new": 1', b'"new": 2'))


def test_a_manifest_without_a_digest_is_read_and_gets_one(tmp_path):
    found = read_bytes(tmp_path, lines_of(PLAIN, ITEM, END))
    again = tmp_path / "again.jsonl"
    manifest.write(again, found.header, found.items)
    assert manifest.read(again).header.to_dict()["version"] == manifest.VERSION
    assert manifest.read(again).content_id == found.content_id
    assert "digest" in json.loads(again.read_bytes().splitlines()[-1])


def test_an_edited_manifest_is_refused_until_it_is_sealed(tmp_path, shell):
    (tmp_path / "m.jsonl").write_bytes(WHOLE)
    edited = 'sed \'s/"a"/"b"/\' m.jsonl'
    refused = shell(f"{edited} | avaffect select - --where id=b", tmp_path, status=65)
    assert "avaffect seal" in refused.stderr
    found = shell(f"{edited} | avaffect seal | avaffect select - --where id=b", tmp_path)
    assert len(found.stdout.splitlines()) == 3


def test_missing_file_folder_and_other_content(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(DataError, match=path.name):
            manifest.read(path)
    (tmp_path / "m.jsonl").write_bytes(WHOLE)
    with pytest.raises(DataError, match="and a manifest of predictions is needed"):
        manifest.read(tmp_path / "m.jsonl", expect="predictions")


def test_content_id_says_what_not_where(tmp_path):
    def identity(header: dict, *items: dict) -> str:
        return manifest.Manifest(manifest.new_header("corpus", **header), list(items)).content_id

    one = identity({"base": "a", "provenance": {"x": 1}}, ITEM)
    assert one == identity({"base": "b"}, dict(reversed(list(ITEM.items()))))
    assert one != identity({"base": "a"}, {**ITEM, "id": "b"})
    assert one != identity({"base": "a", "labels": {}}, ITEM)
    assert one != identity({"base": "a"}, ITEM, ITEM)


def test_base_is_relative_in_a_file_and_absolute_in_a_stream(tmp_path, monkeypatch):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "lists").mkdir()
    output = tmp_path / "lists" / "m.jsonl"
    assert manifest.base_for(output, tmp_path / "corpus") == "../corpus"
    assert manifest.base_for(None, tmp_path / "corpus") == str(tmp_path / "corpus")
    manifest.write(output, manifest.new_header("corpus", base="../corpus"), [])
    monkeypatch.chdir("/")
    assert os.path.realpath(manifest.read(output).folder) == os.path.realpath(tmp_path / "corpus")


def test_a_failed_writer_leaves_no_file_and_no_end_record(tmp_path, monkeypatch):
    def items():
        yield {"id": "a"}
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus"), items())
    assert list(tmp_path.iterdir()) == []

    class Stdout:
        buffer = io.BytesIO()

    monkeypatch.setattr("sys.stdout", Stdout)
    with pytest.raises(RuntimeError):
        manifest.write(None, manifest.new_header("corpus"), items())
    with pytest.raises(DataError, match="no end record"):
        read_bytes(tmp_path, Stdout.buffer.getvalue())


@pytest.mark.parametrize("command", ["split", "select", "seal"])
@pytest.mark.parametrize("content", [b"", WHOLE[:20], lines_of(HEADER, ITEM)])
def test_commands_refuse_a_stream_that_was_cut(avaffect, tmp_path, command, content):
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(content)
    output = tmp_path / "out.jsonl"
    with cut.open("rb") as stream:
        found = avaffect(command, "-", "-o", output, status=65, stdin=stream)
    assert "standard input" in found.stderr
    assert not output.exists()


def test_a_failing_first_command_fails_the_pipe(shell, tmp_path):
    found = shell(
        "avaffect manifest emodb missing | avaffect split - -o out.jsonl", tmp_path, status=65
    )
    assert "missing: no such folder" in found.stderr
    assert "the pipe is empty" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_filters_that_left_no_manifest(tmp_path: Path) -> None:
    """jq without -c, and grep without the header: what to do is said."""
    path = tmp_path / "m.jsonl"
    manifest.write(path, manifest.new_header("corpus"), [{"id": "a"}])
    records = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(record, indent=2) for record in records))
    with pytest.raises(DataError, match="several lines; use jq -c"):
        manifest.read(path)
    path.write_text("\n".join(json.dumps(record) for record in records[1:]) + "\n")
    with pytest.raises(DataError, match="if a filter dropped it: avaffect seal --like"):
        manifest.read(path)
