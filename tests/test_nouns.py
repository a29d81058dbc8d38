"""Nouns behind numbers agree with them, in every message of the program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from avaffect.core.nouns import count_of, plural, share_of

ROOT = Path(__file__).resolve().parents[1]
# Nouns that messages count; a new one belongs here.
NOUNS = """
    arrangements arrays bands batches bins blocks bytes channels classes classifiers clusters
    columns cores cues days draws embeddings encoders features fields files folds frames groups
    ids items labels lineages manifests notes outputs packets pages parts pictures predictions
    queries raters recordings reports rows runs samples scores segments sessions sets shards
    speakers steps stores symbols tasks texts things threads titles tokens traces tracks
    transcripts units utterances values vectors videos weights windows words
"""
COUNTED = frozenset(NOUNS.split())
# A number, as it is called in the code.
NUMBER = re.compile(r"(len|sum|int|max|min)\(|\b(count|total|number|kept|lost)\b|\.shape\[")
# Never 1: a length in pixels, dimensions of a model, a constant; or no number at all.
NEVER_ONE = re.compile(
    r"^[A-Z_]+$|^c\.|^(dim|heads|height|width|patch|shape|path|role|names|limit)$|path$|role$"
    r"|\.limit$|flat\[|\.shape\[1:\]|join\(|_size\(|\[0\]$|^store|hint\(|^\[|first|second"
)
# Words that end like plurals.
OTHERS = {
    "has", "as", "was", "others", "seconds", "hours", "degrees", "differs", "holds", "means",
    "themselves", "uses",
}  # fmt: skip


def uncounted(source: str) -> Iterator[tuple[int, str]]:
    """(line, words) of each number in a text before a plural noun that no function counts."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        befores = [None, *(getattr(part, "value", None) for part in node.values)]
        for before, value, after in zip(befores, node.values, node.values[1:]):
            if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            number, words = ast.unparse(value.value), str(after.value)
            if value.format_spec is not None or "count_of" in number or NEVER_ONE.search(number):
                continue
            if re.match(r"s\b", words) and before == " ":
                yield node.lineno, f"{{{number}}}{words[:40]}"
            found = re.match(r" ([a-z-]+)\b(?: ([a-z]+)\b)?", words)
            if found is None:
                continue
            first, second = found.groups()
            is_adjective = second in COUNTED and NUMBER.search(number) and first != "without"
            any_plural = NUMBER.search(number) and first.endswith("s") and first[-2:] != "is"
            if first in COUNTED or is_adjective or (any_plural and first not in OTHERS):
                yield node.lineno, f"{{{number}}}{words[:40]}"


def test_every_message_counts_its_nouns() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {words}"
        for path in sorted((ROOT / "avaffect").rglob("*.py"))
        for line, words in uncounted(path.read_text("utf-8"))
    ]
    assert not found, "count them with avaffect.core.nouns:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("f'{len(x)} utterances'", True),
        ("f'{a} speakers are' f' here'", True),
        ("f'all {total} lost files'", True),
        ("f'{len(x)} gadgets'", True),
        ("f'{count} {noun}s here'", True),
        ("f'{x:.2f} hours'", False),
        ("f\"{count_of(len(x), 'utterance')} here\"", False),
        ("f'{x} is lost'", False),
    ],
)
def test_the_test_finds_them(text: str, is_found: bool) -> None:
    assert [*map(bool, uncounted(text))] == [True] * is_found


def test_pages_and_templates_say_no_1_utterances() -> None:
    """Manuals, guides, README and the templates of the report."""
    pages = [*(ROOT / "man").iterdir(), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md"),
             *(ROOT / "avaffect").rglob("*.html")]  # fmt: skip
    nouns = "|".join(sorted(COUNTED))
    wrong = re.compile(rf"(?<![\d.,/x-])\b1 ({nouns})\b|\{{\{{[^}}]*\}}\}} ({nouns})\b")
    found = {path.name: wrong.findall(path.read_text("utf-8")) for path in pages if path.is_file()}
    assert {name: words for name, words in found.items() if words} == {}


def test_counted() -> None:
    assert [count_of(n, "query") for n in (0, 1, 2)] == ["0 queries", "1 query", "2 queries"]
    assert count_of(1, "file is", "files are") == "1 file is"
    assert count_of(3, "file is", "files are") == "3 files are"
    assert [*map(plural, ("class", "batch", "day", "axis"))] == [
        "classes",
        "batches",
        "days",
        "axises",
    ]
    assert (share_of(1, 1, "item"), share_of(1, 2, "item")) == ("1 item", "1 of 2 items")
