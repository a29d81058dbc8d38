"""Headers of checkpoints as dataclasses: JSON in, the same JSON out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from avaffect.core import headers
from avaffect.core.errors import DataError
from avaffect.core.headers import CheckpointHeader, EncoderHeader, Input
from avaffect.training import checkpoint

MODEL = {"name": "hubert", "configuration": {"final_dim": 8}}
ENCODER = {
    "model": MODEL,
    "preprocessing": {"streams": ["waveform"], "rate_hz": 50.0, "sample_rate": 16000},
    "provenance": {"command": "adapt", "inputs": [{"role": "media", "content_id": "x"}]},
    "metrics": {"last": {"masked": 1.5}},
    "labelled_speakers": ["a", "b"],
    "labels": {"emotion": ["anger", "neutral"]},
    "prediction": {"units": 4, "rows": 8},
    "published": {"kind": "hubert", "names": "fairseq"},
    "pretext": {"probability": 0.8},
    "later": [1, 2],
}
TENSORS = {"weight": torch.zeros(2)}


def test_an_encoder_header_is_written_as_it_was_read() -> None:
    header = EncoderHeader.from_dict(ENCODER)
    assert header.to_dict() == ENCODER
    assert header.preprocessing.streams == ("waveform",)
    assert header.labels == {"emotion": ("anger", "neutral")}
    assert header.rest == {"later": [1, 2]}
    assert header.parents("media") == [{"role": "media", "content_id": "x"}]


def test_what_is_not_known_is_not_written() -> None:
    written = EncoderHeader(model=MODEL, preprocessing=Input(rate_hz=10.0)).to_dict()
    assert written == {
        "model": MODEL, "preprocessing": {"rate_hz": 10.0}, "provenance": {}, "metrics": {},
        "labelled_speakers": [],
    }  # fmt: skip


def test_a_file_keeps_its_header(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    identity = checkpoint.write(path, EncoderHeader.from_dict(ENCODER), TENSORS)
    header = headers.read(path, EncoderHeader)
    assert header.content_id == identity and header.version == "1.1"
    assert header.to_dict() == ENCODER
    assert checkpoint.read(path, EncoderHeader)[0] == header
    assert headers.read(path, CheckpointHeader).labelled_speakers == ("a", "b")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", None),
        ("model", "hubert"),
        ("labelled_speakers", "a"),
        ("labelled_speakers", [1]),
        ("preprocessing", {"rate_hz": "fast"}),
        ("prediction", {"units": 4}),
    ],
)
def test_a_damaged_header_is_named(tmp_path: Path, key: str, value: object) -> None:
    facts = {k: v for k, v in {**ENCODER, key: value}.items() if v is not None}
    path = tmp_path / "encoder.safetensors"
    checkpoint.save(path, "encoder", TENSORS, **facts)
    with pytest.raises(DataError, match=f"encoder.safetensors is damaged.*{key}"):
        headers.read(path, EncoderHeader)


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "projector.safetensors"
    checkpoint.save(path, "projector", TENSORS, model=MODEL)
    with pytest.raises(DataError):
        headers.read(path, EncoderHeader)


def test_speakers_of_several_models_stand_once() -> None:
    one, other = (
        EncoderHeader(model=MODEL, labelled_speakers=known) for known in (("b", "a"), ("b",))
    )
    assert headers.labelled_speakers(one, None, other) == ("a", "b")
    assert json.loads(json.dumps(one.to_dict()))["labelled_speakers"] == ["b", "a"]
