"""Features of two stores, or of a store and an encoder, under one head; heads of other packages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import paired_stores
import pytest
import torch
import two_stores
from chain import invoke
from two_stores import TWO, features, report, store, trained

from avaffect.core.errors import DataError, UsageError
from avaffect.data import manifest
from avaffect.data.dataset import column_of, dataset_of
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Frames
from avaffect.models.heads.base import (
    HeadInput,
    joined,
    means,
)
from avaffect.models.heads.linear import LinearHead, LinearHeadConfiguration
from avaffect.settings.feature_stores import parse_features
from avaffect.training import checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    two_stores.write(tmp_path)
    return tmp_path


def test_streams_of_other_rates_and_widths_are_joined() -> None:
    inputs = (HeadInput("slow", 1, 1.0), HeadInput("fast", 2, 3.0))
    frames = {
        "slow": Frames(torch.tensor([[[1.0], [2.0]], [[5.0], [0.0]]]), torch.tensor([2, 1])),
        "fast": Frames(torch.arange(20.0).view(2, 5, 2), torch.tensor([5, 0])),
    }
    missing = torch.tensor([-1.0, -2.0, -3.0])
    found = joined(frames, inputs, None, missing)
    assert found.lengths.tolist() == [6, 3]
    # Each slow frame stands for three; what an utterance lacks is what is missing.
    assert found.values[0, :, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert found.values[0, :, 1].tolist() == [0, 2, 4, 6, 8, -2]
    assert found.values[1, :3].tolist() == [[5, -2, -3]] * 3
    assert means(frames, inputs, None, missing).tolist() == [[1.5, 4, 5], [5, -2, -3]]
    present = {"slow": torch.tensor([False, True]), "fast": torch.tensor([True, True])}
    assert means(frames, inputs, present, missing)[0].tolist() == [-1, 4, 5]
    # What is missing is 0 once it is standardised.
    head = LinearHead(LinearHeadConfiguration(inputs, 3, standardise=True))
    head.standardisation.set(torch.tensor([1.0, 2, 3]), torch.ones(3))
    with torch.no_grad():
        head.layers[1].weight.copy_(torch.eye(3))
        head.layers[1].bias.zero_()
        assert head(frames).utterance[1].tolist() == [4, 0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_name_their_utterance(tmp_path: Path, value: float) -> None:
    values = [np.zeros((4, 2), "float32") for _ in range(3)]
    values[1][2, 1] = value
    rows = [
        {"identifier": f"u{i}", "meta": {}, "streams": {"features": v}}
        for i, v in enumerate(values)
    ]
    store(tmp_path / "x.h5", features(10.0, 2, "audio"), {}, rows)
    opened = [Store(tmp_path / "x.h5")]
    column = column_of(opened, ["u0", "u1", "u2"], "features")
    data = dataset_of(opened, ["u0", "u1", "u2"], ("features",))
    data.columns = {"features:audio": replace(column, held_as="features")}
    assert data.batch([0, 2]).streams["features:audio"].shape == (2, 4, 2)
    with pytest.raises(DataError, match=r"x\.h5: features of u1"):
        data.batch([0, 1])


def test_both_streams_are_needed_and_named(folder: Path) -> None:
    header = trained(folder, "--label", "emotion")
    assert [read["name"] for read in header["model"]["configuration"]["head"]["configuration"]
            ["inputs"]] == ["slow", "fast"]  # fmt: skip
    assert header["features"] == {"slow": {"front_end": "slow"}, "fast": {"front_end": "fast"}}
    both = report(folder, "eval-class", "p.jsonl")["ua"]
    trained(folder, "--label", "emotion", given=("--features", "slow=slow.h5"))
    assert both > report(folder, "eval-class", "p.jsonl")["ua"] + 0.1
    # What finetune read, under the names that it had there.
    trained(folder, "--label", "emotion")
    for given in ((), ("--features", "slow=slow.h5"),
                  ("--features", "slow=fast.h5", "--features", "fast=slow.h5")):  # fmt: skip
        invoke(folder, "predict", "slow.h5", *given, "--model", "c.safetensors", status=65)


def test_features_of_other_utterances_are_refused(folder: Path) -> None:
    rows = [{"identifier": f"x{n}", "streams": {"features": np.ones((3, 4), "float32")}, "meta": {}}
            for n in range(3)]  # fmt: skip
    store(folder / "other.h5", features(25.0, 4, "fast"), {}, rows)
    finetune = ("finetune", "slow.h5", "--steps", 1, "-f", "-o", "c.safetensors", *TWO[:2])
    found = invoke(folder, *finetune, "--features", "fast=other.h5", status=65)
    assert "other.h5" in found.stderr and not (folder / "c.safetensors").exists()
    # What lacks some utterances is said to.
    assert "fast.h5 (--features fast) lacks" in invoke(folder, *finetune, *TWO[2:]).stderr
    predict = ("predict", "slow.h5", "--model", "c.safetensors", *TWO[:2])
    found = invoke(folder, *predict, "--features", "fast=other.h5", status=65)
    assert "other.h5" in found.stderr and not found.stdout


def test_an_encoder_and_features_feed_one_head(chain: Path) -> None:
    ids = Store(chain / "a.h5").ids
    random = np.random.default_rng(0)
    rows = [{"identifier": i, "meta": {},
             "streams": {"features": random.normal(size=(9, 3)).astype("float32")}}
            for i in ids]  # fmt: skip
    store(chain / "extra.h5", features(7.0, 3, "noise"), {}, rows)
    extra = ("--features", "extra=extra.h5")
    for mode, head in (("frozen", "linear"), ("fine-tuned", "bgru")):
        sizes = ("--hidden", 4, "--layers", 1) if head == "bgru" else ()
        invoke(chain, "finetune", "a.h5", "--encoder", "fav.safetensors", *extra, "--mode", mode,
               "--head", head, *sizes, "--steps", 2, "-f", "-o", "c.safetensors")  # fmt: skip
        header, tensors = checkpoint.load(chain / "c.safetensors")
        assert list(header["inputs"]) == ["encoder", "extra"]
        assert any(n.startswith("runs.0.encoder.") for n in tensors) == (mode == "fine-tuned")
        invoke(chain, "predict", "a.h5", *extra, "--model", "c.safetensors", "-f", "-o", "p.jsonl")
        assert len(manifest.read(chain / "p.jsonl").items) == len(ids)
    # An encoder of sound is no stream of faces beside features called audio.
    for name, status in (("audio", 2), ("video", 0)):
        found = invoke(chain, "finetune", "a.h5", "--encoder", "fav.safetensors", "--features",
                       f"{name}=extra.h5", "--mode", "frozen", *paired_stores.SMALL, "--steps", 1,
                       "-f", "-o", "two.safetensors", status=status)  # fmt: skip
        assert (chain / "two.safetensors").exists() == (status == 0)
    assert "audio 0, video 0, av" in found.stderr


@pytest.mark.parametrize("text", ["x.h5", "=x.h5", "a=", "a b=x.h5", "encoder=x.h5"])
def test_features_are_named(text: str) -> None:
    with pytest.raises(UsageError):
        parse_features([text])
    with pytest.raises(UsageError):
        parse_features(["a=x.h5", "a=y.h5"])
