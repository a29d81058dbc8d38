"""`avaffect report`: one page of what artifacts hold, for eyes and screen readers."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chain import invoke
from pages import Element, parsed
from reported import GIVEN, build

from avaffect.data import manifest
from avaffect.recipes.reporting import page as pages

SECTIONS = {
    "scores",
    "retrieval",
    "traces",
    "embeddings",
    "training",
    "data",
    "lineage",
    "artifacts",
}
MADE = ("report", *GIVEN, "--retrieved", 3, "--queries", 3, "--traces", 2, "--faces", 5, "-o")


@pytest.fixture(scope="module")
def folder(split_films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain and its report, report.html; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    build(split_films, folder)
    invoke(folder, *MADE, "report.html")
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Element:
    return parsed((folder / "report.html").read_text("utf-8"))


def _section(page: Element, anchor: str) -> Element:
    return page.one("section", id=anchor)


def _table(section: Element, caption: str) -> Element:
    (found,) = [t for t in section.all("table") if t.one("caption").text == caption]
    return found


def _cells(table: Element) -> list[list[str]]:
    rows = table.one("tbody").all("tr")
    return [[cell.text for cell in row.children if cell.name in ("th", "td")] for row in rows]


def test_a_section_for_all_that_there_is(page: Element) -> None:
    assert {section.attributes["id"] for section in page.all("section")} == SECTIONS
    assert [a.attributes["href"] for a in page.one("nav").all("a")] == [
        f"#{section.attributes['id']}" for section in page.all("section")
    ]


def test_for_who_does_not_see_it(page: Element) -> None:
    levels = [int(e.name[1]) for e in page.all("*") if re.fullmatch("h[1-6]", e.name)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.one("html").attributes["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        page.one(landmark)
    for image in page.all("img"):
        assert image.attributes["alt"]
    for drawing in page.all("svg"):
        assert drawing.attributes["aria-label"] and drawing.attributes["role"] in ("img", "group")
    for table in page.all("table"):
        assert table.one("caption").text
        assert all(th.attributes["scope"] in ("row", "col") for th in table.all("th"))
    for audio in page.all("audio"):
        assert "controls" in audio.attributes and audio.attributes["aria-label"]
    ids = [e.attributes["id"] for e in page.all("*") if "id" in e.attributes]
    assert len(ids) == len({*ids})
    for link in page.all("a"):
        assert link.attributes["href"][1:] in ids


def test_nothing_is_elsewhere(folder: Path, page: Element) -> None:
    for element in page.all("*"):
        for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            where = element.attributes.get(name, "#")
            assert where.startswith(("#", "data:")), f"{element.name} {name}={where[:60]}"
    text = (folder / "report.html").read_text("utf-8")
    assert "url(" not in text and "@import" not in text
    assert str(folder) not in text


def test_scores_stand_beside_chance_and_each_other(folder: Path, page: Element) -> None:
    report = json.loads((folder / "scores.json").read_text("utf-8"))
    section = _section(page, "scores")
    rows = _cells(_table(section, "Scores of emotion"))
    assert rows[0][:2] == ["p.jsonl", "2"] and rows[-1][0].startswith("chance")
    confusions = section.all("table", class_="confusion")
    # Of both predictions, and of the report of the first.
    assert len(confusions) == 3
    rows = confusions[2].one("tbody").all("tr")
    shown = [[int(cell.words[0]) for cell in row.all("td")] for row in rows]
    assert shown == report["confusion"]["matrix"]
    names = [row[0] for row in _cells(_table(section, "Comparison"))]
    assert names[:3] == ["p", "q", "scores"] and names[3].startswith("chance")
    assert {row[0] for row in _cells(_table(section, "Scores of traces"))} == {"arousal", "valence"}


def test_scores_in_a_sentence(folder: Path, page: Element) -> None:
    """Those of eval-class, with its interval where it was wanted."""
    [report] = json.loads("[" + invoke(folder, "eval-class", "p.jsonl", "--json").stdout + "]")
    said = [note.text for note in _section(page, "scores").all("p") if "p.jsonl: " in note.text]
    assert any(f"{report['ua']:.3f}, on {report['count']} utterances" in text for text in said)
    assert any(f"chance gives {report['chance']['ua']:.3f}" in text for text in said)


def test_the_gallery_has_faces_and_sound(folder: Path, page: Element) -> None:
    rows = page.one("ol", class_="gallery").all("li")
    draws, similar = {}, {}
    for line in (folder / "r.jsonl").read_text("utf-8").splitlines()[1:-1]:
        item = json.loads(line)
        draws[item["query"]] = [*dict.fromkeys(item["pool"])][:3]
        first = dict(zip(item["pool"][::-1], item["similarity"][::-1]))
        similar[item["query"]] = [f"{first[name]:.2f}" for name in draws[item["query"]]]
    assert len(rows) == 3
    for row in rows:
        query, *others = [tile.one("p", class_="id").text for tile in row.all("div", class_="tile")]
        assert others == draws[query]
        details = [t.all("p")[1].text for t in row.all("div", class_="tile")]
        assert [text.split(" · ")[0] for text in details[1:]] == similar[query]
        assert all(text.endswith(" s") for text in details)
        for tile in row.all("div", class_="tile"):
            assert tile.one("img").attributes["src"].startswith("data:image/jpeg;base64,/9j/")
            assert tile.one("audio").attributes["src"].startswith("data:audio/mpeg;base64,")
            marked = {"same": "same", "other": "other"}
            words = [mark.text for mark in tile.all("span", class_="mark")]
            own = [marked[s] for s in tile.attributes["class"].split() if s in marked]
            assert words == own
    # The pool is the corpus itself: its labels are known.
    assert {"same", "other"} >= {t.text for row in rows for t in row.all("span", class_="mark")}


def test_traces_above_faces(page: Element) -> None:
    recordings = _section(page, "traces").all("figure")
    assert len(recordings) == 2
    for recording in recordings:
        assert len(recording.all("path", class_="series")) == 4
        assert 10 <= len(recording.all("image")) <= 14
        recording.one("audio")


def test_curves_of_the_lineage_too(page: Element) -> None:
    titles = [h.text for h in _section(page, "training").all("h3")]
    assert {"x.safetensors", "projector.safetensors"} <= {*titles}
    assert "er.safetensors, 2 runs, other.safetensors, 2 runs" in titles
    # Two runs in each of two histories, side by side.
    (shared,) = [h for h in _section(page, "training").all("ul", class_="legend")]
    assert [li.text for li in shared.all("li")] == [
        f"{name}.safetensors run {run}" for name in ("er", "other") for run in (0, 1)
    ]
    rows = _cells(_table(_section(page, "training"), "The curves in numbers")) if False else []
    assert rows == []


def test_data_in_numbers(page: Element) -> None:
    section = _section(page, "data")
    (row,) = _cells(_table(section, "Corpora and media stores"))
    assert row[:3] == ["a.h5", "12", "6"]
    labels = _cells(_table(section, "Label emotion"))
    assert sum(int(row[1]) for row in labels) == 12
    assert section.all("rect", class_="bar")
    assert len(section.one("ul", class_="sheet").all("img")) == 5


def test_the_lineage_and_its_makefile(folder: Path, page: Element) -> None:
    section = _section(page, "lineage")
    nodes = section.one("svg", class_="graph").all("*", class_="node")
    rows = _cells(_table(section, "Lineage"))
    assert len(nodes) == len(rows)
    assert {row[0] for row in rows} >= {*GIVEN, "kmeans.safetensors", "a.jsonl"}
    linked = [node for node in nodes if "href" in node.attributes]
    # A report is described by its scores.
    assert len(linked) == len(GIVEN) - 1
    made = invoke(folder, "lineage", *sorted(GIVEN), "--make").stdout
    assert section.one("pre").one("code").words == [made.strip()]


def test_the_order_does_not_matter(folder: Path) -> None:
    shuffled = [*reversed(GIVEN), GIVEN[2]]
    invoke(folder, "report", *shuffled, *MADE[len(GIVEN) + 1 :], "other.html")
    first, second = ((folder / name).read_text("utf-8") for name in ("report.html", "other.html"))
    title = "<title>{0}</title>", "<h1>{0}</h1>"
    for tag in title:
        second = second.replace(tag.format("other"), tag.format("report"))
    assert first == second


def test_up_to_date_or_not(folder: Path) -> None:
    before = (folder / "report.html").read_bytes()
    again = invoke(folder, *MADE, "report.html")
    assert "is up to date" in again.stderr
    invoke(folder, "report", "a.h5", "-o", "report.html", status=73)
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.parametrize("what", ["history", "store", "lost", "provenance"])
def test_a_page_is_of_what_lies_behind_its_artifacts_too(
    folder: Path, tmp_path: Path, what: str
) -> None:
    """A page of predictions shows the store that they are of, and the curves of its classifier."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    page = ("report", "p.jsonl", "--faces", 2, "-o", "page.html")
    invoke(copy, *page)
    assert "is up to date" in invoke(copy, *page).stderr
    if what == "history":
        with (copy / "er.safetensors.metrics.jsonl").open("a") as stream:
            stream.write(json.dumps({"epoch": 99, "seconds": 1.0, "ua": 0.5}) + "\n")
        name = "er.safetensors.metrics.jsonl"
    elif what == "store":
        (copy / "a.h5").unlink()
        name = "a.h5"
    elif what == "lost":
        shutil.copy(copy / "a.jsonl", copy / "a.h5.lost.jsonl")
        name = "a.h5.lost.jsonl"
    else:
        found = manifest.read(copy / "a.jsonl")
        made = {**found.header.provenance, "settings": {"other": True}}
        manifest.write(copy / "a.jsonl", replace(found.header, provenance=made), [*found])
        name = "a.jsonl"
    assert name in invoke(copy, *page, status=73).stderr
    before = (copy / "page.html").read_bytes()
    invoke(copy, *page, "--force")
    assert (copy / "page.html").read_bytes() != before
    assert "is up to date" in invoke(copy, *page).stderr


def test_no_more_than_it_may_hold(folder: Path) -> None:
    invoke(folder, *MADE, "small.html", "--megabytes", 0.02)
    page = parsed((folder / "small.html").read_text("utf-8"))
    held = [e.attributes[n] for e in page.all("*") for n in ("src", "href") if n in e.attributes]
    held = [uri for uri in held if uri.startswith("data:") and len(uri) > len("data:,")]
    assert 0 < sum(map(len, held)) <= 20_000
    left_out = re.search(r"; (\d+) more were left out", page.one("footer").text)
    whole = parsed((folder / "report.html").read_text("utf-8"))
    every = [e for e in whole.all("*") if len(e.attributes.get("src", "")) > 10]
    every += whole.all("image")
    assert left_out is not None and int(left_out[1]) == len(every) - len(held)


@pytest.mark.parametrize("name", ["words.txt", "none.h5", "damaged.h5", "cut.jsonl"])
def test_what_cannot_be_read_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "words.txt").write_text("words\n")
    (tmp_path / "damaged.h5").write_bytes((folder / "a.h5").read_bytes()[:9000])
    (tmp_path / "cut.jsonl").write_bytes((folder / "p.jsonl").read_bytes()[:900])
    found = invoke(tmp_path, "report", name, "-o", "report.html", status=65)
    assert name in found.stderr and not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", ["a.h5", "p.jsonl", "er.safetensors"])
@pytest.mark.parametrize("cut", [True, False])
def test_no_page_of_files_that_are_cut_or_replaced_meanwhile(
    folder: Path, tmp_path: Path, monkeypatch, name: str, cut: bool
) -> None:
    """a.h5 and er.safetensors are behind p.jsonl, which is given."""
    copy, render = tmp_path / "copy", pages.render
    shutil.copytree(folder, copy)

    def rendered(*arguments: Any) -> str:
        if cut:
            os.truncate(copy / name, (copy / name).stat().st_size // 2)
        else:
            (copy / name).unlink()
            shutil.copy(copy / "a.jsonl", copy / name)
        return render(*arguments)

    monkeypatch.setattr(pages, "render", rendered)
    found = invoke(copy, "report", "p.jsonl", "--faces", 2, "-o", "page.html", status=65)
    assert name in found.stderr and not (copy / "page.html").exists()


def test_no_page_by_another_name(folder: Path) -> None:
    assert "x.html" in invoke(folder, "report", "a.h5", "-o", "x.json", status=2).stderr


def test_what_is_missing_is_a_note(folder: Path, tmp_path: Path) -> None:
    """The stores behind a retrieval are gone: the page has the rest, and says so."""
    for name in ("r.jsonl", "p.jsonl"):
        shutil.copy(folder / name, tmp_path)
    found = invoke(tmp_path, "report", "r.jsonl", "p.jsonl", "-o", "report.html")
    assert "warning" in found.stderr
    page = parsed((tmp_path / "report.html").read_text("utf-8"))
    assert page.all("p", class_="warning")
    assert {s.attributes["id"] for s in page.all("section")} >= {"scores", "retrieval", "lineage"}


def test_gold_of_a_retrieval_is_none_of_traces(folder: Path) -> None:
    """Labels of retrieved utterances, of another name; the traces' gold lies behind them."""
    found = manifest.read(folder / "a.jsonl")
    items = [{"id": item["id"], "media": "x.wav", "labels": {"mood": "sadness"}} for item in found]
    labels = {"mood": {"kind": "class", "classes": ["sadness"]}}
    header = manifest.new_header("corpus", base=".", corpus="x", labels=labels, provenance={})
    manifest.write(folder / "mood.jsonl", header, items)
    gold = ("--gold", "mood.jsonl", "--label", "mood")
    invoke(folder, "report", "r.jsonl", "t.h5", *gold, "--traces", 1, "-o", "gold.html")
    page = parsed((folder / "gold.html").read_text("utf-8"))
    assert len(_section(page, "traces").all("figure")) == 1
    labels_of = [t.one("p", class_="label").words[0] for t in page.all("div", class_="tile")]
    assert labels_of.count("sadness") >= len(labels_of) - 8
    row, *_ = _cells(_table(_section(page, "retrieval"), "Scores"))
    assert row[3] == "0"


def test_names_are_no_markup(folder: Path, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>&<b>.jsonl"
    (tmp_path / evil.replace("/", "∕")).write_bytes((folder / "p.jsonl").read_bytes())
    title = "<img src=x onerror=alert(1)>"
    name = evil.replace("/", "∕")
    invoke(tmp_path, "report", name, "-o", "report.html", "--title", title)
    page = parsed((tmp_path / "report.html").read_text("utf-8"))
    assert page.one("h1").text == title and page.all("b") == [] and page.all("img") == []
    assert len(page.all("script")) == 2
    assert name in page.one("ul", class_="given").text
