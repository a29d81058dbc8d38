"""`avaffect eval-ccc --by`, of traces and of numbers, and what chance gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import invoke
from printed import on_terminal, table
from trace_sources import wave, write_traces

from avaffect.data import manifest
from avaffect.evaluation import concordance


def of(folder: Path, *arguments: object) -> dict[str, Any]:
    return json.loads(invoke(folder, "eval-ccc", *arguments, "--json").stdout)


@pytest.fixture
def traces(tmp_path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions and gold of eight recordings: p.h5 and g.h5, with the language of each."""
    random = np.random.default_rng(0)
    found = {}
    for n in range(8):
        gold = wave(6, 10, n).astype(np.float32)
        noise = random.normal(0, 0.1 if n < 6 else 1.0, len(gold))
        found[f"r{n}"] = ((gold + noise).astype(np.float32), gold)
    meta = {name: {"language": "de" if int(name[1]) < 6 else "hu"} for name in found}
    for place, file in enumerate(("p.h5", "g.h5")):
        own = {name: {"arousal": pair[place]} for name, pair in found.items()}
        write_traces(tmp_path / file, own, meta=meta if file == "g.h5" else None)
    return found


def test_traces_by_a_field_of_the_gold(
    tmp_path: Path, traces: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    report = of(tmp_path, "p.h5", "--gold", "g.h5", "--by", "language")
    german, hungarian = report["groups"]["language"]
    assert (german["value"], german["count"], german["few"]) == ("de", 6, False)
    assert (hungarian["value"], hungarian["count"], hungarian["few"]) == ("hu", 2, True)
    for group, ids in ((german, range(6)), (hungarian, range(6, 8))):
        sides = [np.concatenate([traces[f"r{n}"][side] for n in ids]) for side in (0, 1)]
        assert group["scores"]["arousal"]["ccc"] == pytest.approx(concordance.ccc(*sides))
    result = invoke(tmp_path, "eval-ccc", "p.h5", "--gold", "g.h5", "--by", "language")
    assert [(row["value"], row["few"]) for row in table(result.stdout)] == [
        ("de", "0"),
        ("hu", "1"),
    ]
    assert "warning" in result.stderr
    invoke(tmp_path, "eval-ccc", "p.h5", "--gold", "g.h5", "--by", "height", status=65)


def test_what_a_constant_gives(
    tmp_path: Path, traces: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    chance = of(tmp_path, "p.h5", "--gold", "g.h5")["chance"]["arousal"]
    every = np.concatenate([gold for _, gold in traces.values()])
    constant = np.full(len(every), every.mean(dtype=np.float64))
    assert chance["rmse"] == pytest.approx(concordance.rmse(constant, every), rel=1e-5)
    assert chance["ccc"] == chance["pearson"] == 0
    pooled, mean = table(invoke(tmp_path, "eval-ccc", "p.h5", "--gold", "g.h5").stdout)
    assert float(pooled["rmse_chance"]) == pytest.approx(chance["rmse"], abs=1e-6)
    assert mean["rmse_chance"] == ""
    shown, _ = on_terminal("eval-ccc", "p.h5", "--gold", "g.h5", cwd=tmp_path, width=100)
    (line,) = [line for line in shown.splitlines() if "chance" in line]
    assert f"{chance['rmse']:.3f}" in line


def test_numbers_by_a_field_of_the_predictions(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    items = []
    for n in range(70):
        gold = float(random.random())
        noise = 0.05 if n % 7 else 0.5
        items.append({
            "id": f"u{n}", "target": "arousal", "gold": gold, "speaker": f"s{n % 2}",
            "prediction": gold + float(random.normal(0, noise)), "sex": "f" if n % 7 else "m",
        })  # fmt: skip
    targets = {"arousal": {"kind": "scalar"}}
    header = manifest.new_header("predictions", target="arousal", targets=targets)
    manifest.write(tmp_path / "p.jsonl", header, items)
    report = of(tmp_path, "p.jsonl", "--by", "sex", "--by", "speaker")
    female, male = report["groups"]["sex"]
    assert (female["count"], female["few"], male["count"], male["few"]) == (60, False, 10, True)
    own = [item for item in items if item["sex"] == "f"]
    pair = [np.array([item[side] for item in own]) for side in ("prediction", "gold")]
    assert female["scores"]["arousal"]["ccc"] == pytest.approx(concordance.ccc(*pair))
    assert [group["count"] for group in report["groups"]["speaker"]] == [35, 35]


def test_fields_in_a_table_beside_gold_traces(
    tmp_path: Path, traces: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """Of recordings whose gold are files, which have no fields."""
    for side, folder in enumerate(("theirs", "gold")):
        (tmp_path / folder).mkdir()
        for name, pair in traces.items():
            rows = [f"{n / 10},{value}" for n, value in enumerate(pair[side].tolist())]
            lines = ["time,arousal", *rows]
            (tmp_path / folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    people = [f"{name}.wav,{'fm'[int(name[1]) < 6]}" for name in traces]
    (tmp_path / "people.csv").write_text("\n".join(["file,sex", *people]) + "\n")
    found = of(tmp_path, "theirs", "--gold", "gold", "--gold", "people.csv", "--by", "sex")
    assert [(g["value"], g["count"]) for g in found["groups"]["sex"]] == [("f", 2), ("m", 6)]
    alone = of(tmp_path, "theirs", "--gold", "gold")
    assert found["pooled"] == alone["pooled"] and found["gold"] == alone["gold"]
    roles = [entry["role"] for entry in found["provenance"]["inputs"]]
    assert roles == ["predictions", "gold", "gold"]
    said = invoke(tmp_path, "eval-ccc", "theirs", "--gold", "people.csv", "--by", "sex", status=65)
    assert "people.csv" in said.stderr
    # Without --by, it is taken for a trace, which it is not.
    invoke(tmp_path, "eval-ccc", "theirs", "--gold", "gold", "--gold", "people.csv", status=65)


def test_numbers_that_a_manifest_has_as_texts(tmp_path: Path) -> None:
    items = [{"id": f"u{n}", "target": "a", "gold": n / 40, "prediction": (n % 7) / 7,
              "age": str(20 + n), "room": f"{n % 12:03}"} for n in range(40)]  # fmt: skip
    header = manifest.new_header("predictions", targets={"a": {"kind": "scalar"}})
    manifest.write(tmp_path / "p.jsonl", header, items)
    found = of(tmp_path, "p.jsonl", "--by", "age", "--by", "room")["groups"]
    assert [group["value"] for group in found["age"]] == ["20 to 29", "30 to 39", "40 to 49",
                                                          "50 to 59"]  # fmt: skip
    assert len(found["room"]) == 12
