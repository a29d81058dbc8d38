"""`explore` of raters' votes and of traces, and classes that speakers tell."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import VOICES, invoke
from pages import parsed
from printed import on_terminal

from avaffect.data import manifest
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer
from avaffect.evaluation import annotation
from avaffect.recipes.common import speaker_classes

CLASSES = ["anger", "calm", "fear"]
VOTES = [[3, 0, 0], [2, 1, 0], [1, 1, 1], [0, 4, 0], None, [0, 2, 2]]
TRACES: list[Any] = [
    [0.1, 0.2, None, 0.4], [0.5] * 4, None, [[0.1, -0.5], [0.2, None]], [[0.3, 0.1]] * 3, [None] * 2
]  # fmt: skip


def corpus(folder: Path, pairs: Sequence[tuple[str, str]] = ()) -> None:
    """c.jsonl with votes and traces; or with a speaker and a class for each of `pairs`."""
    if pairs:
        items = [{"id": f"u{n}", "media": f"u{n}.wav", "speaker": who, "labels": {"emotion": what}}
                 for n, (who, what) in enumerate(pairs)]  # fmt: skip
        labels: dict[str, Any] = {"emotion": {"kind": "class", "classes": CLASSES}}
    else:
        items = [{"id": f"u{n}", "media": f"u{n}.wav", "labels": {"votes": v, "arousal": t}}
                 for n, (v, t) in enumerate(zip(VOTES, TRACES, strict=True))]  # fmt: skip
        labels = {
            "votes": {"kind": "distribution", "classes": CLASSES},
            "arousal": {"kind": "trace", "rate_hz": 25},
        }
    manifest.write(folder / "c.jsonl", manifest.new_header("corpus", labels=labels), items)


def summary(folder: Path, *arguments: object) -> dict[str, Any]:
    return json.loads(invoke(folder, "explore", *arguments, "--without-sound", "--json").stdout)


def naive_kappa() -> float:
    """Over pairs of raters."""
    rows = [row for row in VOTES if row is not None]
    agreed = []
    for row in rows:
        votes = [k for k, count in enumerate(row) for _ in range(count)]
        pairs = list(itertools.combinations(votes, 2))
        agreed.append(sum(a == b for a, b in pairs) / len(pairs))
    all_votes = np.sum(rows, axis=0) / np.sum(rows)
    by_chance = float((all_votes**2).sum())
    return (float(np.mean(agreed)) - by_chance) / (1 - by_chance)


def test_votes_and_traces(tmp_path: Path) -> None:
    corpus(tmp_path)
    found = summary(tmp_path, "c.jsonl")
    votes = found["votes"]["votes"]
    assert (votes["count"], votes["missing"], votes["raters"]) == (5, 1, 3)
    assert votes["top"] == pytest.approx(np.mean([1, 2 / 3, 1 / 3, 1, 1 / 2]))
    assert (votes["unanimous"], votes["tied"]) == (pytest.approx(2 / 5), pytest.approx(2 / 5))
    assert votes["kappa"] == pytest.approx(naive_kappa())
    assert votes["classes"]["fear"] == pytest.approx((1 / 3 + 1 / 2) / 5)
    traces = found["traces"]["arousal"]
    assert (traces["count"], traces["raters"], traces["rate_hz"]) == (4, 2, 25)
    # Of u1, and of u4, whose raters differ but do not vary.
    assert traces["constant"] == pytest.approx(2 / 4)
    known = np.array([0.1, 0.2, 0.4, *[0.5] * 4, 0.1, -0.5, 0.2, *[0.3, 0.1] * 3])
    assert (traces["least"], traces["greatest"]) == pytest.approx((-0.5, 0.5))
    assert (traces["mean"], traces["std"]) == pytest.approx((known.mean(), known.std()), rel=1e-6)
    assert traces["unknown"] == pytest.approx(4 / (len(known) + 4))
    for name in ("votes", "arousal"):
        alone = summary(tmp_path, "c.jsonl", "--label", name)
        assert [*alone["votes"], *alone["traces"]] == [name]


def test_a_store_is_as_its_manifest(tmp_path: Path) -> None:
    corpus(tmp_path)
    labels = {"votes": LabelSpec("distribution", tuple(CLASSES)),
              "arousal": LabelSpec("trace", rate_hz=25, raters=2)}  # fmt: skip
    with store_writer(tmp_path / "s.h5", {}, labels=labels) as writer:
        for n, (votes, trace) in enumerate(zip(VOTES, TRACES, strict=True)):
            # A store has a trace of as many raters for all.
            values = [[0.3, 0.3]] if trace is None else trace
            of = np.array(values, dtype=np.float32)
            pair = of if of.ndim == 2 else np.stack([of, of], axis=1)
            own = {"arousal": pair, **({} if votes is None else {"votes": votes})}
            writer.add(f"u{n}", labels=own)
    of_store, of_manifest = summary(tmp_path, "s.h5"), summary(tmp_path, "c.jsonl")
    assert of_store["votes"] == of_manifest["votes"]
    assert of_store["traces"]["arousal"]["raters"] == 2
    assert of_store["traces"]["arousal"]["constant"] == pytest.approx(3 / 5)


def test_shares_have_no_raters() -> None:
    found = annotation.agreement(np.array([[0.5, 0.5, 0], [0.9, 0.1, 0], [np.nan] * 3]))
    assert (found.count, found.raters, found.kappa, found.tied) == (2, None, None, 0.5)
    assert annotation.agreement(np.zeros((2, 3))).count == 0
    assert annotation.fleiss_kappa(np.array([[3, 0], [2, 0]])) is None
    assert annotation.trace_facts([np.full(3, np.nan)]).unknown == 1


def test_shown_as_tables_and_in_the_page(tmp_path: Path) -> None:
    corpus(tmp_path)
    # Nobody knows how long these are.
    assert "hours" not in invoke(tmp_path, "explore", "c.jsonl", "--without-sound").stderr
    shown, said = on_terminal("explore", "c.jsonl", "--without-sound", cwd=tmp_path, width=120)
    assert "Agreement" in shown and "Traces" in shown and "constant" in said
    invoke(tmp_path, "explore", "c.jsonl", "--without-sound", "-o", "e.json")
    invoke(tmp_path, "report", "e.json", "-o", "r.html")
    text = parsed((tmp_path / "r.html").read_text("utf-8")).text
    assert "Votes votes" in text and "Traces" in text and "kappa" in text


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([("a", "anger"), ("a", "anger"), ("b", "calm"), ("c", "calm")], "speaker"),
        ([("a", "anger"), ("a", "calm"), ("b", "fear"), ("b", "fear")], "class"),
        ([("a", "anger"), ("a", "anger"), ("b", "calm"), ("b", "calm")], "class"),
        ([("a", "anger"), ("a", "calm"), ("b", "calm"), ("b", "anger")], None),
        # Nothing can be said of one class, or of speakers of one utterance each.
        ([("a", "anger"), ("a", "anger"), ("b", "anger")], None),
        ([("a", "anger"), ("b", "calm"), ("c", "calm")], None),
        ([("", "anger"), ("", "calm"), ("b", "calm"), ("b", "calm")], None),
    ],
)
def test_classes_that_speakers_tell(
    pairs: list[tuple[str, str]], told: str | None, tmp_path: Path
) -> None:
    corpus(tmp_path, pairs)
    assert summary(tmp_path, "c.jsonl")["labels"]["emotion"].get("told_by") == told
    expected = [] if told is None else [speaker_classes.words("emotion", told)]
    said = invoke(tmp_path, "explore", "c.jsonl", "--without-sound").stderr
    assert [words in said for words in expected] == [True] * len(expected)
    assert said.count("a voice tells its class") == len(expected)
    by = ("split", "c.jsonl", "--by", "recording", "--ratios", 100, 0, 0, "-o", "s.jsonl")
    said = invoke(tmp_path, *by, "--allow-speaker-overlap").stderr
    assert said.count("a voice tells its class") == len(expected)
    (tmp_path / "all.txt").write_text("".join(f"u{n}\n" for n in range(len(pairs))))
    by_list = ("split", "c.jsonl", "--list", "train=all.txt", "-o", "l.jsonl")
    assert invoke(tmp_path, *by_list).stderr.count("a voice tells its class") == len(expected)


def test_train_says_so_once_and_learns_votes(tmp_path: Path) -> None:
    """Voices with a class of each speaker, and votes for it."""
    invoke(tmp_path, "synth", "wav", "--utterances", 18, *VOICES, "-o", "all.jsonl")
    whole = manifest.read(tmp_path / "all.jsonl")
    for item in whole.items:
        place = int(str(item["speaker"])[-1]) % 3
        item["labels"] = {"emotion": CLASSES[place], "votes": {CLASSES[place]: 3, "calm": 1}}
    labels = {"emotion": {"kind": "class", "classes": CLASSES},
              "votes": {"kind": "distribution", "classes": CLASSES}}  # fmt: skip
    header = manifest.new_header("corpus", labels=labels, base=whole.header.base)
    manifest.write(tmp_path / "c.jsonl", header, whole.items)
    quick = ("--epochs", 1, "-j", 1)
    said = invoke(tmp_path, "train", "c.jsonl", *quick, "--label", "emotion", "-o", "t").stderr
    assert said.count(speaker_classes.words("emotion", "speaker")) == 1
    invoke(tmp_path, "train", "c.jsonl", *quick, "--label", "votes", "-o", "v")
    explored = json.loads((tmp_path / "v" / "explored.json").read_text())
    assert [*explored["votes"]] == ["votes"] and not explored["labels"]
