"""finetune --head uavm, auxformer, mult and unimodal on sound, faces or both, and predict."""

from __future__ import annotations

import json
from pathlib import Path

import paired_stores
import pytest
from chain import invoke
from paired_stores import TWO

from avaffect.core.errors import UsageError
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint

SMALL = {
    "uavm": ("width=16", "heads=2", "layers=1", "shared_layers=1"),
    "auxformer": ("width=8", "heads=2", "layers=1", "dropout=0", "input_dropout=0"),
    "mult": ("width=8", "heads=2", "layers=1", "dropout=0", "input_dropout=0"),
    "unimodal": ("projection=4", "hidden=8", "units=8", "layers=1", "attention_heads=2", "kernel=3",
                 "dropout=0"),
}  # fmt: skip
# Modalities of which a head has readings of its own.
READ = {"uavm": ("audio", "video"), "auxformer": ("audio", "video", "av"), "mult": ("av",)}
QUICK = ("--steps", 40, "--batch-utterances", 16, "--head-learning-rate", 0.02, "--warmup", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    paired_stores.write(tmp_path)
    return tmp_path


def options(head: str) -> list[object]:
    return ["--head", head, *(part for o in SMALL[head] for part in ("--head-option", o))]


def items(path: Path, target: str = "emotion") -> list[dict]:
    lines = path.read_text(encoding="utf-8").splitlines()[1:-1]
    return [item for item in map(json.loads, lines) if item.get("target", target) == target]


def share_right(found: list[dict]) -> float:
    return sum(item["gold"] == item["prediction"] for item in found) / len(found)


@pytest.mark.parametrize("head", ["uavm", "auxformer", "mult"])
def test_heads_on_two_streams_learn_from_whatever_utterances_have(folder: Path, head: str) -> None:
    invoke(folder, "finetune", "audio.h5", *TWO, *options(head), *QUICK, "--label", "emotion",
           "--label", "arousal", "-o", "c.safetensors")  # fmt: skip
    header, tensors = checkpoint.load(folder / "c.safetensors")
    described = header["model"]["configuration"]["head"]
    assert described["name"] == head
    assert [i["name"] for i in described["configuration"]["inputs"]] == ["audio", "video"]
    assert tensors["runs.0.head.head.standardisation.mean"].abs().max() > 0.1
    losses = {f"{name}_{m}" for name in ("ce_emotion", "ccc_arousal") for m in READ[head]}
    assert losses <= header["runs"][0]["metrics"]["last"].keys()
    assert tensors["runs.0.head.head.trained"].all()
    invoke(folder, "predict", "audio.h5", *TWO, "--model", "c.safetensors", "-o", "p.jsonl")
    found = items(folder / "p.jsonl")
    assert len(found) == paired_stores.COUNT
    for modality in ("audio", "video", "av"):
        own = [item for item in found if item["modality"] == modality]
        assert len(own) == paired_stores.COUNT / 3
        assert share_right(own) > 0.7, modality


@pytest.mark.parametrize("stream", ["audio", "video"])
def test_unimodal_reads_one_stream(folder: Path, stream: str) -> None:
    one = ("--features", f"{stream}={stream}.h5")
    invoke(folder, "finetune", "audio.h5", *one, *options("unimodal"), *QUICK, "-o",
           "c.safetensors")  # fmt: skip
    invoke(folder, "predict", "audio.h5", *one, "--model", "c.safetensors", "-o", "p.jsonl")
    found = items(folder / "p.jsonl")
    # Two thirds have it.
    assert len(found) == paired_stores.COUNT * 2 / 3
    assert share_right(found) > 0.8


def test_unimodal_predicts_over_time_too(folder: Path) -> None:
    one = ("--features", "audio=audio.h5", "--label", "trace", "--steps", 1)
    invoke(folder, "finetune", "audio.h5", *one, *options("unimodal"), "-o", "c.safetensors")
    assert checkpoint.load(folder / "c.safetensors")[0]["traces"]["rate_hz"] == 20.0


def test_what_does_not_fit_is_said(folder: Path) -> None:
    """Before torch, status 2."""
    for head, wrong in (("uavm", "heads=3"), ("mult", "width=7"), ("unimodal", "attention_heads=3"),
                        ("vavl", "kernel=4"), ("vavl", "hidden=9")):  # fmt: skip
        with pytest.raises(UsageError, match=wrong):
            FinetuneSettings(media=(folder / "audio.h5",), head=head, head_option=(wrong,))
    finetune = ("finetune", "audio.h5", "-o", "c.safetensors")
    assert "unimodal" in invoke(folder, *finetune, *TWO, *options("unimodal"), status=2).stderr
    for head in ("uavm", "auxformer", "mult"):
        one = ("--features", "audio=audio.h5", *options(head))
        assert "video=V.h5" in invoke(folder, *finetune, *one, status=2).stderr
        trace = (*TWO, "--label", "trace", *options(head))
        assert "trace" in invoke(folder, *finetune, *trace, status=2).stderr
    assert not (folder / "c.safetensors").exists()
