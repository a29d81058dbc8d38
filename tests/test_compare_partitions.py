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
        values[row["name"]] = row["scores"]["ua"]["values"]
        alone = [report(tmp_path, source)["rows"][0]["scores"]["ua"]["values"]
                 for source in sources if source.startswith(row["name"])]  # fmt: skip
        assert values[row["name"]] == [value for part in alone for value in part]
    expected = stats.ttest_rel(values["better"], values["base"])
    assert better["scores"]["ua"]["p"] == pytest.approx(expected.pvalue)
    # Another number of utterances is another test.
    assert other["scores"]["ua"]["p"] is None
    # Of another label they are no runs of one row.
    header = manifest.new_header("predictions", target="mood", classes=CLASSES)
    manifest.write(tmp_path / "mood.jsonl", header, manifest.read(tmp_path / "alone.jsonl").items)
    words = run(tmp_path, "a=alone.jsonl", "a=mood.jsonl", status=2).stderr
    assert "alone.jsonl" in words and "mood.jsonl" in words


def test_a_run_that_counts_twice(tmp_path: Path) -> None:
    """Without a word the deviation would be 0, and so p."""
    for name, wrong in {"one": (2, 3), "other": (4, 2)}.items():
        predictions(tmp_path / f"{name}.jsonl", wrong)
    (tmp_path / "again.jsonl").write_bytes((tmp_path / "one.jsonl").read_bytes())
    assert "one.jsonl" in run(tmp_path, "a=one.jsonl", "a=./one.jsonl", status=2).stderr
    words = run(tmp_path, "a=one.jsonl", "a=again.jsonl").stderr
    (line,) = [line for line in words.splitlines() if "warning" in line]
    assert "one.jsonl" in line and "again.jsonl" in line
    assert "warning" not in run(tmp_path, "a=one.jsonl", "a=other.jsonl").stderr
    # As two rows they may be compared.
    run(tmp_path, "a=one.jsonl", "b=again.jsonl")
