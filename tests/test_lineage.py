"""`avaffect lineage`: what made an artifact, and a Makefile that makes it again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chain import VOICES, invoke
from compared import predictions

from avaffect.core import provenance
from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.recipes.common import command_lines, makefiles
from avaffect.recipes.common.ancestry import (
    FOREIGN,
    MISSING,
    REPORT,
    STREAM,
    Ancestor,
    Parent,
    ancestry,
)
from avaffect.recipes.reporting.sections.lineage import together

# Signs that make and shells take for something else.
AWKWARD = "a $(b) #1 50%.h5"
LINE = (
    "avaffect synth wav --utterances 9 --speakers 3 --modality audio --shortest 0.5 --longest 0.8"
    " | avaffect split - --ratios 34 33 33 -o split.jsonl"
    f" && avaffect preprocess split.jsonl --jobs 1 -o '{AWKWARD}'"
    f" && avaffect extract '{AWKWARD}' --model mfcc -o mfcc.h5"
    " && avaffect finetune mfcc.h5 --steps 1 --select none --head-learning-rate 0.0125"
    " -o er.safetensors"
    " && avaffect predict mfcc.h5 --model er.safetensors --split all -o made/p.jsonl"
    " && avaffect finetune mfcc.h5 --head svm --head-option kernel=linear -o svm.safetensors"
    " && avaffect predict mfcc.h5 --model svm.safetensors --split all -o q.jsonl"
    " && avaffect eval-class made/p.jsonl q.jsonl --split all -o scores.json"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shell) -> Path:
    """A chain that begins in a pipe and ends in a report; not to be changed."""
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "made").mkdir()
    shell(LINE, folder)
    return folder


def _paths(found: list[Ancestor]) -> list[str]:
    return [each.path for each in found]


def test_each_file_once_and_inputs_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = ancestry([Path("scores.json"), Path("mfcc.h5"), Path("scores.json")])
    names = [path for path in _paths(found) if path]
    assert sorted(names) == sorted({*names})
    assert names[-1] == "scores.json" and {AWKWARD, "split.jsonl", "er.safetensors"} <= {*names}
    place = {each.key: number for number, each in enumerate(found)}
    for each in found:
        assert all(place[parent.key] < place[each.key] for parent in each.parents)
    kinds = {each.kind for each in found}
    assert kinds == {REPORT, STREAM, FOREIGN, "store", "checkpoint", "manifest"}


def test_the_makefile_remakes_what_is_missing(
    folder: Path, tmp_path: Path, shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    shell("avaffect lineage scores.json --make > all.mk && make -n -f all.mk", copy)
    # No pattern of other names.
    assert "50\\%.h5: " in (copy / "all.mk").read_text("utf-8")
    shell("make -f all.mk", copy)
    before = {name: (copy / name).read_bytes() for name in ("made/p.jsonl", "er.safetensors")}
    before["q.jsonl"] = (copy / "q.jsonl").read_bytes()
    for name in (
        "q.jsonl",
        "svm.safetensors",
        "mfcc.h5",
        "er.safetensors",
        "split.jsonl",
        AWKWARD,
        "scores.json",
    ):
        (copy / name).unlink()
    shutil.rmtree(copy / "made")
    shutil.rmtree(copy / "wav")
    shell("make -f all.mk", copy)
    assert before == {name: (copy / name).read_bytes() for name in before}
    reports = [json.loads(line) for line in (copy / "scores.json").read_text("utf-8").splitlines()]
    assert [report["file"] for report in reports] == ["made/p.jsonl", "q.jsonl"]
    again = shell("make -f all.mk", copy)
    assert "avaffect" not in again.stdout


def test_an_input_that_is_gone(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "er.safetensors", tmp_path)
    found = {each.path: each for each in ancestry([Path("er.safetensors")])}
    assert found["mfcc.h5"].kind == MISSING and "mfcc.h5" in found["mfcc.h5"].missing
    # The rule is there all the same: make says what is missing.
    text = makefiles.makefile([*found.values()], ["er.safetensors"])
    assert "er.safetensors: mfcc.h5\n" in text and "\nmfcc.h5:" not in text


def test_a_filter_is_not_made_up(folder: Path, tmp_path: Path, shell, monkeypatch) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    shell("head -n 4 split.jsonl | avaffect seal --allow-cut -o few.jsonl", copy)
    monkeypatch.chdir(copy)
    found = ancestry([Path("few.jsonl")])
    with pytest.raises(command_lines.Unknown):
        command_lines.arguments(found[-1], {each.key: each for each in found})
    assert "\nfew.jsonl:" not in makefiles.makefile(found, ["few.jsonl"])


def test_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("words\n")
    (tmp_path / "r.json").write_text('{"file": "a", "content": "predictions", "target": 1')
    for name in ("x.txt", "r.json", "none.h5"):
        with pytest.raises(DataError, match=name):
            ancestry([tmp_path / name])


def test_a_table_of_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("path,who\na.wav,x\nb.wav,y\n")
    for name in "ab":
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    given = (
        "manifest",
        "table",
        "t.csv",
        "--media",
        "path",
        "--field",
        "b=who",
        "--field",
        "c=who",
    )
    invoke(tmp_path, *given, "-o", "m.jsonl")
    found = {each.path: each for each in ancestry([Path("m.jsonl")])}
    line = command_lines.arguments(found["m.jsonl"], {e.key: e for e in found.values()})
    assert line == [*given]


def remade(folder: Path, goal: str, *made: str) -> None:
    """Make anew what was removed, from the makefile of its lineage."""
    text = invoke(folder, "lineage", goal, "--make").stdout
    (folder / "all.mk").write_text(text)
    before = {name: (folder / name).read_bytes() for name in made}
    for name in made:
        (folder / name).unlink()
    environment = {**os.environ, "AVAFFECT": f"{sys.executable} -m avaffect"}
    subprocess.run(["make", "-f", "all.mk"], cwd=folder, env=environment, check=True)
    assert before == {name: (folder / name).read_bytes() for name in made}


def test_what_was_allowed_is_allowed_again(tmp_path: Path) -> None:
    """Speakers in several parts: refused by split and by finetune, unless they are allowed."""
    invoke(tmp_path, "synth", "wav", "--utterances", 12, *VOICES[:-2], "-o", "c.jsonl")
    items = manifest.read(tmp_path / "c.jsonl").items
    rows = [f"{item['media']},{item['speaker']},s{number},{item['labels']['emotion']}"
            for number, item in enumerate(items)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["path,who,day,emotion", *rows]) + "\n", "utf-8")
    columns = ("--media", "path", "--speaker", "who", "--session", "day", "--label", "emotion")
    invoke(tmp_path, "manifest", "table", "t.csv", *columns, "--root", "wav", "-o", "c2.jsonl")
    by_session = ("split", "c2.jsonl", "--by", "session", "--ratios", 40, 30, 30)
    invoke(tmp_path, *by_session, "-o", "s.jsonl", status=65)
    invoke(tmp_path, *by_session, "--allow-speaker-overlap", "-o", "s.jsonl")
    invoke(tmp_path, "preprocess", "s.jsonl", "-j", 1, "-o", "m.h5")
    invoke(tmp_path, "extract", "m.h5", "--model", "mfcc", "-o", "f.h5")
    of_head = ("finetune", "f.h5", "--steps", 1, "--select", "none")
    invoke(tmp_path, *of_head, "-o", "e.safetensors", status=65)
    invoke(tmp_path, *of_head, "--allow-speaker-overlap", "-o", "e.safetensors")
    remade(tmp_path, "e.safetensors", "e.safetensors", "s.jsonl")
    # What was made before permissions were recorded is up to date with them.
    identical = [provenance.identity({**record, "options": {}}) == provenance.identity(record)
                 for record in (each.record for each in ancestry([tmp_path / "s.jsonl"]))
                 if record]  # fmt: skip
    assert identical and all(identical)


def test_a_bundle_needs_its_classifier_alone(folder: Path, tmp_path: Path) -> None:
    """The inputs of the classifier, such as annotations, are the bundle's too."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    invoke(copy, "pretrain-apc", AWKWARD, "--preset", "nano", "--steps", 0, "-o", "apc.safetensors")
    invoke(copy, "finetune", AWKWARD, "--encoder", "apc.safetensors", "--annotations",
           "split.jsonl", "--steps", 1, "--select", "none", "-o", "own.safetensors")  # fmt: skip
    invoke(copy, "bundle", "own.safetensors", "-o", "whole.safetensors")
    remade(copy, "whole.safetensors", "whole.safetensors")


def test_published_lists_of_a_division(tmp_path: Path) -> None:
    invoke(tmp_path, "synth", "wav", "--utterances", 12, *VOICES[:-2], "-o", "c.jsonl")
    ids = [item["id"] for item in manifest.read(tmp_path / "c.jsonl").items]
    given: list[object] = []
    for part, own in (("test", ids[8:]), ("train", ids[:6]), ("development", ids[6:8])):
        (tmp_path / f"{part} x.txt").write_text("\n".join(own))
        given += ["--list", f"{part}={part} x.txt"]
    invoke(tmp_path, "split", "c.jsonl", *given, "--allow-speaker-overlap", "-o", "s.jsonl")
    remade(tmp_path, "s.jsonl", "s.jsonl")


def test_paths_of_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "lists" / "t.csv").write_text("path,who\na.wav,x\n")
    given = ("manifest", "table", "lists/t.csv", "--media", "path", "--root", "wav")
    invoke(tmp_path, *given, "-o", "m.jsonl")
    remade(tmp_path, "m.jsonl", "m.jsonl")
    # Through a pipe, too.
    invoke(tmp_path, "split", "-", "--by", "recording", "--ratios", 100, 0, 0, "-o", "made.jsonl",
           stdin=invoke(tmp_path, *given).stdout)  # fmt: skip
    remade(tmp_path, "made.jsonl", "made.jsonl")


def test_recordings_that_a_data_set_contains(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    rows = [{"audio": {"path": f"{name}.wav", "bytes": b"RIFF" + name.encode()}, "emotion": "joy"}
            for name in "ab"]  # fmt: skip
    (tmp_path / "set").mkdir()
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "set" / "train.parquet")
    invoke(tmp_path, "manifest", "huggingface", "set", "--label", "emotion", "-o", "m.jsonl",
           status=2)  # fmt: skip
    invoke(tmp_path, "manifest", "huggingface", "set", "--label", "emotion", "--unpack", "wav",
           "-o", "m.jsonl")  # fmt: skip
    remade(tmp_path, "m.jsonl", "m.jsonl", "wav/a.wav")


def test_repeated_values_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    invoke(tmp_path, "synth", "wav", "--utterances", 9, *VOICES[:-2], "-o", "c.jsonl")
    given = ("split", "c.jsonl", "--seed", "3", "--ratios", "34", "33", "33", "--replace")
    invoke(tmp_path, *given, "-o", "s.jsonl")
    found = {each.path: each for each in ancestry([Path("s.jsonl")])}
    assert command_lines.arguments(found["s.jsonl"], {e.key: e for e in found.values()}) == [*given]


def test_runs_that_differ_in_their_seeds_are_one_box() -> None:
    def made(key: str, command: str, seed: int, *parents: str, **settings: object) -> Ancestor:
        record = {"command": command, "settings": {"seed": seed, **settings}, "inputs": []}
        inputs = tuple(Parent("input", parent) for parent in parents)
        return Ancestor(key, key, "checkpoint", "encoder", record, inputs)

    found = [
        Ancestor("a", "a", FOREIGN),
        Ancestor("b", "b", FOREIGN),
        made("x0", "split", 0, "a"),
        made("x1", "split", 1, "a"),
        made("other", "split", 0, "b"),
        made("y0", "adapt", 0, "x0"),
        made("y1", "adapt", 1, "x1"),
        made("z0", "adapt", 0, "x0", without="ec"),
        made("w", "adapt", 0, "other"),
    ]
    boxes = [[each.key for each in box] for box in together(found)]
    assert boxes == [["a"], ["b"], ["x0", "x1"], ["other"], ["y0", "y1"], ["z0"], ["w"]]


def test_names_that_make_or_a_command_takes_for_something_else(tmp_path: Path, shell) -> None:
    names = ["lr=0.1", "a*b", "a?b", "a[x]b", "~t", "-dash", "q'uo", "50%", "goal"]
    invoke(tmp_path, "synth", "wav", "--utterances", 6, "--speakers", 6, "--modality", "audio",
           "-o", "m.jsonl")  # fmt: skip
    before = "m"
    for seed, name in enumerate(names):
        invoke(tmp_path, "split", f"./{before}.jsonl", "--folds", 3, "--replace", "--seed", seed,
               "-o", f"./{name}.jsonl")  # fmt: skip
        before = name
    # What patterns match, too.
    for other in ("acb.jsonl", "axb.jsonl"):
        (tmp_path / other).touch()
    (tmp_path / "m.mk").write_text(invoke(tmp_path, "lineage", "goal.jsonl", "--make").stdout)
    content = {name: (tmp_path / f"{name}.jsonl").read_bytes() for name in names}
    for name in names:
        (tmp_path / f"{name}.jsonl").unlink()
    shell("make -f m.mk", tmp_path)
    assert content == {name: (tmp_path / f"{name}.jsonl").read_bytes() for name in names}


@pytest.mark.parametrize("name", ["a;touch x;b", "a|b", "a\nall: ; touch x\nb", "a\rb"])
def test_names_that_make_cannot_spell_are_comments(name: str) -> None:
    seed = {"command": "split", "settings": {"folds": 2}}
    first = Ancestor("1", f"{name}.jsonl", MISSING)
    then = Ancestor("2", "goal.jsonl", "manifest", record=seed, parents=(Parent("manifest", "1"),))
    text = makefiles.makefile([first, then], ["goal.jsonl", f"{name}.jsonl"])
    assert [line for line in text.split("\n") if ":" in line and line[0] not in "#S.E"] == [
        "all: goal.jsonl"
    ]
    assert "goal.jsonl: not to be made again" in text and "\r" not in text


def test_a_comparison_is_made_of_reports_predictions_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which it records by their bytes, under the names of its rows."""
    monkeypatch.chdir(tmp_path)
    predictions(tmp_path / "p.jsonl", (1,))
    predictions(tmp_path / "q.jsonl", (2,))
    (tmp_path / "t.csv").write_text("id,prediction,emotion\nu0,anger,anger\nu1,anger,neutral\n")
    invoke(tmp_path, "eval-class", "q.jsonl", "-o", "q.json")
    given = ("p.jsonl", "x=q.json", "t.csv", "again=p.jsonl")
    invoke(tmp_path, "compare", *given, "-o", "all.json")
    found = ancestry([Path("all.json")])
    assert sorted(_paths(found)) == ["all.json", "p.jsonl", "q.json", "q.jsonl", "t.csv"]
    kinds = {each.path: each.kind for each in found}
    assert kinds["q.json"] == kinds["all.json"] == REPORT and kinds["t.csv"] == FOREIGN
    assert kinds["p.jsonl"] == "manifest"
    by_key = {each.key: each for each in found}
    assert command_lines.arguments(found[-1], by_key) == ["compare", *given]
    remade(tmp_path, "all.json", "q.json", "all.json")
    predictions(tmp_path / "p.jsonl", (3,))
    assert {each.path for each in ancestry([Path("all.json")]) if each.kind == MISSING} == {
        "p.jsonl"
    }
