"""`import-features` of openSMILE's tables: what `extract` would have written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from feature_tables import IMPORT, table

from avaffect.data import manifest
from avaffect.data.store.reader import Store


@pytest.fixture(scope="module")
def emodb(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real recordings, their eGeMAPS as extract writes them, and as openSMILE's tools do."""
    pytest.importorskip("opensmile", reason="openSMILE (an optional extra) is not there")
    folder = tmp_path_factory.mktemp("emodb")
    (folder / "wav").mkdir()
    chosen = [p for p in sorted((recordings / "emodb").glob("*.wav")) if p.stem[5] in "WNFT"]
    for path in chosen[::20]:
        shutil.copy(path, folder / "wav" / path.name)
    for line in (
        "manifest emodb wav -o all.jsonl",
        "split all.jsonl --by speaker --ratios 60 20 20 -o m.jsonl",
        "preprocess m.jsonl -o media.h5 -j 1",
        "extract media.h5 --model egemaps -o lld.h5",
        "extract media.h5 --model egemaps-functionals -o functionals.h5",
    ):
        invoke(folder, *line.split())
    frames, vectors = Store(folder / "lld.h5"), Store(folder / "functionals.h5")
    columns = frames.streams["features"].made["columns"]
    for row, name in enumerate(_stems(frames)):
        lines = (
            ("'unknown'", f"{k / 100:.6f}", *map(repr, values.tolist()))
            for k, values in enumerate(frames.read("features", row))
        )
        table(folder / "lld" / f"{name}.csv", ("name", "frameTime", *columns), lines, ";")
    columns = vectors.pooled["functionals"].made["columns"]
    rows = (
        (f"wav/{name}.wav", "0 days", "0 days 00:00:01.9", *map(repr, values.tolist()))
        for name, values in zip(_stems(vectors), vectors.pooled_vectors("functionals"))
    )
    table(folder / "functionals.csv", ("file", "start", "end", *columns), rows)
    return folder


def _stems(store: Store) -> list[str]:
    return [name.removeprefix("emodb_") for name in store.ids]


def _same_but_made(found: Store, expected: Store, imported: str) -> None:
    assert found.ids == expected.ids and len(found.ids) > 9
    assert found.labels == expected.labels
    for name in expected.labels:
        np.testing.assert_array_equal(found.label(name), expected.label(name))
    for name in ("speaker", "split"):
        assert found.meta[name] == expected.meta[name]
    assert found.pooled.keys() == expected.pooled.keys()
    assert found.streams.keys() == expected.streams.keys()
    for name, spec in expected.pooled.items():
        np.testing.assert_array_equal(found.pooled_vectors(name), expected.pooled_vectors(name))
        made = {"imported": imported, "columns": spec.made["columns"]}
        assert found.pooled[name].made == made and found.pooled[name].dim == spec.dim
    for name, stream in expected.streams.items():
        np.testing.assert_array_equal(found.values(name), expected.values(name))
        np.testing.assert_array_equal(found.offsets(name), expected.offsets(name))
        other = found.streams[name]
        assert (other.kind, other.shape, other.dtype, other.rate_hz) == (
            stream.kind, stream.shape, stream.dtype, stream.rate_hz
        )  # fmt: skip


@pytest.mark.parametrize("annotations", ["m.jsonl", "media.h5"])
def test_frames_of_opensmile_are_those_of_extract(emodb: Path, annotations: str) -> None:
    said = invoke(emodb, IMPORT, "lld", "--annotations", annotations, "-f", "-o", "in.h5").stderr
    _same_but_made(Store(emodb / "in.h5"), Store(emodb / "lld.h5"), "opensmile")
    assert "found by the name of their recording" in said and "frames of 25 features" in said
    invoke(emodb, "check", "in.h5")


def test_functionals_of_a_table_are_those_of_extract(emodb: Path) -> None:
    invoke(emodb, IMPORT, "functionals.csv", "--annotations", "media.h5", "-f", "-o", "inf.h5")
    _same_but_made(Store(emodb / "inf.h5"), Store(emodb / "functionals.h5"), "opensmile")


def test_finetune_and_predict_give_the_same_on_both(emodb: Path) -> None:
    invoke(emodb, IMPORT, "lld", "--annotations", "media.h5", "-f", "-o", "in.h5")
    found = {}
    for name in ("in", "lld"):
        invoke(emodb, "finetune", f"{name}.h5", "--steps", 20, "-f", "-o", f"{name}.safetensors")
        invoke(emodb, "predict", f"{name}.h5", "--model", f"{name}.safetensors", "-f", "-o",
               f"{name}.jsonl")  # fmt: skip
        items = manifest.read(emodb / f"{name}.jsonl").items
        found[name] = [(item["id"], item["prediction"], item["scores"]) for item in items]
    assert found["in"] == found["lld"] and len(found["in"]) > 1
    # Beside another store, and not in the place of features that were made otherwise.
    both = ("--features", "a=in.h5", "--features", "b=lld.h5")
    invoke(emodb, "finetune", "in.h5", *both, "--steps", 2, "-f", "-o", "both.safetensors")
    invoke(emodb, "predict", "in.h5", *both, "--model", "both.safetensors", "-f", "-o", "p.jsonl")
    invoke(emodb, "predict", "in.h5", "--model", "lld.safetensors", status=65)
    invoke(emodb, "merge", "in.h5", "lld.h5", "-o", "m.h5", status=65)


def test_one_opensmile_table_of_many_recordings(tmp_path: Path) -> None:
    names = ("file", "start", "end", "loudness", "pitch")
    rows = [(f"wav/{n}.wav", f"0 days 00:00:0{k / 100:.6f}", f"0 days 00:00:0{k / 100 + 0.02:.6f}",
             k, n) for n in (7, 5) for k in range(6)]  # fmt: skip
    table(tmp_path / "lld.csv", names, rows)
    invoke(tmp_path, IMPORT, "lld.csv", "-o", "s.h5")
    store = Store(tmp_path / "s.h5")
    assert store.ids == ["7", "5"] and store.streams["features"].rate_hz == 100
    assert store.read("features", 1).tolist() == [[k, 5] for k in range(6)]
    text = "@relation x\n@attribute name string\n@attribute frameTime numeric\n"
    text += "@attribute F0 numeric\n\n@data\n\n'u1',0.0,1.5\n'u2',0.0,-2\n"
    (tmp_path / "f.arff").write_text(text)
    invoke(tmp_path, IMPORT, "f.arff", "-o", "f.h5")
    store = Store(tmp_path / "f.h5")
    assert store.ids == ["u1", "u2"] and not store.streams
    assert store.pooled_vectors("functionals").tolist() == [[1.5], [-2]]
