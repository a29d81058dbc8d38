"""`avaffect explore`: of manifests and stores, with and without sound, on the command line."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import invoke
from pages import parsed
from printed import on_terminal, table
from test_sound_quality import babbled, int16

from avaffect.data import manifest
from avaffect.evaluation.sound_quality import MEASURES
from avaffect.recipes.exploring import summaries
from avaffect.recipes.exploring.sounds import Sounds
from avaffect.recipes.exploring.utterances import Column, Utterances

CLASSES = ["anger", "calm"]


def write(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """c.jsonl: 24 utterances of 6 speakers. Angry ones are loud; u20 is a quiet copy of u2 in
    another split, u12 is u10 again; u5 is noisy, u7 silent, u9 clipped, u23 not there; two speakers
    are in two splits."""
    folder = tmp_path_factory.mktemp("explore")
    items = []
    for n in range(24):
        samples = np.concatenate([babbled(10 if n == 12 else n, 0.9), np.zeros(4800)])
        samples *= 1.5 if n % 2 == 0 else 0.5
        if n == 20:
            samples = 0.4 * np.concatenate([np.zeros(1600), babbled(2, 0.9) * 1.5, np.zeros(800)])
        if n == 5:
            samples = samples + np.random.default_rng(0).normal(0, 0.1, len(samples))
        if n == 7:
            samples = samples * 0
        whole = int16(samples * (30 if n == 9 else 1))
        if n != 23:
            write(folder / f"u{n}.wav", whole)
        split = "train" if n < 14 else "development" if n < 19 else "test"
        items.append({
            "id": f"u{n}", "media": f"u{n}.wav", "split": split, "sex": "f" if n % 3 else "m",
            "speaker": f"s{n // 4}", "language": "de",
            "labels": {"emotion": CLASSES[n % 2] if n != 22 else None, "arousal": n / 10,
                       "trace": [0.1] * 10},
        })  # fmt: skip
    labels = {
        "emotion": {"kind": "class", "classes": [*CLASSES, "fear"]}, "arousal": {"kind": "scalar"},
        "trace": {"kind": "trace", "rate_hz": 10},
    }  # fmt: skip
    manifest.write(folder / "c.jsonl", manifest.new_header("corpus", labels=labels), items)
    invoke(folder, "preprocess", "c.jsonl", "-o", "m.h5", "--keep-silent", "-j", 1)
    return folder


def summary(folder: Path, *arguments: object, **how: Any) -> dict[str, Any]:
    return json.loads(invoke(folder, "explore", *arguments, "--json", **how).stdout)


def test_balance_and_fields(made: Path) -> None:
    found = summary(made, "c.jsonl", "--without-sound", "--by", "language")
    assert (found["count"], found["content"], found.get("sound")) == (24, "exploration", None)
    assert found["fields"]["split"]["counts"] == {"train": 14, "development": 5, "test": 5}
    assert (found["fields"]["speaker"]["values"], found["fields"]["speaker"]["most"]) == (6, 4)
    assert found["fields"]["language"]["counts"] == {"de": 24}
    # s3 has utterances 12 to 15, s4 those from 16 to 19.
    assert found["speakers_across_splits"] == 2
    emotion = found["labels"]["emotion"]
    assert emotion["classes"] == {"anger": 11, "calm": 12, "fear": 0} and emotion["missing"] == 1
    assert emotion["by"]["split"]["counts"]["test"] == {"anger": 1, "calm": 3, "fear": 0}
    assert emotion["by"]["sex"]["counts"]["m"]["anger"] == 4
    assert emotion["by"]["split"]["lacking"] == {}
    arousal = found["numbers"]["arousal"]
    assert arousal["all"]["median"] == pytest.approx(1.15) and arousal["test"]["count"] == 5
    assert "trace" not in found["labels"] and "trace" not in found["numbers"]
    assert (emotion.get("told_by"), emotion["by"]["speaker"]["counts"]["s0"]["anger"]) == (None, 2)


def test_sound_of_a_manifest(made: Path) -> None:
    result = invoke(made, "explore", "c.jsonl", "--json", "-j", 1)
    found = json.loads(result.stdout)
    sound = found["sound"]
    assert sound["unusable"] == {"missing": 1} and sound["clipped"] == 1
    assert found["seconds"]["all"]["count"] == 23
    assert found["seconds"]["all"]["greatest"] == pytest.approx(1.2, abs=1e-3)
    assert sound["measures"]["level_db"]["all"]["count"] == 23
    assert sound["measures"]["silence"]["all"]["greatest"] == 1
    # The quiet copy, with other silence around it, is found in another split.
    alike = found["duplicates"]
    assert (alike["groups"], alike["utterances"], alike["across_splits"]) == (2, 4, 1)
    assert alike["across_speakers"] == 2
    group, other = alike["listed"]
    assert (other["ids"], other["splits"]) == (["u10", "u12"], ["train"])
    assert (group["ids"], group["splits"]) == (["u2", "u20"], ["train", "test"])
    assert group["speakers"] == ["s0", "s5"]
    odd = {one["id"]: one for one in sound["listed"]}
    assert [*sound["most_clipped"]] == ["u9"] and sound["most_clipped"]["u9"] > 100
    assert {"u5", "u7"} <= odd.keys() and sound["outliers"] == len(sound["listed"])
    assert odd["u5"]["measure"] in ("snr_db", "noise_db") and odd["u5"]["media"] == "u5.wav"
    assert odd["u7"]["measure"] == "level_db" and odd["u7"]["z"] < -3.5
    # Loudness tells the classes apart, the speaker's sex does not.
    assert found["confounded"]["emotion"]["level_db"] > found["confounded"]["sex"]["level_db"]
    assert result.stderr.count("warning") >= 3


def test_only_what_disturbs_is_worth_a_listen() -> None:
    """Little noise and no pauses do not, nor a small offset that is large beside the others'."""
    random = np.random.default_rng(1)
    sounds = Sounds.empty(60)
    usual = {
        "duration_s": (3, 0.1), "level_db": (-20, 1), "noise_db": (-50, 1), "snr_db": (30, 1),
        "silence": (0.4, 0.02), "offset": (0, 1e-4),
    }  # fmt: skip
    for name, (middle, spread) in usual.items():
        sounds.measures[:, MEASURES.index(name)] = random.normal(middle, spread, 60).clip(-90, 90)
    changed = {
        "snr_db": (60, 0),
        "noise_db": (-90, -10),
        "silence": (0, 0.9),
        "offset": (0.01, 0.1),
    }
    for row, (name, values) in enumerate(changed.items()):
        sounds.measures[[row, 10 + row], MEASURES.index(name)] = values
    of = Utterances("c", None, "", [*map(str, range(60))], {}, {}, {}, np.zeros(60))
    found, count = summaries.outliers(of, sounds, 20)
    names = {one.id: one.measure for one in found}
    assert {k: names.get(str(10 + k)) for k in range(4)} == dict(enumerate(changed))
    assert not {"0", "1", "2", "3"} & names.keys() and count == len(found)


def test_processes_change_nothing(made: Path) -> None:
    alone, several = (summary(made, "c.jsonl", "-j", jobs) for jobs in (1, 2))
    assert alone == several
    alone, several = (summary(made, "m.h5", "-j", jobs) for jobs in (1, 2))
    assert alone == several


def test_a_store_says_what_its_manifest_says(made: Path) -> None:
    of_manifest, of_store = (summary(made, name, "-j", 1) for name in ("c.jsonl", "m.h5"))
    assert of_store["count"] == 23
    for name in ("level_db", "noise_db", "silence"):
        assert of_store["sound"]["measures"][name] == of_manifest["sound"]["measures"][name]
    assert of_store["duplicates"] == of_manifest["duplicates"]
    assert of_store["sound"]["clipped"] == 1
    assert of_store["labels"]["emotion"]["classes"] == {"anger": 11, "calm": 11, "fear": 0}


def test_a_row_for_each_utterance(made: Path) -> None:
    rows = table(invoke(made, "explore", "c.jsonl", "-j", 1).stdout)
    assert [row["id"] for row in rows] == [f"u{n}" for n in range(24)]
    assert (rows[1]["split"], rows[1]["emotion"], rows[1]["arousal"]) == (
        "train",
        "calm",
        "0.100000",
    )
    assert rows[2]["alike"] == rows[20]["alike"] != "" == rows[3]["alike"]
    assert rows[22]["emotion"] == rows[23]["level_db"] == ""
    assert int(rows[9]["clipped_samples"]) > 100
    of_csv = invoke(made, "explore", "c.jsonl", "-j", 1, "--format", "csv").stdout
    assert list(csv.DictReader(io.StringIO(of_csv))) == rows
    (first, *_) = table(invoke(made, "explore", "c.jsonl", "--without-sound").stdout)
    assert first["level_db"] == "" and first["id"] == "u0"


def test_tables_on_a_terminal(made: Path) -> None:
    shown, words = on_terminal("explore", "c.jsonl", "-j", 1, "--listed", 2, cwd=made, width=150)
    for text in ("Label emotion", "Near-duplicates", "Worth a listen", "u2, u20", "noise in dB"):
        assert text in shown
    assert "warning" in words
    latex = invoke(made, "explore", "c.jsonl", "--without-sound", "--format", "latex").stdout
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") >= 3


def test_written_once_and_refused(made: Path) -> None:
    invoke(made, "explore", "c.jsonl", "--without-sound", "-o", "e.json")
    again = invoke(made, "explore", "c.jsonl", "--without-sound", "-o", "e.json")
    assert again.stdout == "" and "up to date" in again.stderr
    report = json.loads((made / "e.json").read_text())
    assert [entry["role"] for entry in report["provenance"]["inputs"]] == ["source"]
    inputs = summary(made, "c.jsonl", "-j", 1)["provenance"]["inputs"]
    assert [entry["role"] for entry in inputs] == ["source", "recordings"]
    assert "would look" in invoke(made, "explore", "c.jsonl", "-n").stderr
    invoke(made, "explore", "c.jsonl", "--without-sound", "--listed", 3, "-o", "e.json", status=73)
    found = invoke(made, "explore", "c.jsonl", "--without-sound", "--by", "height", status=65)
    assert "height" in found.stderr
    found = invoke(made, "explore", "c.jsonl", "--without-sound", "--label", "height", status=65)
    assert "arousal" in found.stderr
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
    manifest.write(made / "p.jsonl", header, [])
    invoke(made, "explore", "p.jsonl", status=65)
    invoke(made, "explore", "c.jsonl", "--format", "csv", "--json", status=2)


def test_a_section_of_the_report(made: Path) -> None:
    invoke(made, "explore", "c.jsonl", "-j", 1, "-o", "whole.json")
    invoke(made, "report", "whole.json", "-o", "page.html")
    section = parsed((made / "page.html").read_text("utf-8")).one("section", id="data")
    captions = [table.one("caption").text for table in section.all("table")]
    assert any(caption.startswith("Near-duplicates") for caption in captions)
    assert "u2, u20" in section.text and "2 speakers are in several splits" in section.text


def test_an_empty_corpus_and_one_without_anything(tmp_path: Path) -> None:
    manifest.write(tmp_path / "e.jsonl", manifest.new_header("corpus"), [])
    found = summary(tmp_path, "e.jsonl")
    assert (found["count"], found["labels"], found["duplicates"]["groups"]) == (0, {}, 0)
    manifest.write(tmp_path / "b.jsonl", manifest.new_header("corpus"), [{"id": "a", "media": "a"}])
    assert summary(tmp_path, "b.jsonl")["sound"]["unusable"] == {"missing": 1}


def test_memory_of_many_speakers_and_classes_is_that_of_the_utterances() -> None:
    """A table of all pairs would take 320 MB."""
    random = np.random.default_rng(0)
    label = Column(random.integers(0, 1000, 40_000).astype(np.int32), tuple(map(str, range(1000))))
    names = tuple(f"s{n}" for n in range(40_000))
    speakers = Column(random.permutation(40_000).astype(np.int32), names)
    tracemalloc.start()
    try:
        found = summaries.label_balance(label, {"speaker": speakers}).by["speaker"]
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert found.counts == {} and len(found.lacking) == 1000
    there = np.bincount(label.codes)
    assert found.lacking["7"] == 40_000 - there[7]
