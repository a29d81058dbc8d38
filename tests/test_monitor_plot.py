"""`monitor --plot`: curves of trainings as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chain import invoke
from test_class_plots import words

from avaffect.recipes.monitoring.curves import Curves
from avaffect.recipes.monitoring.runs import Line


def write(output: Path, *lines: dict[str, Any]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    output.with_name(f"{output.name}.metrics.jsonl").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("matplotlib")
    for name, runs in (("a", 2), ("b", 1)):
        lines = []
        for run in range(runs):
            for step in (10, 20, 30):
                place = {"run": run, "epoch": step // 10, "done": step / 30, "seconds": step}
                lines += [{"step": step, "ce": 1 / step, "learning_rate": 0.1, **place},
                          {"ua": step / 40, **place}]  # fmt: skip
        write(tmp_path / f"{name}.safetensors", *lines)
    return tmp_path


def test_a_panel_for_each_metric_and_a_line_for_each_run(folder: Path) -> None:
    arguments = ("monitor", "a.safetensors", "b.safetensors", "--once", "--plot", "c.svg")
    found = invoke(folder, *arguments)
    assert "c.svg" in found.stderr
    said = words(folder / "c.svg")
    assert {"CE, training", "UA, development"} <= set(said)
    assert not any("learning_rate" in text for text in said)
    # In the legends of both panels.
    assert sum(text == "a.safetensors run 1" for text in said) == 2
    assert sum(text.startswith("b.safetensors") for text in said) == 2
    before = (folder / "c.svg").read_bytes()
    invoke(folder, *arguments)
    assert (folder / "c.svg").read_bytes() == before
    refused = invoke(folder, *arguments[:-1], "c.txt", status=2)
    assert "--plot" in refused.stderr


def test_scores_stand_at_the_step_before_and_a_file_may_begin_anew(tmp_path: Path) -> None:
    curves, output = Curves(), tmp_path / "a.safetensors"
    lines = [Line({"step": 5, "ce": 1.0, "seconds": 1}, 1), Line({"epoch": 1, "ua": 0.5}, 1)]
    curves.add(output, lines, anew=False)
    assert curves._points["development/ua"][str(output)] == [(5, 0.5)]
    curves.add(output, lines[:1], anew=True)
    assert curves._points["training/ce"][str(output)] == [(5, 1.0)]
    assert str(output) not in curves._points["development/ua"]
