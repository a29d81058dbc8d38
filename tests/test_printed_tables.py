"""Tables on standard output, for people and for programs."""

from __future__ import annotations

import sys

import pytest

from avaffect.cli.console import print_table
from avaffect.core.shown import on_one_line
from avaffect.core.table import Table

NAMES = ("a\nb", "c\td", "\x1b[31mred", "[bold]e[/bold]", "\udce9", "\u2028")
SHOWN = (r"a\nb", r"c\td", r"\x1b[31mred", "[bold]e[/bold]", r"\udce9", r"\u2028")


def test_names_keep_to_their_line() -> None:
    assert tuple(map(on_one_line, NAMES)) == SHOWN
    assert on_one_line("é ü 名") == "é ü 名"


@pytest.mark.parametrize("drawn", [False, True])
def test_a_row_is_one_line(
    drawn: bool, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: drawn)
    monkeypatch.setenv("TERM", "dumb")
    print_table(Table.of("Names", ["id", NAMES[0]], [[name, "1"] for name in NAMES]))
    lines = capsys.readouterr().out.splitlines()
    for name in SHOWN:
        (row,) = [line for line in lines if name in line and line.split()[-1 - drawn] == "1"]
        assert "\x1b" not in row
    if not drawn:
        assert [line.split("\t")[0] for line in lines] == ["id", *SHOWN]
