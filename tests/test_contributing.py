"""What CONTRIBUTING.md and CITATION.cff name is there."""

from __future__ import annotations

import re
from pathlib import Path

import avaffect

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|toml|md))`")


def test_files_that_contributing_names_exist() -> None:
    named = [place for place in PLACES.findall(TEXT) if not re.search("NAME|shared", place)]
    assert len(named) > 20
    missing = [
        place
        for place in named
        if not any(
            (ROOT / folder / place).exists() for folder in (".", "avaffect", "avaffect/recipes")
        )
    ]
    assert missing == []


def test_groups_of_entry_points_are_those_of_the_registries() -> None:
    source = "".join(path.read_text() for path in sorted((ROOT / "avaffect").rglob("*.py")))
    declared = re.findall(r'Registry\([^)]*?"(avaffect\.\w+)"', source)
    declared += re.findall(r'^ENTRY_POINTS = "(avaffect\.\w+)"', source, re.M)
    assert len(declared) >= 4
    assert set(re.findall(r"^\| `(avaffect\.\w+)` \|", TEXT, re.M)) == set(declared)


def test_the_glossary_has_each_term_once() -> None:
    rows = TEXT.split("## Glossary")[1].splitlines()
    terms = [
        term.strip() for row in rows if row.startswith("|") for term in row.split("|")[1].split(",")
    ]
    assert len(terms) > 40 and len(set(terms)) == len(terms)


def test_the_citation_is_of_this_version_and_licence() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {avaffect.__version__}\n" in text
    licence = re.search(r'license = \{ text = "(.+?)" \}', (ROOT / "pyproject.toml").read_text())
    assert licence is not None and f"\nlicense: {licence[1]}\n" in text
    assert len(re.findall(r"^  - type: ", text, re.M)) == 5
