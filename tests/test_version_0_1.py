"""Files that version 0.1 wrote (tests/fixtures/make_v0_1.py) are read, and gone on from."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import invoke

from avaffect.cli import catalogue
from avaffect.core import checkpoint_header
from avaffect.data import artifacts, manifest
from avaffect.data.store.reader import Store

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"
FILES = sorted(path.name for path in WRITTEN.iterdir() if path.name != "report.json")
CONTENT_IDS = {
    "labelled.h5": "sha256:42fb7143866b2c5b8a2d7334479344323cef05f10320f1aefa856b00155d1988",
    "pool.h5": "sha256:9dee15c7a22b3882f067298b943d013bf8af219030bdf8e5aa0ea2b2edca97e3",
    "labelled-units.h5": "sha256:ea29d876fb9228ff6b49a533b9b3722d3cdc144a005587f761385e5942d2f474",
    "queries.h5": "sha256:cba38c72dad07a9d75d01609d2c0bea7bd6d91aba82c3f5435a7edb13f7dce0d",
    "embeddings.h5": "sha256:714a57f5c46dd18fe414676d53e162c1623eb3fc481d3f80af8e5ddf09498da7",
}
STEP = ("--steps", 1)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WRITTEN, tmp_path / "v0.1"))


def id_of(path: Path) -> str:
    return artifacts.describe(path).content_id


def model_of(path: Path) -> str:
    return checkpoint_header.read_header(path)["model"]["name"]


def run_metrics(folder: Path, predictions: str) -> dict[str, object]:
    return json.loads(invoke(folder, "eval-class", predictions, "--json").stdout)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_whole_and_described(name: str, files: Path) -> None:
    """`check` computes the content id anew from all bytes, whoever wrote them."""
    assert invoke(files, "check", "--parents", name).stdout == f"{name}: ok\n"
    said = invoke(files, "info", name).stdout
    assert f"content id  {id_of(files / name)}" in said


@pytest.mark.parametrize("name", FILES)
def test_options_that_came_later_do_not_outdate(name: str) -> None:
    """Every setting that is recorded at its default was recorded by version 0.1 as well."""
    made = artifacts.describe(WRITTEN / name).provenance
    settings = catalogue.imported(catalogue.find(made["command"]).settings)
    metadata = {item.name: item.metadata for item in dataclasses.fields(settings)}
    recorded = {n for n, m in metadata.items() if m["role"] == "setting" and not m["added"]}
    assert recorded == set(made["settings"])


@pytest.mark.parametrize("name", CONTENT_IDS)
def test_content_ids_are_what_they_were(name: str) -> None:
    assert Store(WRITTEN / name).content_id == CONTENT_IDS[name]


def test_units_and_embeddings_are_computed_as_before(files: Path) -> None:
    invoke(files, "extract", "labelled.h5", "--model", "kmeans.safetensors", "-o", "u.h5")
    assert id_of(files / "u.h5") == CONTENT_IDS["labelled-units.h5"]
    invoke(files, "extract", "labelled.h5", "--model", "projector.safetensors", "-o", "q.h5")
    before, now = Store(files / "queries.h5"), Store(files / "q.h5")
    assert now.ids == before.ids
    np.testing.assert_allclose(
        now.pooled_vectors("embedding"), before.pooled_vectors("embedding"), atol=1e-5
    )


def test_a_retrieval_draws_what_it_drew(files: Path) -> None:
    invoke(files, "retrieve", "--query", "queries.h5", "--pool", "embeddings.h5", "-T", 0.1,
           "--draws", 2, "-o", "again.jsonl")  # fmt: skip
    before, now = (manifest.read(files / f"{name}.jsonl") for name in ("retrieved", "again"))
    assert now.items == before.items


def test_the_chain_goes_on(files: Path) -> None:
    """retrieve | adapt, finetune, predict, eval-class, all from what 0.1 wrote."""
    (files / "adapted.safetensors").unlink()
    drawn = invoke(files, "retrieve", "--query", "queries.h5", "--pool", "embeddings.h5", "-T", 0.1)
    invoke(files, "adapt", *STEP, stdin=drawn.stdout)
    assert model_of(files / "adapted.safetensors") == "avhubert"
    invoke(files, "finetune", "labelled.h5", "--encoder", "adapted.safetensors", *STEP,
           "-o", "new.safetensors")  # fmt: skip
    invoke(files, "predict", "labelled.h5", "--model", "new.safetensors", "--split", "test",
           "-o", "new.jsonl")  # fmt: skip
    assert run_metrics(files, "new.jsonl")["count"] == 3


@pytest.mark.parametrize("encoder", ["avhubert", "hubert"])
def test_an_encoder_is_adapted(encoder: str, files: Path) -> None:
    invoke(files, "adapt", "retrieved.jsonl", "--encoder", f"{encoder}.safetensors", *STEP,
           "-o", "new.safetensors")  # fmt: skip
    assert model_of(files / "new.safetensors") == encoder


SIZES = ("--hidden", 8, "--layers", 1, "--steps", 1)
MADE = {
    "recurrent": ("features.h5", "--head", "gru"),
    "traces": ("labelled.h5", "--encoder", "apc.safetensors", "--mode", "frozen", "--head", "bgru",
               "--label", "arousal", "--label", "valence", "--loss", "arousal:ccc=1,mse=0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_a_classifier_is_up_to_date(name: str, files: Path) -> None:
    """Options that came later are not recorded at their defaults."""
    before = (files / f"{name}.safetensors").read_bytes()
    finetune = ("finetune", *MADE[name], *SIZES, "-o", f"{name}.safetensors")
    assert "up to date" in invoke(files, *finetune).stderr
    assert (files / f"{name}.safetensors").read_bytes() == before
    invoke(files, *finetune, "--dropout", 0.1, status=73)


def test_a_classifier_predicts_what_it_predicted(files: Path) -> None:
    invoke(files, "predict", "labelled.h5", "--model", "classifier.safetensors", "--split", "test",
           "-o", "again.jsonl")  # fmt: skip
    before, now = (manifest.read(files / f"{name}.jsonl") for name in ("predictions", "again"))
    assert len(now.items) == 6
    for old, new in zip(before.items, now.items):
        assert {**new, "scores": None} == {**old, "scores": None}
        assert new["scores"] == pytest.approx(old["scores"], abs=1e-4)
    old_report = json.loads((files / "report.json").read_text())
    assert run_metrics(files, "again.jsonl")["runs"] == old_report["runs"]


def test_traces_are_predicted_as_before(files: Path) -> None:
    invoke(files, "predict", "labelled.h5", "--model", "traces.safetensors", "--split", "test",
           "-o", "again.h5")  # fmt: skip
    before, now = Store(files / "predicted-traces.h5"), Store(files / "again.h5")
    assert sorted(now.labels) == sorted(before.labels) == ["arousal", "valence"]
    for name in now.labels:
        for row in range(3):
            old, new = before.trace(name, row), now.trace(name, row)
            np.testing.assert_allclose(new, old, atol=1e-4)


def test_a_recurrent_head_on_features_predicts(files: Path) -> None:
    invoke(files, "predict", "features.h5", "--model", "recurrent.safetensors", "--split", "test",
           "-o", "new.jsonl")  # fmt: skip
    assert run_metrics(files, "new.jsonl")["count"] == 3


WITHOUT = (
    part for worker in ("waveform", "lps", "fbank", "prosody") for part in ("--without", worker)
)
PRETRAININGS: dict[str, tuple[object, ...]] = {
    "avhubert": ("pretrain-hubert", "--units", "pool-units.h5"),
    "hubert": ("pretrain-hubert", "--units", "pool-units.h5"),
    "pase": ("pretrain-pase", *WITHOUT),
    **{name: (f"pretrain-{name}",) for name in ("apc", "cpc", "odd", "lira", "byol", "dino", "l1")},
}


@pytest.mark.parametrize("name", PRETRAININGS)
def test_pre_training_is_continued_and_fine_tuned(name: str, files: Path) -> None:
    """From --init, with the head that was written, but for teachers; then under a classifier."""
    command, *options = PRETRAININGS[name]
    found = invoke(files, command, "pool.h5", "--init", f"{name}.safetensors", *options, *STEP,
                   "-o", "new.safetensors")  # fmt: skip
    taught = name in ("byol", "dino")
    assert ("new heads: " in found.stderr, "objective continued" in found.stderr) == (
        taught, not taught,
    )  # fmt: skip
    assert model_of(files / "new.safetensors") == model_of(files / f"{name}.safetensors")
    assert id_of(files / "new.safetensors") != id_of(files / f"{name}.safetensors")
    invoke(files, "finetune", "labelled.h5", "--encoder", f"{name}.safetensors", *STEP,
           "--mode", "frozen", "-o", "frozen.safetensors")  # fmt: skip
