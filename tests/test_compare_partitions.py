"""`compare` of partitions: several files of one name."""

from __future__ import annotations

from pathlib import Path

import pytest
from compared import CLASSES, predictions, report, run
from scipy import stats

from avaffect.data import manifest


def test_reports_of_one_name_are_one_row(tmp_path: Path) -> None:
    """Partitions with a test part of their own each: as many runs, paired by their place."""
    predictions(tmp_path / "alone.jsonl", (2, 3, 2, 0))
    wrong = {"base": ((5, 4), (6,), (3,)), "better": ((2, 2), (3,), (3,))}
    sources = []
    for name, parts in wrong.items():
        for place, errors in enumerate(parts):
            predictions(tmp_path / f"{name}-{place}.jsonl", errors, count=12 - 2 * place)
            sources.append(f"{name}={name}-{place}.jsonl")
    # Rows stand where their first file does, whatever is between the others.
    found = report(tmp_path, *sources[:4], "x=alone.jsonl", *sources[4:])
    assert [row["name"] for row in found["rows"]] == ["base", "better", "x"]
    base, better, other = found["rows"]
    assert base["runs"] == better["runs"] == ["0.0", "0.1", "1.0", "2.0"]
    assert base["count"] == better["count"] == 12 + 10 + 8
    values = {}
    for row in (base, better):
        values[row["name"]] = row["scores"]["f1_macro"]["values"]
        alone = [report(tmp_path, source)["rows"][0]["scores"]["f1_macro"]["values"]
                 for source in sources if source.startswith(row["name"])]  # fmt: skip
        assert values[row["name"]] == [value for part in alone for value in part]
    expected = stats.ttest_rel(values["better"], values["base"])
    assert better["scores"]["f1_macro"]["p"] == pytest.approx(expected.pvalue)
    # Another number of utterances is another test.
    assert other["scores"]["f1_macro"]["p"] is None
    # Of another label they are no runs of one row.
    header = manifest.new_header("predictions", target="mood", classes=CLASSES)
    manifest.write(tmp_path / "mood.jsonl", header, manifest.read(tmp_path / "alone.jsonl").items)
    words = run(tmp_path, "a=alone.jsonl", "a=mood.jsonl", status=2).stderr
    assert "alone.jsonl" in words and "mood.jsonl" in words
