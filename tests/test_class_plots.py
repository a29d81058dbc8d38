"""Pictures of `eval-class`: what is drawn, files that stay the same, refusals."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from chain import invoke

from avaffect.data import manifest

CLASSES = ["anger", "calm", "<joy & co>"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("matplotlib")
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        items = []
        for n in range(60):
            shares = random.dirichlet([0.6] * 3)
            items.append({
                "id": f"u{n}", "gold": CLASSES[n % 3], "prediction": CLASSES[int(shares.argmax())],
                "speaker": f"s{n % 7}", "scores": dict(zip(CLASSES, shares.tolist())),
            })  # fmt: skip
        header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
        manifest.write(tmp_path / f"{name}.jsonl", header, items)
    return tmp_path


def words(path: Path) -> list[str]:
    """matplotlib writes the text of each group of paths as a comment."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    tree = ElementTree.parse(path, parser)
    return [(e.text or "").strip() for e in tree.iter() if e.tag is ElementTree.Comment]


def test_confusion_and_reliability(folder: Path) -> None:
    draw = ("eval-class", "a.jsonl", "b.jsonl", "--calibration", "--plot", "c.svg",
            "--plot-reliability", "r.svg", "--json")  # fmt: skip
    invoke(folder, *draw)
    found = words(folder / "c.svg")
    assert {"predicted", "true", "a", "b", "calm", "&lt;joy &amp; co&gt;"} <= set(found)
    # A cell for each pair of classes, in both panels.
    assert sum(text.endswith("%") for text in found) == 2 * 9
    assert sum(text.startswith("expected error") for text in words(folder / "r.svg")) == 2
    first = [(folder / name).read_bytes() for name in ("c.svg", "r.svg")]
    for name in ("c.svg", "r.svg"):
        (folder / name).unlink()
    invoke(folder, *draw)
    assert [(folder / name).read_bytes() for name in ("c.svg", "r.svg")] == first


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_formats_and_refusals(folder: Path, suffix: str, start: bytes) -> None:
    plot = folder / f"c{suffix}"
    invoke(folder, "eval-class", "a.jsonl", "--plot", plot)
    assert plot.read_bytes().startswith(start)
    invoke(folder, "eval-class", "a.jsonl", "--plot", plot)
    invoke(folder, "eval-class", "b.jsonl", "--plot", plot, status=73)
    invoke(folder, "eval-class", "b.jsonl", "--plot", plot, "--force")
    refused = invoke(folder, "eval-class", "a.jsonl", "--plot", "c.txt", status=2)
    assert "--plot" in refused.stderr and not (folder / "c.txt").exists()
    refused = invoke(folder, "eval-class", "a.jsonl", "--plot-reliability", "r.png", status=2)
    assert "--calibration" in refused.stderr


STRANGE = ["a$b$c", r"$\frac$", "_calm"]


def drawn_of(folder: Path, names: list[str], files: tuple[str, ...], *options: object) -> str:
    """A picture of predictions of classes of these names; what was said."""
    for file in files:
        items = [{"id": f"u{n}", "gold": names[n % 3], "prediction": names[n % 2]}
                 for n in range(12)]  # fmt: skip
        header = manifest.new_header("predictions", target="emotion", classes=names)
        manifest.write(folder / file, header, items)
    return invoke(folder, *options).stderr


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    """No mathematics of dollars, and no name left out for its first sign."""
    pytest.importorskip("matplotlib")
    drawn_of(tmp_path, STRANGE, ("q.jsonl",), "eval-class", "q.jsonl", "--plot", "c.svg")
    assert set(STRANGE) <= set(words(tmp_path / "c.svg"))
    curves = ("_b@10=q.jsonl", "_b@20=q.jsonl", "_c=q.jsonl")
    invoke(tmp_path, "compare", *curves, "--plot", "curves.svg", "--axis", "in $ or $")
    assert {"_b", "_c", "in $ or $"} <= set(words(tmp_path / "curves.svg"))
    invoke(tmp_path, "compare", "$x$=q.jsonl", "_y=q.jsonl", "--plot", "bars.svg")
    assert {"$x$", "_y"} <= set(words(tmp_path / "bars.svg"))


def test_long_names_are_whole_and_apart(tmp_path: Path) -> None:
    import cv2

    pytest.importorskip("matplotlib")
    long = "a model whose name goes on and on over its panel and the next one, too"
    draw = ("eval-class", f"{long}.jsonl", "b.jsonl", "--plot", "c.svg")
    drawn_of(tmp_path, CLASSES, (f"{long}.jsonl", "b.jsonl"), *draw)
    found = words(tmp_path / "c.svg")
    assert long not in found and sum(line in long for line in found if len(line) > 8) >= 2
    rows = (f"base=b.jsonl wav2vec2-{'large-' * 9}emotion=b.jsonl".split(" "))  # fmt: skip
    invoke(tmp_path, "compare", *rows, "--plot", "bars.png")
    invoke(tmp_path, *draw[:-1], "c.png")
    for name in ("bars.png", "c.png"):
        shown = cv2.imread(str(tmp_path / name))
        edges = (shown[0], shown[-1], shown[:, 0], shown[:, -1])
        assert all((edge == 255).all() for edge in edges), name


def test_signs_without_a_font_are_named_once(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names = ["anger", "calm", "x\U000f0000"]
    draw = ("eval-class", "q.jsonl", "--plot", "c.png")
    said = drawn_of(tmp_path, names, ("q.jsonl",), *draw)
    assert said.count("no font") == 1 and "UserWarning" not in said
