"""A page of many runs and many classes is no larger than people can look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import invoke
from pages import Element, parsed

from avaffect.core.table import Table
from avaffect.data import manifest
from avaffect.recipes.reporting import page
from avaffect.recipes.reporting.sections import scores, training


def _page(folder: Path, *given: str) -> Element:
    invoke(folder, "report", *given, "-o", "page.html")
    return parsed((folder / "page.html").read_text("utf-8"))


def test_a_table_is_cut_with_a_note() -> None:
    small = Table.of("t", ["a", "b"], [["1", "2"]] * 10, "of all")
    assert page.bounded(small) is small
    wide = page.bounded(Table.of("t", ["c"] * 100, [["1"] * 100] * 500, "of all"))
    assert len(wide.columns) == page.MOST_COLUMNS == len(wide.rows[-1])
    assert len(wide.rows) * len(wide.columns) <= page.MOST_CELLS
    assert "40 more columns" in wide.note and wide.note.startswith("of all")
    assert f"{500 - len(wide.rows)} more rows" in wide.note


def test_runs_of_a_history(tmp_path: Path) -> None:
    with (tmp_path / "er.safetensors.metrics.jsonl").open("w") as stream:
        for run in range(300):
            for step in (1, 2, 3):
                line = {"run": run, "step": step, "epoch": 0, "loss": run / step, "seconds": 1.0}
                stream.write(json.dumps(line) + "\n")
    of_training = _page(tmp_path, "er.safetensors.metrics.jsonl").one("section", id="training")
    drawn = [p.one("title").text for p in of_training.one("svg").all("path", class_="series")]
    assert len(drawn) == training.MOST_RUNS
    assert drawn[0].endswith("run 0") and drawn[-1].endswith("run 299")
    assert "40 of 300" in of_training.text
    assert (tmp_path / "page.html").stat().st_size < 200_000


@pytest.mark.parametrize("files", [1, 3])
def test_confusion_matrices_of_many_classes(
    tmp_path: Path, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "MOST_CELLS", 900)
    classes = [f"c{n:02d}" for n in range(20)]
    names = [f"p{n}.jsonl" for n in range(files)]
    for number, name in enumerate(names):
        header = manifest.new_header(
            "predictions", target="emotion", classes=classes, provenance={"command": name}
        )
        items = [
            {"id": f"u{n}", "target": "emotion", "gold": classes[n % 20],
             "prediction": classes[n * (n > number) % 20], "media": None, "split": "test"}
            for n in range(40)
        ]  # fmt: skip
        manifest.write(tmp_path / name, header, items)
    of_scores = _page(tmp_path, *names).one("section", id="scores")
    matrices = [t for t in of_scores.all("table") if "Confusion" in t.one("caption").text]
    assert len(matrices) == min(files, 2)
    assert ("matrices left out: 1" in of_scores.text) == (files == 3)
