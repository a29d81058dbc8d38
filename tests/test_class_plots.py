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
