"""The manual pages: shown by `avaffect help`, installed, and free of mistakes of form."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from chain import invoke

from avaffect.cli import help, manual, pages, roff
from avaffect.cli.catalogue import COMMANDS
from avaffect.core.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "man").iterdir())


def test_every_page_is_found_by_its_names() -> None:
    assert {*pages.every().values()} == {*PAGES}
    for path in PAGES:
        name, _, section = path.name.removeprefix("avaffect-").rpartition(".")
        assert pages.find(f"avaffect-{name}.{section}") == path
        assert pages.find(f"avaffect-{name}({section})") == path
    assert {*COMMANDS} <= {*pages.topics()}
    assert all(pages.find(topic) for topic in pages.topics())
    # A command goes before the format of the same name.
    assert pages.find("manifest") == ROOT / "man" / "avaffect-manifest.1"
    assert "manifest.5" in pages.topics() and pages.find("nothing") is None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_as_plain_text(path: Path) -> None:
    """Without man(1): no macro is left, and no line of prose is wider than asked."""
    text = path.read_text("utf-8")
    for width in (60, 80):
        shown = roff.plain(text, width)
        assert not re.search(r"^\s*\.(?:[A-Z]{2}|B|I|br)\b", shown, flags=re.M)
        verbatim = {line.strip() for line in _verbatim(text)}
        # Titles have a line of their own.
        wide = [line for line in shown.splitlines() if len(line) > width and line[:7] == " " * 7]
        assert {line.strip() for line in wide if " " in line.strip()} <= verbatim


def _verbatim(text: str) -> list[str]:
    parts = re.findall(r"^\.(?:EX|nf)\n(.*?)^\.(?:EE|fi)\n", text, flags=re.M | re.S)
    return roff.plain(".nf\n" + "".join(parts) + ".fi\n").splitlines()


def test_an_unknown_macro_or_character_is_an_error() -> None:
    for text in (".XX strange\n", "a \\(zz b\n"):
        with pytest.raises(DataError):
            roff.plain(text)


def test_layout_of_plain_text() -> None:
    page = (
        '.TH X 1 2026-01-01 "p" "m"\n.SH NAME\nx \\- y\n.TP\n.BR \\-a ", " \\-\\-all " N"\nAll of\n'
        ".I them\n.TP\n.B \\-b\nOne.\n.PP\nThe end,\n.EX\n  as  typed \\e\n.EE\n"
    )
    assert roff.plain(page, 40) == (
        "X(1)\n\nNAME\n       x - y\n\n       -a, --all N\n              All of them\n\n"
        "       -b     One.\n\n       The end,\n\n         as  typed \\\n"
    )


def test_a_macro_goes_on_in_the_next_line() -> None:
    assert (
        roff.plain('.TP\n.BR a ", " \\\nb ", " c\nText.\n')
        == "       a, b, c\n              Text.\n"
    )


def test_help_shows_pages_and_what_to_type_first(avaffect) -> None:
    assert avaffect("help", "retrieve").stdout == roff.plain(
        (ROOT / "man" / "avaffect-retrieve.1").read_text("utf-8")
    )
    first = avaffect("help").stdout
    assert first == help.first_steps()
    for topic in re.findall(r"avaffect help (\S+)", first):
        assert pages.find(topic), topic
    for name in re.findall(r"^avaffect (\w[a-z-]+)", first, flags=re.M):
        assert name in {*COMMANDS, "help"}


@pytest.mark.parametrize("topic, meant", [("finetnue", "finetune"), ("hlep", None)])
def test_help_of_an_unknown_topic(topic: str, meant: str | None, tmp_path: Path) -> None:
    said = invoke(tmp_path, "help", topic, status=2).stderr
    assert topic in said and ("did you mean" in said) == (meant is not None)
    assert meant is None or f"did you mean {meant}?" in said


def test_pages_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the record of its files; there is no folder man/ beside it."""
    page = tmp_path / "share" / "man" / "man1" / "avaffect-finetune.1"
    page.parent.mkdir(parents=True)
    page.write_text("")
    metadata = tmp_path / "lib" / "avaffect-9.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: avaffect\nVersion: 9\n")
    (metadata / "RECORD").write_text("../share/man/man1/avaffect-finetune.1,,\nother.1,,\n")
    monkeypatch.setattr("sys.path", [str(tmp_path / "lib")])
    monkeypatch.setattr(pages, "CHECKOUT", tmp_path / "nowhere")
    pages.every.cache_clear()
    try:
        assert pages.every() == {"finetune.1": page}
    finally:
        pages.every.cache_clear()


def test_the_package_brings_all_pages() -> None:
    declared = re.findall(
        r'^"share/man/man(\d)" = \["man/\*\.(\d)"\]$', (ROOT / "pyproject.toml").read_text(), re.M
    )
    assert all(folder == section for folder, section in declared)
    assert {path.suffix[1:] for path in PAGES} == {section for _, section in declared}


def test_titles_are_those_of_the_files() -> None:
    for path in PAGES:
        assert path.read_text("utf-8").startswith(manual.title(path.name))


def test_mandoc_finds_no_fault() -> None:
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed (Debian: apt-get install mandoc)")
    found = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *map(str, PAGES)], capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_groff_has_no_warning() -> None:
    if not shutil.which("groff"):
        pytest.skip("groff is not installed (Debian: apt-get install groff)")
    found = subprocess.run(
        ["groff", "-K", "utf8", "-T", "utf8", "-man", "-ww", "-z", *map(str, PAGES)],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
