"""merge joins stores as one writer would have written them; check sees what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avaffect.core import checkpoint_header
from avaffect.core.errors import DataError, OutputExistsError, UsageError
from avaffect.core.hashing import canonical_json
from avaffect.core.provenance import provenance, reference
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec
from avaffect.data.store.verifying import verify_store
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common.verification import verify
from avaffect.recipes.merge import merge
from avaffect.settings.merge import MergeSettings

UNITS = StreamSpec("units", "int32", 50.0)
FEATURES = StreamSpec("features", "float32", 50.0, (3,))
EMOTION = LabelSpec("class", ("anger", "sadness"))
TRACE = LabelSpec("trace", rate_hz=25.0)
Utterances = dict[str, dict]


def utterances(names: str) -> Utterances:
    """One utterance a letter, its content a function of the letter."""
    found = {}
    for name in names:
        random = np.random.default_rng(ord(name))
        found[name] = {
            "streams": {
                "units": random.integers(0, 99, random.integers(0, 9)),
                "features": random.random((random.integers(0, 9), 3)),
            },
            "labels": {"emotion": ("anger", "sadness", None)[ord(name) % 3],
                       "arousal": float(ord(name)), "trace": random.random(ord(name) % 4)},
            "meta": {"speaker": name.upper(), "age": ord(name)},
            "pooled": {"mean": random.random(2)},
        }  # fmt: skip
    return found


def write(path: Path, items: Utterances, record: dict | None = None, **specs) -> Path:
    """A store of the kinds in `specs`; what an utterance has besides is left out."""
    all_specs = {
        "streams": {"units": UNITS, "features": FEATURES},
        "labels": {"emotion": EMOTION, "arousal": LabelSpec("scalar"), "trace": TRACE},
        "pooled": {"mean": PooledSpec(2)},
        **specs,
    }
    with store_writer(path, record or {"command": "test"}, **all_specs) as writer:
        for identifier, item in items.items():
            given = {
                kind: {n: v for n, v in item[kind].items() if n in all_specs[kind]}
                for kind in ("streams", "labels", "pooled")
            }
            writer.add(identifier, meta=item["meta"], **given)
    return path


def join(output: Path, *paths: Path, **options) -> Store:
    merge(MergeSettings(stores=paths, output=output, **options))
    return verify_store(output)


def test_merged_parts_equal_the_whole(tmp_path: Path) -> None:
    whole = Store(write(tmp_path / "whole.h5", utterances("abcdefg")))
    parts = [write(tmp_path / f"{n}.h5", utterances(n)) for n in ("abc", "", "d", "efg")]
    # An empty store has no fields at all.
    found = join(tmp_path / "merged.h5", *parts)
    assert found.content_id == whole.content_id and found.ids == list("abcdefg")
    assert join(tmp_path / "again.h5", *parts).content_id == whole.content_id
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "merged.h5").read_bytes()
    assert [i["path"] for i in found.provenance["inputs"]] == [p.name for p in parts]
    assert join(tmp_path / "turned.h5", *parts[::-1]).ids == list("efgdabc")
    assert join(tmp_path / "one.h5", tmp_path / "whole.h5").content_id == whole.content_id
    empty = join(tmp_path / "none.h5", parts[1])
    assert empty.count == 0 and empty.content_id == Store(parts[1]).content_id


def test_what_one_store_lacks_is_missing_there(tmp_path: Path) -> None:
    first = write(tmp_path / "first.h5", utterances("ab"), streams={"units": UNITS},
                  labels={"emotion": EMOTION}, pooled={})  # fmt: skip
    items = utterances("cd")
    for item in items.values():
        item["meta"] = {"speaker": "x", "take": 1.5}
        item["labels"]["votes"] = [1.0, 2.0]
    second = write(
        tmp_path / "second.h5", items, streams={"features": FEATURES}, pooled={},
        labels={"trace": TRACE, "arousal": LabelSpec("scalar"),
                "votes": LabelSpec("distribution", ("x", "y"))},
    )  # fmt: skip
    found = join(tmp_path / "merged.h5", first, second)
    assert found.lengths("features")[:2].tolist() == found.lengths("units")[2:].tolist() == [0, 0]
    np.testing.assert_array_equal(found.read("features", 2), Store(second).read("features", 0))
    assert found.label("emotion")[2:].tolist() == [-1, -1]
    assert np.isnan(found.label("arousal")[:2]).all() and np.isnan(found.label("votes")[:2]).all()
    assert found.trace("trace", 0).size == 0 and found.trace("trace", 2).size == ord("c") % 4
    np.testing.assert_array_equal(found.meta["age"], [97, 98, np.nan, np.nan])
    np.testing.assert_array_equal(found.meta["take"], [np.nan, np.nan, 1.5, 1.5])
    assert found.meta["speaker"] == ["A", "B", "x", "x"]


def test_class_lists_are_united(tmp_path: Path) -> None:
    def store(name: str, kind: str, classes: str, values: list) -> Path:
        path = tmp_path / name
        with store_writer(path, {}, labels={"e": LabelSpec(kind, tuple(classes))}) as writer:
            for number, value in enumerate(values):
                writer.add(f"{name}{number}", labels={"e": value}, meta={})
        return path

    found = join(tmp_path / "classes.h5", store("a.h5", "class", "xyz", ["z", None, "x"]),
                 store("b.h5", "class", "wzx", ["w", "z", "x", None]))  # fmt: skip
    classes = found.labels["e"].classes
    assert classes == ("x", "y", "z", "w")
    names = [classes[v] if v >= 0 else None for v in found.label("e")]
    assert names == ["z", None, "x", "w", "z", "x", None]
    found = join(tmp_path / "votes.h5", store("c.h5", "distribution", "xy", [[1, 2], None]),
                 store("d.h5", "distribution", "yz", [[3, 4]]))  # fmt: skip
    nan = np.nan
    np.testing.assert_array_equal(found.label("e"), [[1, 2, 0], [nan] * 3, [0, 3, 4]])
    with pytest.raises(DataError, match=r"a\.h5.*c\.h5"):
        join(tmp_path / "x.h5", tmp_path / "a.h5", tmp_path / "c.h5")


def test_fields_of_several_types_become_texts(tmp_path: Path) -> None:
    def store(name: str, value: object) -> Path:
        with store_writer(tmp_path / name, {}) as writer:
            writer.add(name, meta={"take": value})
            writer.add(f"{name}-", meta={})
        return tmp_path / name

    found = join(tmp_path / "m.h5", store("a", 2), store("b", "two"), store("c", 2.5))
    assert found.meta["take"] == ["2", "", "two", "", "2.5", ""]


def test_what_does_not_fit_is_refused_naming_both(tmp_path: Path) -> None:
    first = write(tmp_path / "first.h5", utterances("abc"))

    def refused(path: Path, word: str) -> None:
        with pytest.raises(DataError, match=word) as caught:
            join(tmp_path / "out.h5", first, path)
        assert path.name in str(caught.value)
        assert not (tmp_path / "out.h5").exists()

    refused(write(tmp_path / "second.h5", utterances("xc")), r"the id c is in .*first\.h5 and in")
    slower = {"units": StreamSpec("units", "int32", 25.0), "features": FEATURES}
    refused(
        write(tmp_path / "slower.h5", utterances("x"), streams=slower),
        r"first\.h5 and .*slower\.h5 have different kinds of the "
        r"stream 'units' \(rate_hz 50\.0 and 25\.0\)",
    )
    refused(write(tmp_path / "wider.h5", {}, pooled={"mean": PooledSpec(3)}), "'mean'.*dim 2 and 3")
    other = {"mean": PooledSpec(2, {"encoder": "another"})}
    refused(
        write(tmp_path / "other.h5", utterances("x"), pooled=other),
        r"first\.h5 and .*other\.h5 have the pooled vector 'mean' of different models; [^{]+$",
    )
    refused(write(tmp_path / "without.h5", utterances("x"), pooled={}), "no pooled vector 'mean'")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(first.read_bytes()[:-100])
    refused(cut, "cut short")
    with pytest.raises(UsageError, match="one of the files"):
        join(first, first, force=True)


def test_an_up_to_date_merge_stays(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.h5", utterances(n)) for n in "ab"]
    output = tmp_path / "merged.h5"
    join(output, *paths)
    inode = output.stat().st_ino
    join(output, *paths)
    assert output.stat().st_ino == inode
    with pytest.raises(OutputExistsError):
        join(output, *paths[::-1])
    merge(MergeSettings(stores=tuple(paths), output=tmp_path / "dry.h5", dry_run=True))
    assert not (tmp_path / "dry.h5").exists()


def test_losses_are_summed(tmp_path: Path) -> None:
    def record(found: int, lost: dict) -> dict:
        kept = found - sum(lost.values())
        return {"command": "x", "losses": {"found": found, "kept": kept, "lost": lost}}

    first = write(tmp_path / "a.h5", utterances("a"), record(3, {"silent": 2}))
    second = write(tmp_path / "b.h5", utterances("b"), record(4, {"missing": 2, "silent": 1}))
    found = join(tmp_path / "c.h5", first, second, write(tmp_path / "d.h5", utterances("d")))
    losses = {"found": 7, "kept": 2, "lost": {"missing": 2, "silent": 3}}
    assert found.provenance["losses"] == losses


def test_many_stores_need_few_files_at_once(tmp_path: Path, avaffect) -> None:
    paths = [write(tmp_path / f"{n}.h5", utterances(chr(256 + n))) for n in range(80)]
    code = (
        "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))\n"
        "runpy.run_module('avaffect', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", code, "merge", *map(str, paths), "-o", str(tmp_path / "m.h5")]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    avaffect("check", tmp_path / "m.h5")


def checkpoint(path: Path) -> Path:
    safetensors = pytest.importorskip("safetensors.numpy")
    weights = {"w": np.arange(6, dtype="float32").reshape(2, 3)}
    header = {"format": checkpoint_header.FORMAT, "version": "1.1", "kind": "encoder",
              "model": {"name": "none", "configuration": {}}}  # fmt: skip
    tensors = [("w", "F32", [2, 3], weights["w"].tobytes())]
    header["content_id"] = checkpoint_header.checkpoint_content_id(header, tensors)
    header["header_digest"] = checkpoint_header.header_digest(header, [["w", "F32", [2, 3]]])
    safetensors.save_file(weights, path, {checkpoint_header.METADATA_KEY: canonical_json(header)})
    return path


def test_check_looks_at_every_file_and_says_which_are_bad(tmp_path: Path, avaffect) -> None:
    store = write(tmp_path / "a.h5", utterances("abc"))
    listed = tmp_path / "m.jsonl"
    manifest.write(listed, manifest.new_header("corpus"), [{"id": "a"}])
    good = [store, listed, checkpoint(tmp_path / "c.safetensors")]
    found = avaffect("check", *good)
    assert found.stdout == "".join(f"{path}: ok\n" for path in good)
    assert found.stderr == "3 of 3 files are whole\n"
    # *.jsonl matches the metrics of trainings, too.
    metrics = tmp_path / "c.safetensors.metrics.jsonl"
    metrics.write_text('{"step": 1}\n')
    found = avaffect("check", *good, metrics)
    assert found.stdout.count(": ok\n") == 3 and "1 metrics file" in found.stderr
    assert "not a manifest" in avaffect("check", metrics, status=65).stderr
    bad = []
    for path in good:
        content = bytearray(path.read_bytes())
        cut, changed = tmp_path / f"cut_{path.name}", tmp_path / f"changed_{path.name}"
        cut.write_bytes(content[:-20])
        place = content.index(b'"id"') if path == listed else -3
        if path == store:
            with_values = Store(store).values("features").tobytes()
            place = content.index(with_values) + 5
        content[place] ^= 1
        changed.write_bytes(content)
        bad += [cut, changed]
    (tmp_path / "empty.h5").write_bytes(b"")
    bad += [tmp_path / "empty.h5", tmp_path / "nowhere.h5", tmp_path]
    found = avaffect("check", *bad, *good, status=65)
    assert found.stdout == "".join(f"{path}: ok\n" for path in good)
    lines = found.stderr.splitlines()
    assert len(lines) == len(bad) + 1 and f"{len(bad)} of {len(bad) + 3} files" in lines[-1]
    for path, line in zip(bad, lines):
        assert str(path) in line
    assert "stream features was changed in 1 utterance" in found.stderr


def test_check_finds_parents_or_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    parent = write(tmp_path / "parent.h5", utterances("ab"))
    child = tmp_path / "child.h5"
    inputs = [
        reference("store", parent, Store(parent).content_id, child),
        reference("recordings", tmp_path, "sha256:0", child),
        {"role": "manifest", "path": "", "content_id": "sha256:1"},
    ]
    write(child, utterances("a"), provenance("test", {}, inputs))
    verify(child, parents=True)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    os.replace(parent, moved / "parent.h5")
    verify(child)
    with pytest.raises(DataError, match=r"parent\.h5, the store that was used, is no longer at"):
        verify(child, parents=True)
    monkeypatch.setenv("AVAFFECT_PATH", str(moved))
    verify(child, parents=True)
    write(moved / "parent.h5", utterances("abc"))
    with pytest.raises(DataError, match="no longer the store"):
        verify(child, parents=True)


def test_check_survives_any_one_file(tmp_path: Path, avaffect) -> None:
    """Hostile files, one by one, between two good ones, which are reported all the same."""
    first = write(tmp_path / "a.h5", utterances("ab"))
    last = write(tmp_path / "z.h5", utterances("cd"))
    header = {"kind": "header", "format": manifest.FORMAT, "version": "1.0", "content": "corpus",
              "provenance": {"command": "x", "inputs": [{"role": 3}]}}  # fmt: skip
    texts = {
        "deep.jsonl": canonical_json(header) + "\n" + '{"kind":' * 30_000 + "\n",
        "references.jsonl": canonical_json(header) + '\n{"kind":"end","count":0}\n',
        "inputs.jsonl": canonical_json({**header, "provenance": {"command": "x", "inputs": 7}})
        + '\n{"kind":"end","count":0}\n',
        "count.jsonl": canonical_json(header) + '\n{"kind":"end","count":1e400}\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "deep.safetensors").write_bytes((60_000).to_bytes(8, "little") + b'{"a":' * 12_000)
    bad = [tmp_path / name for name in [*texts, "deep.safetensors"]]
    done = avaffect("check", "--parents", first, *bad, last, status=65)
    assert "unexpected" not in done.stderr
    assert f"{len(bad)} of {len(bad) + 2} files are bad" in done.stderr
    for path in (first, last):
        assert str(path) in done.stdout
    for path in bad:
        assert path.name in done.stderr


def test_a_line_beyond_any_manifest_is_not_read_whole(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(manifest, "LARGEST_LINE", 4000)
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"kind":"header","x":"' + b"a" * 10_000)
    with pytest.raises(DataError, match="longer than"):
        manifest.read(path)
