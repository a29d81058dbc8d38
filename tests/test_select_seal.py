"""`select` and `seal`: subsets, and streams that went through jq, grep, head and worse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from chain import invoke

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT
from avaffect.data import manifest
from avaffect.data.filtering import Condition
from avaffect.recipes.select import select
from avaffect.settings.select import SelectSettings

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")

LABELS = {"emotion": {"kind": "class", "classes": ["anger", "happiness"]}}
ITEMS = [
    {"id": "u1", "media": "u1.wav", "speaker": "s1", "split": "train", "age": 31, "fold": 0,
     "labels": {"emotion": "anger", "recognised": 95.0}},
    {"id": "u2", "media": "u2.wav", "speaker": "s1", "split": "train", "fold": 1,
     "labels": {"emotion": "happiness", "recognised": 80.0}},
    {"id": "u3", "media": "u3.wav", "speaker": "s2", "split": "test", "fold": 2,
     "labels": {"emotion": "anger"}},
    {"id": "u4", "media": "u4.wav", "speaker": "s3", "split": "test", "fold": 2, "labels": {}},
]  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    header = manifest.new_header("corpus", base=".", labels=LABELS, provenance={"command": "x"})
    path = tmp_path / "corpus.jsonl"
    manifest.write(path, header, ITEMS)
    for item in ITEMS:
        (tmp_path / item["media"]).write_bytes(b"x")
    return path


def kept(source: Path, **options) -> list[str]:
    output = source.with_name("selected.jsonl")
    output.unlink(missing_ok=True)
    select(SelectSettings(source=source, output=output, **options), SILENT)
    return [item.get("id", item.get("query")) for item in manifest.read(output).items]


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ((), ["u1", "u2", "u3", "u4"]),
        (("emotion=anger,happiness",), ["u1", "u2", "u3"]),
        (("emotion=anger", "split=train"), ["u1"]),
        (("speaker!=s1",), ["u3", "u4"]),
        (("speaker!=s1,s2",), ["u4"]),
        (("emotion=",), ["u4"]),
        (("emotion!=",), ["u1", "u2", "u3"]),
        (("emotion!=anger",), ["u2", "u4"]),
        (("recognised>=80",), ["u1", "u2"]),
        (("recognised>80",), ["u1"]),
        (("recognised<=80",), ["u2"]),
        (("recognised<80",), []),
        (("recognised=95",), ["u1"]),
        (("age=31",), ["u1"]),
        (("fold = 2",), ["u3", "u4"]),
        (("id=u4,u1",), ["u1", "u4"]),
        (("emotion=sadness",), []),
    ],
)
def test_where(corpus, conditions, ids):
    assert kept(corpus, where=conditions) == ids


def test_limit_sample_and_ids(corpus, tmp_path):
    assert kept(corpus, limit=2) == ["u1", "u2"]
    assert kept(corpus, limit=0) == []
    assert kept(corpus, where=("emotion=anger",), limit=9) == ["u1", "u3"]
    drawn = {tuple(kept(corpus, sample=2, seed=seed)) for seed in range(30)}
    assert len(drawn) == 6 and all(list(ids) == sorted(ids) for ids in drawn)
    assert kept(corpus, sample=2, seed=4) == kept(corpus, sample=2, seed=4)
    assert kept(corpus, sample=9) == ["u1", "u2", "u3", "u4"]
    listed = tmp_path / "ids.txt"
    listed.write_text("u3\n\n u1 \nunknown\n")
    assert kept(corpus, ids=listed) == ["u1", "u3"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"where": ("emotion",)}, UsageError, "expected a field"),
        ({"where": ("=anger",)}, UsageError, "expected a field"),
        ({"where": ("recognised>high",)}, UsageError, "needs a number"),
        ({"where": ("emotoin=anger",)}, DataError, "no item has 'emotoin' .they have: age"),
        ({"limit": 1, "sample": 1}, UsageError, "exclude each other"),
        ({"sample": -1}, UsageError, "--sample -1: at least 0"),
        ({"ids": Path("nowhere.txt")}, DataError, "nowhere.txt"),
    ],
)
def test_what_select_refuses(corpus, options, error, said):
    with pytest.raises(error, match=said):
        kept(corpus, **options)


def test_select_reads_retrieval_and_predictions(tmp_path):
    retrieval = tmp_path / "r.jsonl"
    stores = {"query": [{"path": "msp.h5", "content_id": "sha256:00"}]}
    manifest.write(
        retrieval,
        manifest.new_header("retrieval", base="elsewhere", stores=stores),
        [{"query": "q1", "label": "anger", "pool": ["p1", "p2"], "similarity": [0.9, 0.1]},
         {"query": "q2", "label": "neutral", "pool": ["p3", "p1"], "similarity": [0.2, 0.3]}],
    )  # fmt: skip
    assert kept(retrieval, where=("label=anger",)) == ["q1"]
    assert kept(retrieval, where=("pool=p1",)) == ["q1", "q2"]
    assert kept(retrieval, where=("pool!=p2",)) == ["q2"]
    assert kept(retrieval, where=("similarity>0.5",)) == ["q1"]
    listed = tmp_path / "ids.txt"
    listed.write_text("q2")
    assert kept(retrieval, ids=listed) == ["q2"]
    found = manifest.read(tmp_path / "selected.jsonl")
    assert (
        found.header.to_dict()["stores"] == stores and found.header.to_dict()["base"] == "elsewhere"
    )

    predictions = tmp_path / "p.jsonl"
    manifest.write(
        predictions,
        manifest.new_header("predictions", target="emotion"),
        [{"id": "u1", "gold": "anger", "prediction": "anger", "run": 0},
         {"id": "u1", "gold": "anger", "prediction": "fear", "run": 1}],
    )  # fmt: skip
    assert kept(predictions, where=("run=1", "prediction!=anger")) == ["u1"]


def test_conditions_hold_line_breaks_and_equal_signs():
    condition = Condition.parse("text=a=b")
    assert condition.holds({"text": "a=b"}) and not condition.holds({"text": "a"})
    assert Condition.parse("text!=x\ny").holds({"text": "x"})
    assert Condition.parse("flag=true").holds({"flag": True})


def test_values_are_equal_however_they_are_spelled():
    assert Condition.parse("age=31.0,40").holds({"age": 31})
    assert not Condition.parse("age!=31.50").holds({"age": 31.5})
    assert Condition.parse("speaker=\u00c4nne").holds({"speaker": "A\u0308nne"})
    # Texts are not numbers by =: 01 and 1 may be two speakers.
    assert not Condition.parse("speaker=1").holds({"speaker": "01"})
    # Fields of tables are texts.
    assert Condition.parse("age>=30").holds({"age": "31"})
    assert not Condition.parse("age>=30").holds({"age": "9"})


def test_values_that_no_item_has_are_named(corpus):
    def said(*where: str) -> str:
        given = [text for condition in where for text in ("--where", condition)]
        return invoke(corpus.parent, "select", corpus, *given, "-f", "-o", "s.jsonl").stderr

    assert "'angr'; did you mean anger?" in said("emotion!=angr,happiness")
    assert "u1, u2" in said("id>3")
    assert "warning" not in said("emotion!=", "age>=2")


def sealed(result) -> list[dict]:
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert records[0]["kind"] == "header" and records[-1]["kind"] == "end"
    assert records[-1]["count"] == len(records) - 2
    return records


@needs_jq
def test_jq_keeps_header_and_end(corpus, shell):
    line = (
        'jq -c \'select(.kind != "item" or .labels.emotion == "anger")\' corpus.jsonl '
        "| avaffect seal | avaffect select --limit 9"
    )
    records = sealed(shell(line, corpus.parent))
    assert [item["id"] for item in records[1:-1]] == ["u1", "u3"]
    assert records[0]["filtered"] == ["whole"]
    made = records[0]["provenance"]["inputs"][0]["provenance"]
    assert made["command"] == "seal" and made["inputs"][0]["provenance"] == {"command": "x"}
    # Without seal the stale count is noticed.
    shell(line.replace("| avaffect seal", ""), corpus.parent, status=65)
    found = shell(line.replace("jq -c", "jq"), corpus.parent, status=65)
    assert "jq -c" in found.stderr


@pytest.mark.parametrize("filter_", ["grep -v u2", "sort -r", "shuf --random-source=corpus.jsonl"])
def test_filters_that_keep_or_move_header_and_end(corpus, shell, filter_):
    records = sealed(shell(f"{filter_} corpus.jsonl | avaffect seal", corpus.parent))
    ids = {item["id"] for item in records[1:-1]}
    assert ids == ({"u1", "u3", "u4"} if "grep" in filter_ else {"u1", "u2", "u3", "u4"})


def test_grep_and_head_drop_the_end(corpus, shell):
    grep = "grep anger corpus.jsonl | avaffect seal"
    found = shell(grep, corpus.parent, status=65)
    # The header names the class too, and so passes.
    assert "no end record after 2 items" in found.stderr and "--allow-cut" in found.stderr
    assert found.stdout == ""
    assert sealed(shell(f"{grep} --allow-cut", corpus.parent))[0]["filtered"] == ["cut"]
    head = sealed(shell("head -3 corpus.jsonl | avaffect seal --allow-cut", corpus.parent))
    assert [item["id"] for item in head[1:-1]] == ["u1", "u2"]

    items = "grep '\"item\"' corpus.jsonl | avaffect seal --allow-cut"
    found = shell(items, corpus.parent, status=65)
    assert "has no header" in found.stderr and "--like" in found.stderr
    assert len(sealed(shell(f"{items} --like corpus.jsonl", corpus.parent))) == 6


def test_a_filter_that_lets_nothing_through(corpus, shell):
    nothing = "(grep nonsense corpus.jsonl || true) | avaffect seal"
    assert "is empty" in shell(nothing, corpus.parent, status=65).stderr
    shell(f"{nothing} --allow-cut", corpus.parent, status=65)
    found = shell(f"{nothing} --allow-cut --like corpus.jsonl", corpus.parent)
    assert len(sealed(found)) == 2 and "an empty manifest" in found.stderr


def test_a_line_cut_in_the_middle(corpus, shell):
    within_third = corpus.read_bytes().index(b'"u3"') + 5
    cut = f"head -c {within_third} corpus.jsonl | avaffect seal"
    assert "cut short" in shell(cut, corpus.parent, status=65).stderr
    found = sealed(shell(f"{cut} --allow-cut", corpus.parent))
    assert [item["id"] for item in found[1:-1]] == ["u1", "u2"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cat corpus.jsonl corpus.jsonl", "a second header record"),
        ("(cat corpus.jsonl; tail -1 corpus.jsonl)", "a second end record"),
        ("(head -2 corpus.jsonl; tail -n +2 corpus.jsonl)", "the id u1 occurs twice"),
        ("(cat corpus.jsonl; echo nonsense)", "line 7: not JSON"),
        ('(cat corpus.jsonl; echo \'{"kind":"verse"}\')', "unknown kind of record 'verse'"),
        ('sed \'s/"1.1"/"2.0"/\' corpus.jsonl', "version 2.0"),
    ],
)
def test_what_seal_refuses(corpus, shell, line, said):
    found = shell(f"{line} | avaffect seal -o out.jsonl", corpus.parent, status=65)
    assert said in found.stderr
    assert not (corpus.parent / "out.jsonl").exists()


def test_base_of_a_file_that_was_filtered_elsewhere(corpus, shell, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    line = "grep -v u2 ../corpus.jsonl | avaffect seal -o out.jsonl"
    assert "give that file with --like" in shell(line, away).stderr
    (away / "out.jsonl").unlink()
    assert "--like" not in shell(f"{line} --like ../corpus.jsonl", away).stderr
    found = manifest.read(away / "out.jsonl")
    assert all((found.folder / item["media"]).is_file() for item in found.items)
    shell(f"{line} --like nowhere.jsonl", away, status=65)


def test_sealed_is_not_mistaken_for_the_original(corpus, shell):
    line = "grep -v u2 corpus.jsonl | avaffect seal -o out.jsonl"
    shell(line, corpus.parent)
    before = (corpus.parent / "out.jsonl").read_bytes()
    assert "up to date" in shell(line, corpus.parent).stderr
    shell("avaffect seal corpus.jsonl -o out.jsonl", corpus.parent, status=73)
    shell("grep -v u2 corpus.jsonl | avaffect seal -n -o dry.jsonl", corpus.parent)
    assert (corpus.parent / "out.jsonl").read_bytes() == before
    assert not (corpus.parent / "dry.jsonl").exists()
