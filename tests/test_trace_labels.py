"""Labels over time: from a manifest, through pipes, into stores, and annotated anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chain import invoke

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.scoring import gold_labels

LABELS = {
    "arousal": {"kind": "trace", "rate_hz": 10.0},
    "valence": {"kind": "trace", "rate_hz": 4, "raters": ["FM1", "FF1", "FF2"]},
}
TRACES = {
    "a": {"arousal": [0.1, None, -0.25, 1], "valence": [[0.5, 0.25, None], [0.0, -1, 1]]},
    "b": {"arousal": [], "valence": None},
    "c": {"valence": [[None, None, None]]},
    "d": {"arousal": [0.75, 0.5, 0.25, 0.0, -0.25]},
}


def write(path: Path, traces=TRACES, labels=LABELS) -> Path:
    items = [
        {"id": name, "media": f"{name}.wav", "speaker": f"s_{name}", "labels": given}
        for name, given in traces.items()
    ]
    manifest.write(path, manifest.new_header("corpus", base=".", labels=labels), items)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in TRACES:
        tone = 0.3 * np.sin(np.arange(8000) * 0.2)
        soundfile.write(tmp_path / f"{name}.wav", tone, 16000)
    write(tmp_path / "all.jsonl")
    return tmp_path


def check_values(store: Store) -> None:
    """The traces of TRACES, in any order of the utterances."""
    assert store.labels["arousal"] == LabelSpec("trace", rate_hz=10.0)
    assert store.labels["valence"] == LabelSpec("trace", rate_hz=4.0, raters=3)
    found = {
        name: {i: store.trace(name, row) for row, i in enumerate(store.ids)} for name in LABELS
    }
    nan = np.nan
    np.testing.assert_array_equal(found["arousal"]["a"], np.float32([0.1, nan, -0.25, 1]))
    np.testing.assert_array_equal(found["arousal"]["d"], [0.75, 0.5, 0.25, 0, -0.25])
    np.testing.assert_array_equal(found["valence"]["a"], [[0.5, 0.25, nan], [0, -1, 1]])
    assert np.isnan(found["valence"]["c"]).all() and found["valence"]["c"].shape == (1, 3)
    assert found["arousal"]["b"].shape == (0,) and found["valence"]["d"].shape == (0, 3)


def test_traces_pass_through_pipes_into_stores_and_what_is_made_of_them(folder, shell):
    shell(
        "avaffect select all.jsonl --where speaker!=nobody | avaffect seal "
        "| avaffect split - --ratios 50 25 25 | avaffect preprocess - -o whole.h5 -j 1",
        folder,
    )
    check_values(Store(folder / "whole.h5"))
    for index in range(2):
        invoke(folder, "preprocess", "all.jsonl", "-o", f"{index}.h5", "-j", 1,
               "--shard", f"{index}/2")  # fmt: skip
    invoke(folder, "merge", "0.h5", "1.h5", "-o", "merged.h5")
    check_values(Store(folder / "merged.h5"))
    invoke(folder, "extract", "merged.h5", "--model", "mfcc", "-o", "mfcc.h5")
    check_values(Store(folder / "mfcc.h5"))
    invoke(folder, "check", "whole.h5", "merged.h5", "mfcc.h5")
    shown = json.loads(invoke(folder, "info", "merged.h5", "--json").stdout)["labels"]
    assert shown["arousal"] == {
        "kind": "trace", "rate_hz": 10.0, "raters": 0, "range": [-0.25, 1.0],
        "hours": round(9 / 10 / 3600, 4), "missing": 2,
    }  # fmt: skip
    assert shown["valence"]["raters"] == 3 and shown["valence"]["missing"] == 2
    assert json.loads(invoke(folder, "info", "all.jsonl", "--json").stdout)["labels"] == LABELS


def test_labels_of_another_length_are_named(tmp_path: Path):
    """Of 0.5 s: a second more or less may be; of 20 s a tenth."""
    durations = {"a": 0.5, "b": 0.5, "c": 20.0, "d": 20.0, "e": 20.0}
    counts = {"a": 15, "b": 16, "c": 181, "d": 179, "e": 0}
    for name, seconds in durations.items():
        tone = 0.3 * np.sin(np.arange(int(16000 * seconds)) * 0.2)
        soundfile.write(tmp_path / f"{name}.wav", tone, 16000)
    write(tmp_path / "m.jsonl", {n: {"arousal": [0.1] * count} for n, count in counts.items()})
    said = invoke(tmp_path, "preprocess", "m.jsonl", "-o", "m.h5", "-j", 1).stderr
    assert "traces of 2 utterances differ from them in length" in said
    assert "by more than a second and a tenth: b, d\n" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arousal": [0.1, "0.2"]}, "e: value 1 (from 0) of the trace arousal is '0.2'"),
        ({"arousal": [True]}, "neither a finite number nor null"),
        ({"arousal": [1e39]}, "neither a finite number nor null"),
        ({"arousal": [[0.1]]}, "value 0 (from 0) of the trace arousal is [0.1]"),
        ({"arousal": 0.5}, "e: label arousal is 0.5, which is not a trace"),
        ({"valence": [[0, 0, 0], [0, 0]]}, "value 1 (from 0) of the trace valence is [0, 0]"),
        ({"valence": [0.5]}, "expected a list of 3, one for each rater"),
    ],
)
def test_values_that_are_none_stop_before_anything_is_decoded(folder, given, said):
    write(folder / "wrong.jsonl", {**TRACES, "e": given})
    found = invoke(folder, "preprocess", "wrong.jsonl", "-o", "x.h5", status=65)
    assert said in found.stderr and not (folder / "x.h5").exists()


def test_traces_are_no_classes(folder):
    options = ("--stratify", "arousal", "-o", "x.jsonl")
    assert "is not a class" in invoke(folder, "split", "all.jsonl", *options, status=65).stderr
    with pytest.raises(DataError, match=r"label arousal .* not a class"):
        gold_labels.read([folder / "all.jsonl"], "arousal")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"kind": "trace"}, "rate_hz None"),
        ({"kind": "trace", "rate_hz": 0}, "rate_hz 0"),
        ({"kind": "course"}, "class, scalar, distribution or trace"),
    ],
)
def test_headers_that_describe_no_trace(folder, facts, said):
    write(folder / "wrong.jsonl", labels={**LABELS, "arousal": facts})
    found = invoke(folder, "preprocess", "wrong.jsonl", "-o", "x.h5", status=65)
    assert said in found.stderr


def test_raters_are_names(folder):
    text = write(folder / "wrong.jsonl").read_text()
    (folder / "wrong.jsonl").write_text(text.replace('["FM1","FF1","FF2"]', "3"))
    found = invoke(folder, "preprocess", "wrong.jsonl", "-o", "x.h5", status=65)
    assert "wrong.jsonl: in its header, labels: its raters is '3'" in found.stderr


def made(path: Path, spec: LabelSpec, traces: list) -> Store:
    with store_writer(path, {}, labels={"arousal": spec, "age": LabelSpec("scalar")}) as writer:
        for row, trace in enumerate(traces):
            writer.add(f"u{row}", labels={"arousal": trace, "age": 30.0})
    return Store(path)


def annotations(path: Path, store: Store, given: dict, facts: dict) -> Annotations:
    return Annotations.read(write(path, given, {"arousal": facts}), [store])


def test_annotations_stand_over_the_store_at_their_own_rate(tmp_path):
    trace = LabelSpec("trace", rate_hz=10.0)
    store = made(tmp_path / "s.h5", trace, [[0.0, 0.2, 0.4, 0.6], [1.0], None])
    plain = Annotations({}).traces(store, "arousal")
    assert plain.rate_hz == 10.0 and [len(values) for values in plain.values] == [4, 1, 0]

    facts = {"kind": "trace", "rate_hz": 5.0}
    given = {"u1": {"arousal": [0.5, None]}, "u2": {"arousal": [0.25]}, "far": {"arousal": [1]}}
    over = annotations(tmp_path / "m.jsonl", store, given, facts).traces(store, "arousal")
    assert over.rate_hz == 5.0 and over.raters == 0
    np.testing.assert_array_equal(over.values[0], np.float32([0.0, 0.4]))
    np.testing.assert_array_equal(over.values[1], [0.5, np.nan])
    np.testing.assert_array_equal(over.values[2], [0.25])
    assert all(values.dtype == np.float32 for values in over.values)

    taken = annotations(tmp_path / "m.jsonl", store, {"u0": {"arousal": None}}, facts)
    assert [len(values) for values in taken.traces(store, "arousal").values] == [0, 0, 0]
    # A header that describes what no utterance of the store bears changes nothing.
    other = annotations(tmp_path / "m.jsonl", store, {"u0": {}}, facts)
    assert other.traces(store, "arousal").rate_hz == 10.0


def test_what_annotations_of_traces_refuse(tmp_path):
    raters = LabelSpec("trace", rate_hz=10.0, raters=2)
    store = made(tmp_path / "s.h5", raters, [[[0.0, 0.2]]])
    known = annotations(
        tmp_path / "m.jsonl", store, {"u0": {"arousal": [1]}}, {"kind": "trace", "rate_hz": 10}
    )
    with pytest.raises(DataError, match="0 raters in the annotations, but 2"):
        known.traces(store, "arousal")
    with pytest.raises(DataError, match="'age' is a scalar, not a trace"):
        known.traces(store, "age")
    there = r"has no label 'valence' \(it has: age, arousal; the annotations have: arousal\)"
    with pytest.raises(DataError, match=there):
        known.traces(store, "valence")
    with pytest.raises(DataError, match=r"\(it has: age, arousal\)"):
        Annotations({}).traces(store, "valence")
    loud = {"u0": {"arousal": 0.5}}
    scalar = annotations(tmp_path / "m.jsonl", store, loud, {"kind": "scalar"})
    with pytest.raises(DataError, match="do not describe 'arousal' as a trace"):
        scalar.traces(store, "arousal")
    with pytest.raises(DataError, match="label 'arousal' is a trace, not a class"):
        known.names(store, "arousal")
    fresh = made(tmp_path / "f.h5", raters, [None])
    with pytest.raises(DataError, match="u0: its annotation mood is no class"):
        Annotations({"u0": {"id": "u0", "labels": {"mood": [0.1]}}}).names(fresh, "mood")
