"""eval-embeddings: how far classes are apart, and the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from sklearn.metrics import davies_bouldin_score

from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer

CLASSES = ("anger", "neutral")


def store(path: Path, apart: float) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    vectors, names = [], []
    specs = {"emotion": LabelSpec("class", CLASSES)}
    with store_writer(path, {}, labels=specs, pooled={"mean": PooledSpec(3)}) as writer:
        for number in range(40):
            kind = number % 2
            vectors.append(random.normal(size=3) + apart * kind)
            known = number < 36
            names.append(CLASSES[kind] if known else "")
            writer.add(
                f"{'ab'[number % 4 // 2]}_{number}", labels={"emotion": names[-1] or None},
                pooled={"mean": vectors[-1]}, meta={"speaker": f"s{number % 5}"},
            )  # fmt: skip
    return np.array(vectors, dtype=np.float32), names


def test_classes_speakers_and_corpora(tmp_path: Path) -> None:
    vectors, names = store(tmp_path / "far.h5", 4.0)
    store(tmp_path / "near.h5", 0.2)
    lines = invoke(tmp_path, "eval-embeddings", "near.h5", "far.h5", "--by", "emotion", "--by",
                   "speaker", "--by", "corpus", "--json").stdout.splitlines()  # fmt: skip
    near, far = (json.loads(line) for line in lines)
    known = [row for row, name in enumerate(names) if name]
    expected = davies_bouldin_score(vectors[known], [names[row] for row in known])
    of = far["by"]["emotion"]
    chance = of.pop("chance")
    assert of == {
        "davies_bouldin": pytest.approx(expected, abs=1e-6), "classes": 2, "utterances": 36,
    }  # fmt: skip
    # Classes of other utterances are far less apart, of vectors that say nothing no less.
    assert chance > 5 * expected
    random = np.random.default_rng(0)
    shuffled = [
        davies_bouldin_score(vectors[known], random.permutation([names[row] for row in known]))
        for _ in range(200)
    ]
    assert chance == pytest.approx(np.mean(shuffled), rel=0.5)
    assert far["vectors"] == "mean" and far["by"]["speaker"]["classes"] == 5
    assert far["by"]["corpus"] == {**far["by"]["corpus"], "classes": 2, "utterances": 40}
    assert near["by"]["emotion"]["davies_bouldin"] > 2 * far["by"]["emotion"]["davies_bouldin"]
    table = invoke(tmp_path, "eval-embeddings", "far.h5").stdout.splitlines()
    assert table[1].split("\t")[1:4] == ["emotion", "2", "36"]
    assert "vectors mean" in invoke(tmp_path, "eval-embeddings", "far.h5", "--vectors", "x",
                                    status=65).stderr  # fmt: skip
    assert "speaker" in invoke(tmp_path, "eval-embeddings", "far.h5", "--by", "sex",
                               status=65).stderr  # fmt: skip


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    store(tmp_path / "far.h5", 4.0)
    store(tmp_path / "near.h5", 0.2)
    draw = ("eval-embeddings", "near.h5", "far.h5", "--by", "emotion", "--by", "speaker",
            "--points", 30, "--perplexity", 5)  # fmt: skip
    for name in ("a.svg", "b.svg"):
        invoke(tmp_path, *draw, "--plot", name)
    text = (tmp_path / "a.svg").read_text()
    # The same command gives the same bytes; four panels.
    assert text == (tmp_path / "b.svg").read_text()
    assert text.count('id="axes_') == 4
    invoke(tmp_path, *draw, "--plot", "a.txt", status=2)
