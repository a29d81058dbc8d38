"""`info`: what artifacts say of themselves, as dataclasses, JSON and sections for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import invoke

from avaffect.cli.show.info import lines_of
from avaffect.core.headers import ClassifierHeader, EncoderHeader, QuantiserHeader
from avaffect.recipes.common.descriptions import (
    CheckpointDescription,
    ClassSummary,
    ManifestDescription,
    StoreDescription,
    TraceSummary,
)
from avaffect.recipes.common.sections import Section, sections
from avaffect.recipes.info import info


def rows(name: str, title: str, lineage: bool = False) -> list[tuple[str, ...]]:
    found = {section.title: section.rows for section in sections(info(Path(name), lineage))}
    return list(found[title])


def test_each_artifact_has_a_class(files: Path) -> None:
    store = info(Path("labelled.h5"))
    assert type(store) is StoreDescription and store.count == 9
    assert isinstance(store.labels["emotion"], ClassSummary)
    assert isinstance(store.labels["arousal"], TraceSummary)
    assert sum(store.labels["emotion"].classes.values()) + store.labels["emotion"].missing == 9
    listed = info(Path("pool.jsonl"))
    assert type(listed) is ManifestDescription and listed.content == "corpus" and listed.count == 5
    kinds = {"hubert": EncoderHeader, "kmeans": QuantiserHeader, "classifier": ClassifierHeader}
    for name, kind in kinds.items():
        found = info(Path(f"{name}.safetensors"))
        assert type(found) is CheckpointDescription and type(found.header) is kind
        said = found.to_dict()
        assert said["holds"] == kind.kind and said["model"] == found.header.model
        assert list(said)[:4] == ["path", "kind", "version", "content_id"]
        assert list(said)[-4:] == ["made_by", "settings", "losses", "inputs"]


def test_sections_have_units_and_no_raw_json(files: Path) -> None:
    streams = {row[0]: row for row in rows("labelled.h5", "Streams")}
    assert streams["waveform"][3] == "16000 Hz" and streams["waveform"][5] == "9 utterances"
    assert streams["face"][2] == "uint8 16 x 16 x 1"
    assert ("frames", "50 Hz") in rows("hubert.safetensors", "Encoder")
    for path in sorted(files.iterdir()):
        if path.name != "report.json" and path.suffix in (".h5", ".jsonl", ".safetensors"):
            cells = [cell for s in sections(info(path)) for row in s.rows for cell in row]
            assert cells and not any("{" in cell or "[" in cell for cell in cells)


def test_metrics_of_a_run_are_a_table(files: Path) -> None:
    header = info(Path("classifier.safetensors")).header
    first = header.runs[0]
    found = rows("classifier.safetensors", f"Run {first.run}, seed {first.seed}")
    columns = found[0]
    assert columns[0] == "" and columns[-1] == "development"
    of = {row[0]: dict(zip(columns[1:], row[1:])) for row in found[1:]}
    for score, value in first.metrics["development"].items():
        assert float(of[score]["development"]) == pytest.approx(value, rel=1e-3)


def test_the_lineage_is_indented_and_says_what_is_missing(files: Path) -> None:
    found = rows("embeddings.h5", "Inputs", lineage=True)
    assert [row[0] for row in found if not row[0].startswith(" ")] == ["media", "model"]
    assert any(row[0].startswith("  ") for row in found)
    (files / "pool.h5").unlink()
    assert any(
        row[-1].startswith("missing: pool.h5") for row in rows("embeddings.h5", "Inputs", True)
    )


def test_what_is_printed_is_aligned(files: Path) -> None:
    text = invoke(files, "info", "pool.jsonl", "hubert.safetensors").stdout
    assert text.startswith("pool.jsonl: manifest, version ")
    settings = text.split("\nSettings\n")[2].split("\n\n")[0].splitlines()
    starts = {len(line) - len(line[2:].split("  ", 1)[1].lstrip()) for line in settings}
    assert len(starts) == 1 and len(settings) > 5
    (line,) = invoke(files, "info", "pool.jsonl", "--json").stdout.splitlines()
    assert json.loads(line) == info(Path("pool.jsonl")).to_dict()


def test_rows_end_where_the_terminal_does() -> None:
    rows = (("emotion", "class", "anger 12, happiness 7, sadness 3"), ("a", "scalar", ""),
            ("name", "", "x" * 50))  # fmt: skip
    section = Section("Labels", rows)
    whole = list(lines_of(section, None))
    assert len(whole) == 3 and whole[0].endswith(rows[0][2])
    found = list(lines_of(section, 40))
    # A word that is too long stays whole.
    assert max(map(len, found[:-1])) <= 40 and found[-1].endswith("x" * 50)
    assert found[1] == " " * len("  emotion  class   ") + "7, sadness 3"
    assert " ".join(" ".join(found).split()) == " ".join(" ".join(whole).split())
