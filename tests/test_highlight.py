"""finetune --head highlight -> predict -> eval-rank, and what cannot be ranked."""

from __future__ import annotations

import json
from pathlib import Path

import films_of_features
import numpy as np
import pytest
from chain import check_stopped_and_resumed, invoke
from sklearn.metrics import average_precision_score
from trace_sources import write_manifest, write_traces

from avaffect.data.store.reader import Store
from avaffect.training import checkpoint

SMALL = ("--head", "highlight", "--label", "highlight", "--layers", 1, "--head-option",
         "attention_heads=2", "--head-option", "ffn_dim=16", "--head-option", "first_units=16",
         "--head-option", "second_units=8")  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    films_of_features.write(folder / "f.h5")
    return folder


def report(folder: Path, *arguments: object) -> dict:
    return json.loads(invoke(folder, "eval-rank", *arguments, "--json").stdout)


def test_planted_highlights_are_ranked(films: Path) -> None:
    options = ("--epochs", 25, "--runs", 2, "-o", "h.safetensors", "-f")
    said = invoke(films, "finetune", "f.h5", *SMALL, *options).stderr
    assert "2 recordings of 20 left out" in said
    header = checkpoint.load(films / "h.safetensors")[0]
    assert header["traces"]["losses"] == {"highlight": {"kl": 1.0}}
    assert header["traces"]["rate_hz"] == 0.2
    settings = header["provenance"]["settings"]
    assert settings["select"] == "map" and settings["loss"] == ["kl=1"]
    invoke(films, "predict", "f.h5", "--model", "h.safetensors", "-o", "p.h5", "-f")
    made = Store(films / "p.h5")
    assert made.labels["highlight"].raters == 2
    assert made.trace("highlight", 0).shape == (films_of_features.SEGMENTS, 2)
    found = report(films, "p.h5", "--gold", "f.h5")
    assert found["split"] == "test" and found["count"] == len(found["recordings"]) == 4
    assert found["map"]["highlight"] > found["chance"]["highlight"] + 0.2
    # Against scikit-learn, run by run.
    given = Store(films / "f.h5")
    by_run = [[], []]
    for identifier in found["recordings"]:
        gold = given.trace("highlight", given.rows[identifier])
        scores = made.trace("highlight", made.rows[identifier])
        for run, of in enumerate(by_run):
            of.append(average_precision_score(gold, scores[:, run]))
    for run, of in enumerate(by_run):
        assert found["runs"][run]["map"]["highlight"] == pytest.approx(np.mean(of), abs=1e-9)
    assert found["std"]["highlight"] == pytest.approx(
        np.std([np.mean(of) for of in by_run], ddof=1)
    )
    # What chose the epoch is what is scored.
    best = [run["metrics"]["development"]["map"] for run in header["runs"]]
    again = report(films, "p.h5", "--gold", "f.h5", "--split", "development")
    assert [run["map"]["highlight"] for run in again["runs"]] == pytest.approx(best)
    trained = report(films, "p.h5", "--gold", "f.h5", "--split", "train")
    assert len(trained["without"]["highlight"]) == 2 and trained["seen"]["training"] > 0


def test_gradient_descent_with_momentum_stops_and_goes_on(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sgd = ("--optimiser", "sgd", "--momentum", 0.8, "--weight-decay", 5e-4, "--epochs", 2,
           "--batch-utterances", 4, "--batch-seconds", 600)  # fmt: skip
    (films / "sgd").mkdir()
    check_stopped_and_resumed(films, "finetune", "f.h5", *SMALL, *sgd, folder=films / "sgd",
                              stops=3, monkeypatch=monkeypatch)  # fmt: skip
    settings = checkpoint.load(films / "sgd" / "whole.safetensors")[0]["provenance"]["settings"]
    assert settings["optimiser"] == "sgd" and settings["momentum"] == 0.8


def test_mistakes_with_highlights(films: Path, tmp_path: Path) -> None:
    def refused(*options: object, status: int = 2) -> str:
        given = ("finetune", films / "f.h5", *options, "-o", "x.safetensors")
        return invoke(tmp_path, *given, status=status).stderr

    assert "--momentum" in refused(*SMALL, "--momentum", 0.5)
    words = refused(*SMALL[:4], "--head-option", "attention_heads=3")
    assert "attention_heads" in words
    films_of_features.write(tmp_path / "all.h5", films=4, flat=4)
    flat = invoke(tmp_path, "finetune", "all.h5", *SMALL, status=65).stderr
    assert "throughout each of 4 recordings" in flat
    # Graded values have no average precision to select by.
    graded = {f"r{n}": {"highlight": np.linspace(0, 0.9, 12)} for n in range(3)}
    write_traces(tmp_path / "graded.h5", graded, rate_hz=0.2)
    words = invoke(tmp_path, "finetune", films / "f.h5", *SMALL, "--annotations",
                   _manifest(tmp_path), status=2).stderr  # fmt: skip
    assert "--select" in words and "ccc" in words


def _manifest(folder: Path) -> Path:
    from avaffect.data import manifest

    header = manifest.new_header("corpus", labels={"highlight": {"kind": "trace", "rate_hz": 0.2}})
    items = [{"id": f"film{n:02}", "labels": {"highlight": [0.3] * 11 + [0.5]}} for n in range(20)]
    manifest.write(folder / "graded.jsonl", header, items)
    return folder / "graded.jsonl"


def test_eval_rank_of_any_source(tmp_path: Path) -> None:
    scores = {"a": np.array([0.1, 0.9, 0.3, 0.8]), "b": np.array([4.0, 3, 2, 1])}
    gold = {"a": np.array([0.0, 1, 0, 0]), "b": np.array([0.0, 0, 1, np.nan])}
    write_traces(
        tmp_path / "p.h5", {i: {"arousal": values} for i, values in scores.items()}, rate_hz=0.2
    )
    write_manifest(tmp_path / "g.jsonl", gold, rate_hz=0.2)
    found = report(tmp_path, "p.h5", "--gold", "g.jsonl")
    assert found["content"] == "ranking" and found["std"] == {"arousal": None}
    assert found["recordings"]["a"]["arousal"]["ap"] == 1.0
    assert found["recordings"]["b"]["arousal"] == {
        "ap": pytest.approx(1 / 3), "chance": pytest.approx((1 + 1 / 2 + 1 / 3) / 3),
        "segments": 3, "relevant": 1,
    }  # fmt: skip
    assert found["map"]["arousal"] == pytest.approx(2 / 3)
    table = invoke(tmp_path, "eval-rank", "p.h5", "--gold", "g.jsonl").stdout.splitlines()
    assert table[0].split("\t") == ["file", "label", "runs", "recordings", "map", "map_std",
                                    "chance"]  # fmt: skip
    assert table[1].split("\t")[4] == "0.666667"
    each = invoke(tmp_path, "eval-rank", "p.h5", "--gold", "g.jsonl", "--per-recording").stdout
    assert len(each.splitlines()) == 3
    # Another threshold, below which nothing is relevant.
    words = invoke(tmp_path, "eval-rank", "p.h5", "--gold", "g.jsonl", "--threshold", 1, status=65)
    assert "--threshold" in words.stderr
    invoke(tmp_path, "eval-rank", "p.h5", "--gold", "g.jsonl", "--per-recording", "--json",
           status=2)  # fmt: skip


def test_reports_of_rankings_compare(films: Path, tmp_path: Path) -> None:
    given = Store(films / "f.h5")
    random = np.random.default_rng(0)
    for name, noise in (("good", 0.1), ("bad", 9.0)):
        traces = {
            i: {"highlight": given.trace("highlight", row)[:, None]
                + random.normal(size=(films_of_features.SEGMENTS, 3)) * noise}
            for row, i in enumerate(given.ids)
        }  # fmt: skip
        write_traces(tmp_path / f"{name}.h5", traces, rate_hz=0.2, raters=3)
        invoke(tmp_path, "eval-rank", f"{name}.h5", "--gold", films / "f.h5", "-o", f"{name}.json")
    found = json.loads(invoke(tmp_path, "compare", "bad.json", "good.json", "--json").stdout)
    bad, good = found["rows"]
    assert found["scores"] == ["highlight.map"] and found["of"] == "ranking"
    assert good["scores"]["highlight.map"]["mean"] == 1.0
    assert good["scores"]["highlight.map"]["p"] < 0.05
    assert bad["against"] is None
