"""Headers of checkpoints as dataclasses: JSON in, the same JSON out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from avaffect.core import checkpoint_header, headers
from avaffect.core.errors import DataError
from avaffect.core.headers import (
    CheckpointHeader,
    ClassifierHeader,
    Clustered,
    EncoderHeader,
    Input,
    ProjectorHeader,
    QuantiserHeader,
    TraceOutputs,
)
from avaffect.training import checkpoint

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"
ALL = (EncoderHeader, ClassifierHeader, ProjectorHeader, QuantiserHeader)
KINDS = {
    kind.kind: kind for kind in (EncoderHeader, ClassifierHeader, ProjectorHeader, QuantiserHeader)
}
OF_THE_FILE = {"format", "kind", "version", "content_id", "header_digest"}
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
CLASSIFIER = {
    "model": {"name": "head", "configuration": {}},
    "encoder": MODEL,
    "mode": "frozen",
    "classes": None,
    "preprocessing": {"streams": ["features"], "rate_hz": 10, "features": {"front_end": "mfcc"}},
    "runs": [
        {"run": 0, "seed": 3, "fold": None, "metrics": {"development": {"ua": 0.5}}},
        {"run": 0, "seed": 3, "fold": 1, "metrics": {}, "later": True},
    ],
    "provenance": {},
    "metrics": {},
    "labelled_speakers": [],
    "seen": {
        "utterances": ["u"], "speakers": [""], "lineage": ["z"],
        "parts": [{"runs": [0], "training": "80", "development": "00"}],
    },
    "labels": {"emotion": ["anger", "neutral"]},
    "traces": {
        "names": ["arousal"], "rate_hz": 25.0, "delay_s": 0.0, "losses": {"arousal": {"ccc": 1.0}},
    },
}  # fmt: skip
TENSORS = {"weight": torch.zeros(2)}


def test_an_encoder_header_is_written_as_it_was_read() -> None:
    header = EncoderHeader.from_dict(ENCODER)
    assert header.to_dict() == ENCODER
    assert header.preprocessing.streams == ("waveform",)
    assert header.labels == {"emotion": ("anger", "neutral")}
    assert header.rest == {"later": [1, 2]}
    assert header.parents("media") == [{"role": "media", "content_id": "x"}]


def test_a_classifier_header_is_written_as_it_was_read() -> None:
    header = ClassifierHeader.from_dict(CLASSIFIER)
    assert header.to_dict() == CLASSIFIER
    assert header.runs[1].rest == {"later": True}
    assert header.of_folds and header.run_count == 1
    assert header.traces == TraceOutputs(
        names=("arousal",), rate_hz=25.0, losses={"arousal": {"ccc": 1.0}}
    )


@pytest.mark.parametrize("path", sorted(WRITTEN.glob("*.safetensors")), ids=lambda p: p.stem)
def test_headers_of_version_0_1_are_read_whole(path: Path) -> None:
    """Nothing of them is lost or left to the unknown keys, but what the file says of itself."""
    raw = checkpoint_header.read_header(path)
    header = headers.read(path, KINDS[raw["kind"]])
    own = {k: v for k, v in raw.items() if k not in OF_THE_FILE}
    # Empty where there is nothing to say, and always there by now.
    assert header.to_dict() == {"metrics": {}, "labelled_speakers": [], **own}
    assert header.rest.keys() <= OF_THE_FILE


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (Clustered(front_end="mfcc", rate_hz=100.0), {"front_end": "mfcc", "rate_hz": 100.0}),
        (Clustered(rate_hz=50.0), {"layer": None, "rate_hz": 50.0}),
        (Clustered(layer=9, rate_hz=50.0), {"layer": 9, "rate_hz": 50.0}),
    ],
)
def test_what_was_clustered(source: Clustered, written: dict) -> None:
    """The keys are part of a quantiser's content id."""
    assert source.to_dict() == written and Clustered.from_dict(written) == source


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


def test_a_header_of_several_kinds_is_of_the_class_of_its_kind() -> None:
    """And a kind that was not asked for is refused."""
    paths = sorted(WRITTEN.glob("*.safetensors"))
    found = {headers.read_any(path, *ALL).kind for path in paths}
    assert {"encoder", "classifier"} <= found
    for path in paths:
        header = headers.read_any(path, *ALL)
        assert type(header) is KINDS[header.kind]
        others = [kind for kind in ALL if kind is not type(header)]
        with pytest.raises(DataError):
            headers.read_any(path, *others)


def test_speakers_of_several_models_stand_once() -> None:
    one, other = (
        EncoderHeader(model=MODEL, labelled_speakers=known) for known in (("b", "a"), ("b",))
    )
    assert headers.labelled_speakers(one, None, other) == ("a", "b")
    assert json.loads(json.dumps(one.to_dict()))["labelled_speakers"] == ["b", "a"]
