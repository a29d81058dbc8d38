"""A table on standard input as a corpus."""

from __future__ import annotations

from pathlib import Path

from chain import invoke

from avaffect.data import manifest


def test_a_table_on_standard_input(tmp_path: Path) -> None:
    """The same corpus as of the file, with the content of the table in its provenance."""
    (tmp_path / "a.wav").touch()
    text = "path;gefühl\na.wav;Wut\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    columns = ("--media", "path", "--label", "emotion=gefühl", "--map", "Wut=anger")
    invoke(tmp_path, "manifest", "table", "t.csv", *columns, "--prefix", "p", "-o", "file.jsonl")
    piped = ("manifest", "table", "-", *columns, "--prefix", "p", "-o", "piped.jsonl")
    invoke(tmp_path, *piped, stdin=text)
    file, stream = (manifest.read(tmp_path / f"{name}.jsonl") for name in ("file", "piped"))
    assert stream.items == file.items
    table = [each for each in stream.header.provenance["inputs"] if each["role"] == "table"]
    assert table[0]["path"] == ""
    assert "up to date" in invoke(tmp_path, *piped, stdin=text).stderr
    invoke(tmp_path, *piped, stdin=text.replace("Wut", "wut"), status=65)
    changed = text.replace("gefühl\n", "gefühl;x\n")
    invoke(tmp_path, *piped, stdin=changed, status=73)
    invoke(tmp_path, "check", "piped.jsonl")
    invoke(tmp_path, "lineage", "piped.jsonl")
