"""Tables in LaTeX: what signs of names become, and that pdflatex takes them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from chain import invoke

from avaffect.core.latex import latex
from avaffect.core.table import Table

NAMES = [
    "100%_a&b", "[noise]", "*star", "a|b<c>", r"C:\x^2~y", "{br}#$", "Müller é ß", "--score", "−1",
    "0.5 ± 0.1** [0.4, 0.6]", "1e-07", "-0.5", "x – y …", "≤ 3 → 4", "", "''",
]  # fmt: skip


def names() -> str:
    rows = [[name, name, name] for name in NAMES]
    return latex(Table.of("T %_& [x]", ["[p]", "score & x", "%"], rows, "note % _ & #"))


def test_a_row_takes_nothing_of_the_next() -> None:
    """Behind two backslashes, [ begins an argument, and * is a part of the command."""
    rows = [line for line in names().splitlines() if line.endswith(r"\\")]
    assert len(rows) == len(NAMES) + 1
    assert not [row for row in rows if row.lstrip().startswith(("[", "*"))]
    assert "--" not in "".join(rows) and "''" not in "".join(rows)
    assert "pdflatex" not in names()


def test_characters_that_pdflatex_lacks_are_named() -> None:
    found = latex(Table.of("t", ["n"], [["喜び"]]))
    assert re.search("^% .*喜.*lualatex", found, re.M) and "喜び \\\\" in found


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_takes_them(tmp_path: Path) -> None:
    rows = [f"{i},{true},{guess}" for i, (true, guess) in enumerate(
        [("[a_1]", "[a_1]"), ("*b&c%", "[a_1]"), ("*b&c%", "*b&c%"), ("d#|$", "d#|$")]
    )]  # fmt: skip
    (tmp_path / "100%_of.csv").write_text("\n".join(["id,gold,prediction", *rows]) + "\n")
    of_classes = ("eval-class", "100%_of.csv", "--format", "latex")
    shown = [names()]
    for option in ((), ("--per-class",), ("--confusion",), ("--confidence", 95)):
        shown.append(invoke(tmp_path, *of_classes, *option).stdout)
    begin = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\tiny\n"
    text = begin + "\n\n\\clearpage\n".join(shown) + "\n\\end{document}\n"
    (tmp_path / "t.tex").write_text(text, "utf-8")
    found = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path,
        capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=120,
        env={**os.environ, "TEXMFVAR": str(tmp_path / "var"), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-1500:]
