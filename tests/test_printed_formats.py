"""`--format csv|latex` of the commands that print tables of scores, and chance in them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from chain import invoke
from compared import predictions, report, run
from printed import on_terminal, table

from avaffect.core.latex import latex
from avaffect.core.table import Table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    predictions(tmp_path / "base_1.jsonl", (5, 6, 4, 4))
    predictions(tmp_path / "better.jsonl", (2, 3, 2, 0))
    return tmp_path


def test_csv_is_the_table_of_a_pipe(folder: Path) -> None:
    files = ("base_1.jsonl", "a,b=better.jsonl")
    rows = list(csv.DictReader(io.StringIO(run(folder, *files, "--format", "csv").stdout)))
    assert rows == table(run(folder, *files).stdout) and rows[1]["name"] == "a,b"
    for options in ((), ("--per-class",), ("--confusion",)):
        found = invoke(folder, "eval-class", "base_1.jsonl", *options, "--format", "csv").stdout
        piped = invoke(folder, "eval-class", "base_1.jsonl", *options).stdout
        assert list(csv.reader(io.StringIO(found))) == [
            line.split("\t") for line in piped.splitlines()
        ]


def test_latex_of_a_comparison(folder: Path) -> None:
    found = run(folder, "base_1.jsonl", "better.jsonl", "--format", "latex").stdout
    lines = found.splitlines()
    assert lines[-1] == r"\end{tabular}" and lines[2] == r"\begin{tabular}{lrrrr}"
    first, second, chance = [line for line in lines if line.endswith(r"\\")][1:]
    assert chance.startswith("chance & ") and chance.count("&") == 4
    assert first.startswith(r"base\_1 & 4 & $0.") and r" \pm " in first
    assert second.count("&") == first.count("&") == 4 and "^{" in second


def test_several_tables_of_latex(folder: Path) -> None:
    found = invoke(folder, "eval-class", "better.jsonl", "--format", "latex").stdout
    tables = found.split("\n\n")
    assert len(tables) == 3
    for one in tables:
        assert one.count(r"\begin{tabular}") == one.count(r"\end{tabular}") == 1
        widths = {line.count("&") for line in one.splitlines() if line.endswith(r"\\")}
        assert len(widths) == 1


def test_cells_of_latex() -> None:
    cells = {
        "0.812 ± 0.010": r"$0.812 \pm 0.010$",
        "0.812": "0.812",
        "-0.050*": "$-0.050^{*}$",
        "+0.1** [-0.1, +0.2]": "$+0.1^{**}$ [$-0.1$, $+0.2$]",
        "2e-05": r"$2 \times 10^{-5}$",
        "a_b & 50 % of #1": r"a\_b \& 50 \% of \#1",
        r"\input{x}": r"\textbackslash{}input\{x\}",
        "true\npredicted": r"true\textbackslash{}npredicted",
        "": "",
    }
    lines = latex(Table.of("T\nx", ["a"], [[text] for text in cells], "n\n\\evil")).splitlines()
    assert [line for line in lines if line.startswith("%")] == [r"% T\nx", r"% n\n\evil"]
    rows = [line.removesuffix(r" \\") for line in lines if line.endswith(r"\\")][1:]
    assert rows == list(cells.values())


def test_one_form_at_a_time(folder: Path) -> None:
    run(folder, "better.jsonl", "--format", "latex", "--json", status=2)
    run(folder, "better.jsonl", "--format", "html", status=2)


def test_chance_beside_the_scores(folder: Path) -> None:
    found = report(folder, "base_1.jsonl", "better.jsonl", "--score", "ua", "--score", "accuracy")
    third = pytest.approx(1 / 3)
    assert [*found["chance"]] == ["base_1", "better"]
    assert found["chance"]["better"] == {"ua": third, "accuracy": third}
    rows = table(run(folder, "base_1.jsonl", "better.jsonl", "--score", "ua").stdout)
    assert [row["ua_chance"] for row in rows] == ["0.333333"] * 2
    shown, _ = on_terminal("compare", "base_1.jsonl", "better.jsonl", "--score", "ua", cwd=folder)
    (line,) = [line for line in shown.splitlines() if "chance" in line]
    assert "0.333" in line
    # Of an earlier version, which had none, it stays up to date.
    run(folder, "base_1.jsonl", "-o", "c.json")
    older = json.loads((folder / "c.json").read_text())
    del older["chance"]
    (folder / "c.json").write_text(json.dumps(older) + "\n")
    assert "up to date" in run(folder, "base_1.jsonl", "-o", "c.json").stderr
