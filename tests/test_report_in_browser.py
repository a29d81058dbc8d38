"""A report in a real browser: no complaint, no request, keyboard, both colour schemes, print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Page, browser, program
from chain import invoke
from reported import GIVEN, build

SCHEMES = ("light", "dark")
# Contrast of text with what is behind it (WCAG 2.2, 1.4.3), of all texts that are shown.
CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const rgba = (text) => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
    const [x, y, z] = [r, g, b].map(c => linear(c / 255));
    return .2126 * x + .7152 * y + .0722 * z;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, style = getComputedStyle(element);
    if (!node.data.trim() || ["SCRIPT", "STYLE", "title"].includes(element.tagName)) continue;
    if (!element.getClientRects().length || style.visibility === "hidden") continue;
    const svg = element instanceof SVGElement;
    let behind = null;
    for (let at = element; at && !behind; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) behind = colour;
    }
    const ink = rgba(svg ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind)].sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), element.tagName, node.data.trim().slice(0, 40)]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def page(split_films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The report of a small chain, loaded."""
    program()
    folder = tmp_path_factory.mktemp("browser")
    build(split_films, folder)
    invoke(folder, "report", *GIVEN, "--faces", 6, "--traces", 2, "-o", "report.html")
    with browser() as running:
        page = running.page()
        page.show()
        page.open(folder / "report.html")
        page.path = folder / "report.html"  # type: ignore[attr-defined]
        yield page


def test_no_complaint_and_no_request(page: Page) -> None:
    page.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.run(
        "Promise.all([...document.querySelectorAll('audio')].slice(0, 4).map(audio => audio.play()"
        ".then(() => audio.pause(), error => { if (error.name != 'AbortError') throw error })))"
    )
    page.settle()
    page.run("document.querySelectorAll('details').forEach(each => each.open = false)")
    assert page.complaints == []
    asked = {url for url in page.requests if not url.startswith("data:")}
    assert asked == {page.path.resolve().as_uri()}  # type: ignore[attr-defined]


def test_every_picture_and_sound_can_be_read(page: Page) -> None:
    sizes = page.run(
        "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
    )
    assert len(sizes) > 10 and {*sizes} == {48}
    seconds = page.run(
        "Promise.all([...document.querySelectorAll('audio')].map("
        "audio => new Promise((done, fail) => { audio.preload = 'metadata'; audio.onerror = fail; "
        " audio.onloadedmetadata = () => done(audio.duration); audio.load() })))"
    )
    assert len(seconds) > 10 and all(0.5 < length < 1.0 for length in seconds)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_can_be_read(page: Page, scheme: str) -> None:
    page.show(scheme)
    found = page.run(CONTRAST)
    page.show()
    assert len(found) > 200
    faint = [each for each in found if each[0] < 4.5]
    assert faint == []


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_is_wider_than_the_page(page: Page, width: int) -> None:
    page.show(width=width)
    whole = page.run("document.documentElement.scrollWidth")
    page.show()
    assert whole <= width


def test_schemes_differ_and_print_is_on_paper(page: Page) -> None:
    means = {}
    for scheme in SCHEMES:
        page.show(scheme)
        means[scheme] = _mean(page.picture("#scores"))
    page.show("dark", media="print")
    means["print"] = _mean(page.picture("#scores"))
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    page.show()
    assert means["light"] > 200 and means["dark"] < 80 and means["print"] > 200


def _mean(png: bytes) -> float:
    return float(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE).mean())


def test_a_keyboard_is_enough(page: Page) -> None:
    page.open(page.path)  # type: ignore[attr-defined]
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
    place = "[document.activeElement.tagName, document.activeElement.getAttribute('class') || '']"
    page.press("Tab")
    assert page.run(place) == ["A", "skip"]
    page.press("Enter")
    assert page.run("document.activeElement.id") == "main"
    reached = set()
    for _ in range(400):
        page.press("Tab")
        name, style = page.run(place)
        seen = page.run("getComputedStyle(document.activeElement).outlineStyle")
        # A player shows where the focus is among its own buttons.
        assert seen != "none" or name in ("BODY", "AUDIO"), (name, style)
        reached.add((name, style))
        if name == "BODY":
            break
    assert {("BUTTON", "play"), ("SUMMARY", "")} <= reached
    assert any(name == "AUDIO" for name, _ in reached)
    # A link of the lineage opens what it leads to.
    page.run("document.querySelector('.graph a').focus()")
    target = page.run("document.activeElement.getAttribute('href')")
    page.press("Enter")
    page.settle()
    assert page.run(f"document.querySelector('{target}').open") is True


def test_play_and_pause(page: Page) -> None:
    page.open(page.path)  # type: ignore[attr-defined]
    page.run("document.querySelector('button.play').focus()")
    page.press("Enter")
    page.settle()
    first = "document.querySelector('.tile audio')"
    assert page.run(f"{first}.paused") is False or page.run(f"{first}.ended")
    # Another one stops it.
    page.run("document.querySelectorAll('.tile audio')[1].play().catch(() => 0)")
    page.settle()
    assert page.run(f"{first}.paused") is True


def test_a_line_follows_the_sound(page: Page) -> None:
    page.open(page.path)  # type: ignore[attr-defined]
    at = "Number(document.querySelector('.recording .playhead').getAttribute('x1'))"
    before = page.run(at)
    page.run(
        "new Promise(done => { const a = document.querySelector('.recording audio');"
        "a.addEventListener('seeked', () => setTimeout(done, 30), {once: true});"
        "a.preload = 'auto'; a.onloadeddata = () => { a.currentTime = .3 }; a.load() })"
    )
    assert page.run(at) > before + 100


def test_without_scripts_players_are_the_browsers_own(page: Page) -> None:
    page.open(page.path, scripts=False)  # type: ignore[attr-defined]
    assert page.count("audio[controls]") > 10 and page.count("button") == 0
    page.open(page.path)  # type: ignore[attr-defined]
    assert page.count("button.play") > 10


def test_names_and_roles_for_screen_readers(page: Page) -> None:
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes
             if not n.get("ignored") and "role" in n]  # fmt: skip
    roles = {role for role, _ in named}
    assert {"banner", "navigation", "main", "contentinfo", "heading", "table", "button"} <= roles
    for role in ("button", "link", "img", "image", "region", "Audio"):
        assert all(name for one, name in named if one == role), role
