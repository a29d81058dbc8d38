"""Features that other tools computed, through the command line: what is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from feature_tables import IMPORT, table

from avaffect.data import manifest
from avaffect.data.store.reader import Store

ROOT = Path(__file__).resolve().parent.parent


def corpus(path: Path, *items: dict) -> Path:
    header = manifest.new_header(
        "corpus", labels={"emotion": {"kind": "class", "classes": ["anger", "joy"]},
                          "arousal": {"kind": "scalar"}},
    )  # fmt: skip
    manifest.write(path, header, list(items))
    return path


def openface(path: Path, rows: Iterable[tuple[float, int, float, float]], face: int = 0) -> Path:
    """As FeatureExtraction writes: blanks after commas, times in milliseconds' steps."""
    names = ("frame", " face_id", " timestamp", " confidence", " success", " AU01_r", " pose_Tx")
    return table(
        path, names,
        ((k + 1, face, f"{t:.3f}", 0.98 if s else 0.1, s, a, p)
         for k, (t, s, a, p) in enumerate(rows)), ", ",
    )  # fmt: skip


# -- tools ----------------------------------------------------------------------------------------


def test_openface_with_gaps_and_lost_faces(tmp_path: Path) -> None:
    """30 Hz in milliseconds; frames 3 and 4 are not there, no face in 6 and in the last one."""
    rows = [(k / 30, int(k not in (6, 11)), 10.0 * k, -k) for k in range(12) if k not in (3, 4)]
    rows[4] = (rows[4][0], 0, 999.0, 999.0)
    openface(tmp_path / "of" / "a.csv", rows)
    openface(tmp_path / "of" / "b.csv", [(k / 30, 1, k, k) for k in range(20)])
    openface(tmp_path / "of" / "c.csv", [(k / 30, 0, 0, 0) for k in range(20)])
    (tmp_path / "of" / "a_of_details.txt").write_text("Input:a.mp4\n")
    said = invoke(tmp_path, IMPORT, "of", "--where", "success=1", "-o", "s.h5").stderr
    store = Store(tmp_path / "s.h5")
    spec = store.streams["features"]
    assert store.ids == ["a", "b"] and spec.rate_hz == 30 and spec.shape == (2,)
    assert spec.made == {"imported": "openface", "columns": ["AU01_r", "pose_Tx"]}
    first = store.read("features", 0)
    expected = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100]
    np.testing.assert_allclose(first[:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(store.pooled_vectors("mean")[0], first.mean(axis=0))
    assert store.meta["filled_frames"].tolist() == [4, 0]
    assert "4 frames are missing in 1 utterance" in said and "1 utterance is left out" in said
    assert "22 of 50 rows were dropped: 22 do not meet --where, 0 have" in said
    invoke(tmp_path, IMPORT, "of", "--where", "confidence>=0.5", "--gaps", "close",
           "--columns", "AU*_r", "-o", "closed.h5")  # fmt: skip
    closed = Store(tmp_path / "closed.h5")
    assert closed.read("features", 0)[:, 0].tolist() == [0, 10, 20, 50, 70, 80, 90, 100]
    assert "filled_frames" not in closed.meta
    facts = json.loads(invoke(tmp_path, "info", "s.h5", "--json").stdout)
    assert facts["losses"] == {"found": 3, "kept": 2, "lost": {"no row meets --where": 1}}


def test_several_faces_need_a_choice(tmp_path: Path) -> None:
    names = ("frame", "face_id", "timestamp", "confidence", "success", "AU01_r")
    rows = [(k, face, k / 25, 1, 1, 100 * face + k) for k in range(5) for face in (0, 1)]
    table(tmp_path / "of" / "a.csv", names, rows)
    table(tmp_path / "of" / "b.csv", names, sorted(rows, key=lambda row: row[1]))
    said = invoke(tmp_path, IMPORT, "of", "-o", "s.h5", status=65).stderr
    assert "--where" in said and "a.csv, line 3" in said
    invoke(tmp_path, IMPORT, "of", "--where", "face_id=1", "-o", "s.h5")
    for row in range(2):
        found = Store(tmp_path / "s.h5").read("features", row)
        assert found[:, 0].tolist() == [100, 101, 102, 103, 104]


def test_py_feat_has_frame_numbers_and_missing_faces(tmp_path: Path) -> None:
    names = ("", "FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore", "AU01",
             "anger", "input", "frame", "approx_time")  # fmt: skip
    rows = [(k, 1, 2, 3, 4, 0.9, 0.1 * k, 0.2, "clips/a.mp4", 2 * k, "00:00") for k in range(6)]
    rows[2] = (2, "", "", "", "", "", "", "", "clips/a.mp4", 4, "00:00")
    table(tmp_path / "all.csv", names, rows + [(k, *row[1:8], "clips/b.mp4", *row[9:])
                                              for k, row in enumerate(rows) if k != 2])  # fmt: skip
    run = (IMPORT, "all.csv", "-o", "s.h5")
    assert "--rate" in invoke(tmp_path, *run, status=2).stderr
    assert "AU01" in invoke(tmp_path, *run, "--rate", 15, status=65).stderr
    invoke(tmp_path, *run, "--rate", 15, "--drop-nan", 0.5)
    store = Store(tmp_path / "s.h5")
    spec = store.streams["features"]
    assert store.ids == ["a", "b"] and spec.rate_hz == 15
    assert spec.made == {"imported": "py-feat", "columns": ["AU01", "anger"]}
    for row in range(2):
        np.testing.assert_allclose(store.read("features", row)[:, 0], 0.1 * np.arange(6), atol=1e-6)
    # 1 of 6 rows is missing in a: more than a tenth.
    said = invoke(tmp_path, *run, "--rate", 15, "--drop-nan", 0.1, "-f").stderr
    assert Store(tmp_path / "s.h5").ids == ["b"] and "missing values" in said


def test_libreface_counts_milliseconds(tmp_path: Path) -> None:
    names = (
        "frame_idx",
        "frame_time_in_ms",
        "pitch",
        "facial_expression",
        "au_1",
        "au_1_intensity",
    )
    rows = [(k, 40.0 * k, 0.5, "Neutral", 0, k) for k in range(10)]
    table(tmp_path / "lf" / "a.csv", names, rows)
    said = invoke(tmp_path, IMPORT, "lf", "-o", "s.h5").stderr
    spec = Store(tmp_path / "s.h5").streams["features"]
    assert spec.rate_hz == 25 and spec.made["imported"] == "libreface"
    assert spec.made["columns"] == ["pitch", "au_1", "au_1_intensity"]
    assert "facial_expression" in said


def test_means_and_lines_of_large_numbers_are_finite(tmp_path: Path) -> None:
    large = np.float32(3e38)
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "a.npy", np.array([[large], [-large], [np.nan], [large], [large]]))
    found = invoke(tmp_path, IMPORT, "f", "--rate", 5, "--drop-nan", 0.5, "-o", "s.h5")
    assert "Warning" not in found.stderr
    store = Store(tmp_path / "s.h5")
    values = [large, -large, 0, large, large]
    assert store.values("features")[:, 0].tolist() == values
    assert store.pooled_vectors("mean")[0, 0] == pytest.approx(np.mean(values, dtype=np.float64))


# -- arrays ---------------------------------------------------------------------------------------


def test_arrays_of_frames(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frames = {f"u{n}": random.normal(size=(n + 3, 8)) for n in range(3)}
    (tmp_path / "npy" / "deep").mkdir(parents=True)
    for name, values in frames.items():
        np.save(tmp_path / "npy" / ("deep" if name == "u1" else "") / f"{name}.wav.npy", values)
    run = (IMPORT, "npy", "--name", "emotion2vec", "-o", "s.h5")
    assert "--rate" in invoke(tmp_path, *run, status=2).stderr
    invoke(tmp_path, *run, "--rate", 50)
    store = Store(tmp_path / "s.h5")
    assert store.ids == [*frames] and store.streams["features"].rate_hz == 50
    assert store.streams["features"].made == {"imported": "emotion2vec"}
    for row, values in enumerate(frames.values()):
        np.testing.assert_array_equal(store.read("features", row), values.astype(np.float32))
    np.savez(tmp_path / "all.npz", **frames)
    invoke(tmp_path, IMPORT, "all.npz", "--rate", 50, "--name", "emotion2vec", "-o", "z.h5")
    assert Store(tmp_path / "z.h5").content_id == store.content_id


def test_vectors_are_compared_as_embeddings(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    for number, vector in enumerate(np.random.default_rng(1).normal(size=(9, 5))):
        np.save(tmp_path / "e" / f"u{number}.npy", vector if number % 2 else vector[None])
    items = [{"id": f"u{n}", "media": f"{n}.wav", "speaker": f"s{n}",
              "labels": {"emotion": ("anger", "joy")[n % 2]}} for n in range(9)]  # fmt: skip
    corpus(tmp_path / "m.jsonl", *items)
    for name, flags in (("text", ()), ("other", ("--name", "other"))):
        invoke(tmp_path, IMPORT, "e", "--annotations", "m.jsonl", "--embedding", *flags, "-o",
               f"{name}.h5")  # fmt: skip
    assert list(Store(tmp_path / "text.h5").pooled) == ["embedding"]
    pair = ("--query", "text.h5", "--pool", "text.h5")
    invoke(tmp_path, "similarity", *pair, "-o", "similarity.h5")
    found = invoke(tmp_path, "retrieve", *pair, "--draws", 3).stdout.splitlines()
    assert len(found) == 2 + 9
    # Of another model, for all that is known.
    other = ("--query", "text.h5", "--pool", "other.h5")
    invoke(tmp_path, "retrieve", *other, "--draws", 3, status=65)


def test_text_embeddings_of_a_table(tmp_path: Path) -> None:
    vectors = np.random.default_rng(2).normal(size=(4, 3))
    rows = [(f"u{n}", *values) for n, values in enumerate(vectors)]
    table(tmp_path / "t.csv", ("utterance_id", "0", "1", "2"), rows)
    invoke(tmp_path, IMPORT, "t.csv", "--prefix", "iemocap", "-o", "s.h5")
    store = Store(tmp_path / "s.h5")
    assert store.ids == [f"iemocap_u{n}" for n in range(4)]
    np.testing.assert_array_equal(store.pooled_vectors("functionals"), vectors.astype(np.float32))
    # A decimal comma, and another column of ids.
    table(tmp_path / "c.csv", ("x", "id", "key"), [("1,5", "no", "k1"), ("-2,25", "no", "k2")], ";")
    invoke(tmp_path, IMPORT, "c.csv", "--id", "key", "--exclude", "id", "-o", "c.h5")
    store = Store(tmp_path / "c.h5")
    assert store.ids == ["k1", "k2"]
    # pandas' index.
    table(tmp_path / "i.csv", ("", "x"), [("k1", "True"), ("k2", "False")])
    invoke(tmp_path, IMPORT, "i.csv", "-o", "i.h5")
    found = Store(tmp_path / "i.h5")
    assert found.ids == ["k1", "k2"]
    assert found.pooled_vectors("functionals").tolist() == [[1], [0]]
    assert store.pooled_vectors("functionals").tolist() == [[1.5], [-2.25]]


def test_parquet_is_read_where_pyarrow_is(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"id": ["a", "a", "b"], "time": [0.0, 0.5, 0.0], "x": [1.0, 2.0, None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "p.parquet")
    assert "x is nan" in invoke(tmp_path, IMPORT, "p.parquet", "-o", "s.h5", status=65).stderr
    invoke(tmp_path, IMPORT, "p.parquet", "--drop-nan", 0, "-o", "s.h5")
    store = Store(tmp_path / "s.h5")
    assert store.ids == ["a"] and store.streams["features"].rate_hz == 2


# -- ids ------------------------------------------------------------------------------------------


def test_ids_that_do_not_match_are_counted_and_listed(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", ("id", "x"), [("u1", 1), ("u2", 2), ("u8", 3), ("u9", 4)])
    corpus(
        tmp_path / "m.jsonl",
        *({"id": f"c_u{n}", "media": f"wav/u{n}.wav", "speaker": "s", "split": "train",
           "labels": {"emotion": "joy", "arousal": 0.5}} for n in range(6)),
    )  # fmt: skip
    said = invoke(tmp_path, IMPORT, "t.csv", "--annotations", "m.jsonl", "-o", "s.h5").stderr
    store = Store(tmp_path / "s.h5")
    assert store.ids == ["c_u1", "c_u2", "u8", "u9"]
    assert store.label("emotion").tolist() == [1, 1, -1, -1]
    assert store.meta["split"] == ["train", "train", "", ""]
    assert re.search("2 utterances without labels, as m.jsonl .*: u8, u9", said)
    assert re.search("4 utterances of m.jsonl without features: c_u0, c_u3, c_u4, c_u5", said)
    # By prefix, as well; not at all.
    invoke(tmp_path, IMPORT, "t.csv", "--annotations", "m.jsonl", "--prefix", "c", "-o", "p.h5")
    assert Store(tmp_path / "p.h5").ids == ["c_u1", "c_u2", "c_u8", "c_u9"]
    corpus(tmp_path / "n.jsonl", {"id": "z1", "media": "z.wav", "labels": {}})
    said = invoke(tmp_path, IMPORT, "t.csv", "--annotations", "n.jsonl", "-o", "n.h5", status=65)
    assert "z1" in said.stderr and "u1" in said.stderr and not (tmp_path / "n.h5").exists()


def test_parts_of_one_recording_are_not_taken_for_each_other(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", ("id", "x"), [("p1", 1), ("long", 2)])
    items = [{"id": f"p{n}", "media": "long.wav", "start": n, "end": n + 1, "labels": {}}
             for n in range(2)]  # fmt: skip
    corpus(tmp_path / "m.jsonl", *items)
    invoke(tmp_path, IMPORT, "t.csv", "--annotations", "m.jsonl", "-o", "s.h5")
    assert Store(tmp_path / "s.h5").ids == ["p1", "long"]


# -- rerun, bounds, mistakes ----------------------------------------------------------------------


def test_rerun_force_and_dry_run(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", ("id", "x", "y"), [("a", 1, 2), ("b", 3, 4)])
    run = (IMPORT, "t.csv", "-o", "s.h5")
    assert "would import vectors of 2" in invoke(tmp_path, *run, "-n").stderr
    assert not (tmp_path / "s.h5").exists()
    invoke(tmp_path, *run)
    before = (tmp_path / "s.h5").read_bytes()
    assert "up to date" in invoke(tmp_path, *run).stderr
    # The name of the file is not in its identity, its content is.
    source.rename(tmp_path / "other.csv")
    assert "up to date" in invoke(tmp_path, IMPORT, "other.csv", "-o", "s.h5").stderr
    invoke(tmp_path, IMPORT, "other.csv", "--columns", "x", "-o", "s.h5", status=73)
    table(source, ("id", "x", "y"), [("a", 1, 2), ("b", 3, 5)])
    invoke(tmp_path, *run, status=73)
    assert (tmp_path / "s.h5").read_bytes() == before
    invoke(tmp_path, *run, "-f")
    assert Store(tmp_path / "s.h5").pooled_vectors("functionals").tolist() == [[1, 2], [3, 5]]
    facts = json.loads(invoke(tmp_path, "info", "s.h5", "--lineage", "--json").stdout)
    assert [entry["role"] for entry in facts["inputs"]] == ["files"]
    assert "missing" not in facts["inputs"][0]


PEAK = """
import resource, sys
from avaffect.cli.main import run
status = run(sys.argv[1:])
print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_large_table_in_little_memory(tmp_path: Path) -> None:
    """60,000 rows of 30 numbers are 60 MB as Python's floats; ids alone stay."""
    peaks = {}
    for count in (100, 60_000):
        with (tmp_path / f"{count}.csv").open("w") as file:
            file.write("id," + ",".join(f"f{k}" for k in range(30)) + "\n")
            tail = ",".join(f"{k / 7:.6f}" for k in range(29))
            file.writelines(f"u{n},{n},{tail}\n" for n in range(count))
        found = subprocess.run(
            [sys.executable, "-c", PEAK, IMPORT, f"{count}.csv", "-o", f"{count}.h5"], cwd=tmp_path,
            capture_output=True, text=True, timeout=300,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        status, peak = map(int, found.stdout.split())
        assert status == 0, found.stderr
        peaks[count] = peak
    assert Store(tmp_path / "60000.h5").pooled_vectors("functionals")[-1, 0] == 59_999
    assert peaks[60_000] - peaks[100] < 45, peaks


def test_folders_tell_files_of_one_name_apart(tmp_path: Path) -> None:
    """As `manifest folder` names their recordings."""
    for part in ("s1", "s2"):
        table(tmp_path / "f" / part / "take.csv", ("x",), [(1,)])
    table(tmp_path / "f" / "s1" / "other.csv", ("x",), [(1,)])
    invoke(tmp_path, IMPORT, "f", "-o", "s.h5")
    assert [*Store(tmp_path / "s.h5").ids] == ["other", "s1/take", "s2/take"]
