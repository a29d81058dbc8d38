"""`--classes` means the same to every command, from names in the data to the confusion matrix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import invoke

from avaffect.core.errors import UsageError
from avaffect.data import manifest
from avaffect.settings.class_map import ClassMap
from avaffect.training import checkpoint

SPELLED = "sadness, aroused = anger+happiness"
ENCODER = ("a.h5", "--encoder", "fav.safetensors")
COMMANDS = {
    "train-projector": (*ENCODER, "--epochs", 1, "-o", "projector2.safetensors"),
    "finetune": (*ENCODER, "--mode", "frozen", "--steps", 2, "-o", "er.safetensors"),
    "retrieve": ("--query", "msp.h5", "--pool", "vox.h5", "--draws", 2, "-o", "r.jsonl"),
    "eval-class": ("p.jsonl",),
}
WRONG = (
    "",
    "anger,",
    "=anger",
    "calm=",
    "calm=anger+",
    "anger,anger",
    "a=anger,b=anger",
    "a,a=b",
    "a=b=c",
)


def test_names_and_classes() -> None:
    found = ClassMap.parse(SPELLED)
    assert found.names == ("sadness", "aroused")
    assert found.sources == ("sadness", "anger", "happiness")
    names = ("anger", "sadness", "neutral", None, "aroused")
    assert [found.class_of(name) for name in names] == ["aroused", "sadness", None, None, None]
    assert [found.renamed(name) for name in names] == [
        "aroused", "sadness", None, None, "aroused",
    ]  # fmt: skip
    votes = {"anger": 2.0, "happiness": 1.0, "neutral": 4.0}
    assert found.summed(votes) == {"sadness": 0.0, "aroused": 3.0}
    assert found.places(("anger", "happiness", "sadness")) == [[2], [0, 1]]
    # A name that moved to another class is not that class's own any more.
    swapped = ClassMap.parse("a=b,b=a")
    assert [swapped.renamed(name) for name in ("a", "b")] == ["b", "a"]


def test_no_choice_leaves_every_name() -> None:
    found = ClassMap.parse(None)
    assert not found and found.names == ()
    assert [found.class_of(name) for name in ("anger", None)] == ["anger", None]
    assert found.renamed("anger") == "anger" and found.summed({"anger": 1.0}) == {"anger": 1.0}
    assert ClassMap.of(("b", "a")).names == ("b", "a")


@pytest.mark.parametrize("text", WRONG)
def test_other_spellings_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ClassMap.parse(text)
    for command, options in COMMANDS.items():
        # Before any file is read: none is there.
        invoke(tmp_path, command, *options, "--classes", text, status=2)


@pytest.mark.parametrize("command", ["train-projector", "finetune", "retrieve"])
def test_a_class_without_utterances_is_refused(command: str, chain: Path) -> None:
    asked = (*COMMANDS[command], "--classes", "anger,sadness,fear")
    assert "'fear'" in invoke(chain, command, *asked, status=65).stderr


def test_every_command_merges_alike(chain: Path) -> None:
    for command in ("train-projector", "finetune", "retrieve"):
        invoke(chain, command, *COMMANDS[command], "--classes", SPELLED)
    for name in ("projector2", "er"):
        header, _ = checkpoint.load(chain / f"{name}.safetensors")
        assert header["labels"] == {"emotion": ["sadness", "aroused"]}
    drawn = manifest.read(chain / "r.jsonl").items
    emotion = {i["id"]: i["labels"]["emotion"] for i in manifest.read(chain / "a.jsonl").items}
    merged = {"anger": "aroused", "happiness": "aroused", "sadness": "sadness"}
    assert drawn and {i["query"]: i["label"] for i in drawn} == {
        i["query"]: merged[emotion[i["query"]]] for i in drawn
    }
    invoke(chain, "predict", *ENCODER[:1], "--model", "er.safetensors", "-o", "p.jsonl")
    scored = [
        json.loads(invoke(chain, "eval-class", "p.jsonl", *options, "--json").stdout)
        for options in (
            (),
            ("--classes", SPELLED),
            # By the names of the table, which nobody has merged.
            ("--classes", SPELLED, "--gold", "a.jsonl"),
        )
    ]
    assert scored[0]["confusion"]["classes"] == ["sadness", "aroused"]
    assert scored[0]["confusion"] == scored[1]["confusion"] == scored[2]["confusion"]
