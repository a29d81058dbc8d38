"""Drawings of the report: places of values, lines of a lineage, what a page may hold."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
import re
import xml.etree.ElementTree as xml
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from chain import invoke
from hypothesis import example, given
from hypothesis import strategies as st

from avaffect.core.table import Table
from avaffect.recipes.reporting import charts, graph, page
from avaffect.recipes.reporting.charts import Frame, Series
from avaffect.recipes.reporting.graph import Node
from avaffect.recipes.reporting.media import Media
from avaffect.recipes.reporting.sections.data import evenly
from avaffect.recipes.reporting.svg import element, path, ticks
from avaffect.recipes.scoring import report_files
from avaffect.recipes.scoring.reports.comparison import ClassFacts, Comparison, TraceFacts

NAMESPACE = "{http://www.w3.org/2000/svg}"


def _edges(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    count = draw(st.integers(1, 12))
    keys = [f"n{number}" for number in range(count)]
    pairs = [(a, b) for a, b in itertools.combinations(keys, 2)]
    return keys, [pair for pair in pairs if draw(st.integers(0, 3)) == 0]


lineages = st.composite(_edges)()


def _reached(edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Pairs that are joined by a path."""
    found = {*edges}
    while more := {(a, d) for a, b in found for c, d in edges if b == c} - found:
        found |= more
    return found


@given(lineages)
def test_no_line_says_what_a_longer_way_says(lineage) -> None:
    keys, edges = lineage
    left = graph.reduced([Node(key, key, "") for key in keys], edges)
    assert _reached(left) == _reached(edges)
    for edge in left:
        assert edge not in _reached([other for other in left if other != edge])


@given(lineages)
def test_boxes_stand_apart_and_lines_go_down(lineage) -> None:
    keys, edges = lineage
    found = graph.laid_out(keys, edges)
    row = {spot: number for number, layer in enumerate(found.layers) for spot in layer}
    assert sorted(spot for spot in row if isinstance(spot, str)) == sorted(keys)
    for layer in found.layers:
        assert layer
        for left, right in itertools.pairwise(layer):
            widths = [graph.BOX_WIDTH if isinstance(s, str) else graph.PASS_WIDTH
                      for s in (left, right)]  # fmt: skip
            assert found.x[right] - found.x[left] >= sum(widths) / 2 + graph.GAP - 1e-6
    for (parent, child), spots in zip(edges, found.lines):
        assert (spots[0], spots[-1]) == (parent, child)
        assert [row[s] for s in spots] == [*range(row[parent], row[child] + 1)]


def test_a_chain_is_a_straight_line() -> None:
    found = graph.laid_out(["a", "b", "c"], [("a", "b"), ("b", "c")])
    assert len({found.x[key] for key in "abc"}) == 1


def test_an_input_stands_just_above_what_was_made_of_it() -> None:
    found = graph.laid_out(["a", "b", "late", "c"], [("a", "b"), ("b", "c"), ("late", "c")])
    assert [{*layer} for layer in found.layers] == [{"a"}, {"b", "late"}, {"c"}]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
@example(1.0, 400401.0, 2)
def test_ticks_are_round_and_within(low: float, width: float, about: int) -> None:
    high = low + width
    found = ticks(low, high, about)
    room = width * 1e-6
    assert 1 <= len(found) <= 2.5 * about + 1
    assert all(low - room <= value <= high + room for value in found)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(found)}
    for step in steps if width > 1e-3 and abs(low) < 1e3 else ():
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(mantissa - wanted) for wanted in (1, 2, 5, 10)) < 1e-3


def test_values_stand_where_their_axes_say() -> None:
    frame = Frame((0.0, 10.0), (-1.0, 1.0), left=40, right=140, top=10, bottom=110)
    assert frame.at(0, -1) == (40, 110) and frame.at(10, 1) == (140, 10)
    assert frame.at(5, 0) == (90, 60)
    drawn = xml.fromstring(charts.line(frame, Series("a", (0.0, 5.0, 10.0), (0.0, 1.0, -1.0))))
    assert drawn.get("d") == "M40 60L90 10L140 110"


def test_a_line_breaks_where_nothing_is_known() -> None:
    assert path([(0, 0), (1, 1), None, None, (4, 0), (5, 0)]) == "M0 0L1 1M4 0L5 0"
    frame = Frame((0.0, 3.0), (0.0, 1.0))
    drawn = charts.line(frame, Series("a", (0.0, 1.0, 2.0, 3.0), (0.0, math.nan, 1.0, 0.0)))
    assert xml.fromstring(drawn).get("d", "").count("M") == 2


def test_long_lines_are_means_of_neighbours() -> None:
    x = tuple(float(n) for n in range(1000))
    y = tuple(math.nan if n % 7 == 0 else float(n % 10) for n in range(1000))
    found = charts.thinned(Series("a", x, y), 250)
    assert len(found.x) == 250
    for n, (mean_x, mean_y) in enumerate(zip(found.x, found.y)):
        part = slice(4 * n, 4 * n + 4)
        known = [value for value in y[part] if not math.isnan(value)]
        assert mean_x == pytest.approx(sum(x[part]) / 4)
        assert mean_y == pytest.approx(sum(known) / len(known))
    assert charts.thinned(found, 250) is found


def test_bars_are_as_high_as_their_counts() -> None:
    drawn = xml.fromstring(charts.bars([0.0, 1.0, 2.0], [4, 2], "s", "label"))
    high, low = (float(r.get("height", 0)) for r in drawn.iter("rect"))
    assert high == pytest.approx(2 * low, rel=0.01) and drawn.get("aria-label") == "label"


def test_dots_and_their_deviations() -> None:
    drawn = xml.fromstring(charts.dots([charts.Row("a", 0.5, 0.1), charts.Row("b", 0.7, 0.0)],
                                       "score", "label"))  # fmt: skip
    lines = [each for each in drawn.iter("line") if "series" in each.get("class", "")]
    dots = [*drawn.iter("circle")]
    for dot, line in zip(dots, lines):
        ends = [float(line.get(name, 0)) for name in ("x1", "x2")]
        assert sum(ends) / 2 == pytest.approx(float(dot.get("cx", 0)), abs=0.1)
    widths = [float(line.get("x2", 0)) - float(line.get("x1", 0)) for line in lines]
    step = float(dots[1].get("cx", 0)) - float(dots[0].get("cx", 0))
    assert widths == [pytest.approx(step, abs=0.3), 0]


def test_texts_are_escaped() -> None:
    text = "<script>\"&'"
    found = xml.fromstring(element("g", element("title", text), class_=text, data_a=None))
    assert found.get("class") == text and found[0].text == text and len(found.keys()) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=30),
       st.integers(0, 12))  # fmt: skip
def test_faces_are_evenly_of_speakers(pairs: list[tuple[str, str]], count: int) -> None:
    speakers, labels = [a for a, _ in pairs], [b for _, b in pairs]
    rows = evenly(speakers, labels, count)
    assert rows == sorted({*rows}) and len(rows) == min(count, len(pairs))
    taken = {who: sum(speakers[row] == who for row in rows) for who in {*speakers}}
    for who, own in taken.items():
        # Who has fewer than another has no more.
        assert own == speakers.count(who) or own >= max(taken.values()) - 1


def test_numbers_stand_right_where_a_column_has_no_other() -> None:
    table = Table.of("t", ["a", "b", "c", "d", "e"], [
        ["x", "1", "0.5 ± 0.1", "-0.046* [-0.1, +0.0]", ""], ["y", "", "1e-03", "+0.1", "word"],
    ])  # fmt: skip
    assert page.numeric_columns(table) == [False, True, True, True, False]


def test_a_page_holds_no_more_than_it_may() -> None:
    grey = np.full((48, 48, 1), 100, dtype=np.uint8)
    sound = (np.sin(np.arange(16000) / 20) * 8000).astype(np.int16)
    sizes = [len(text or "") for text in (Media(10**6).picture(grey), Media(10**6).sound(sound))]
    media = Media(sum(sizes))
    assert media.picture(grey) and media.sound(sound)
    assert media.picture(grey) is None and media.sound(sound) is None
    assert (media.pictures, media.sounds, media.left_out, media.size) == (1, 1, 2, sum(sizes))
    assert "2 more were left out" in media.words
    assert media.picture(None) is None and media.sound(sound[:0]) is None and media.left_out == 2


def test_pictures_and_sound_are_what_they_were() -> None:
    media = Media(10**6)
    colour = np.zeros((40, 40, 3), dtype=np.uint8)
    colour[:, :20] = (250, 10, 10)
    colour[:, 20:] = (10, 10, 250)
    uri = media.picture(colour)
    assert uri is not None
    held = cv2.imdecode(np.frombuffer(_content(uri), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(held[:, 2:16].astype(int) - (250, 10, 10)).max() < 12
    long = (np.sin(np.arange(48000) * 2 * np.pi * 440 / 16000) * 8000).astype(np.int16)
    uri = media.sound(long, 2.0)
    assert uri is not None
    samples, rate = soundfile.read(io.BytesIO(_content(uri)))
    assert rate == 16000 and abs(len(samples) / rate - 2.0) < 0.15
    spectrum = np.abs(np.fft.rfft(samples[4000:20000]))
    assert abs(int(spectrum.argmax()) - 440) <= 2


def _content(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


@pytest.mark.parametrize("kind", ["classes", "traces"])
def test_a_comparison_is_read_as_it_was_written(tmp_path: Path, kind: str) -> None:
    facts = (
        ClassFacts(target="emotion", split=None, count=9) if kind == "classes"
        else TraceFacts(gold=("x",), gold_labels={"a": "b"}, raters="mean", rate_hz=25.0,
                        variant="biased", delay=0.0, split="test", count=3)
    )  # fmt: skip
    score = {"values": [0.5, None], "mean": 0.5, "std": None, "difference": None, "t": None,
             "degrees": None, "p": None}  # fmt: skip
    row = {"name": "a", "file": "a.json", "curve": None, "at": None, "against": None,
           "runs": [0, 1], **facts.to_dict(), "seen": None, "scores": {"ua": score},
           "per_class": {}}  # fmt: skip
    whole = {"content": "comparison", "of": "predictions", "scores": ["ua"], "baseline": "a",
             "test": "paired", "rows": [row], "provenance": {"inputs": []}}  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(whole))
    (found,) = report_files.read(tmp_path / "c.json")
    assert isinstance(found, Comparison) and found.rows[0].facts == facts
    assert found.rows[0].scores["ua"].values == (0.5, None)


def test_reports_of_all_kinds_on_one_page(voices: Path, tmp_path: Path) -> None:
    """A report of each command, of one small corpus of voices."""
    source = voices / "a.h5"
    invoke(tmp_path, "extract", source, "--model", "mfcc", "-o", "f.h5")
    invoke(tmp_path, "finetune", "f.h5", "--steps", 4, "--select", "none", "--runs", 2,
           "-o", "er.safetensors")  # fmt: skip
    invoke(tmp_path, "predict", "f.h5", "--model", "er.safetensors", "-o", "p.jsonl")
    invoke(tmp_path, "eval-class", "p.jsonl", "-o", "class.json")
    invoke(tmp_path, "eval-embeddings", "f.h5", "-o", "vectors.json")
    invoke(tmp_path, "compare", "class.json", "again=class.json", "-o", "compared.json")
    invoke(tmp_path, "explore", source, "--without-sound", "-o", "explored.json")
    # Predictions beside their own scores are a row.
    names = ("p.jsonl", "class.json", "vectors.json", "compared.json", "explored.json")
    invoke(tmp_path, "report", *names, "er.safetensors.metrics.jsonl", "-o", "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    captions = re.findall(r"<caption>([^<]*)</caption>", text)
    for start in ("Scores of emotion", "Separation", "Comparison", "Label emotion"):
        assert any(caption.startswith(start) for caption in captions), (start, captions)
    assert "er.safetensors, 2 runs" in text
    assert text.count('<table class="confusion">') == 1
