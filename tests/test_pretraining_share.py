"""Pre-training on a share of the data, or on the utterances of a manifest alone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from chain import invoke

from avaffect.cli.catalogue import COMMANDS
from avaffect.cli.main import group
from avaffect.core.progress import Progress
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.objectives.autoregressive import AutoregressivePrediction
from avaffect.recipes.pretraining import methods, utterances
from avaffect.settings.pretrain_apc import PretrainApcSettings
from avaffect.settings.pretrain_odd import PretrainOddSettings
from avaffect.training import checkpoint

TASK = ("--preset", "nano", "--steps", 3, "--batch-seconds", 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty voices without splits (a) and with (s), and units of them."""
    found = tmp_path_factory.mktemp("share")
    invoke(found, "synth", "wav", "--modality", "audio", "--utterances", 40, "--speakers", 5,
           "--shortest", 0.5, "--longest", 0.8, "-j", 1, "-o", "a.jsonl")  # fmt: skip
    invoke(found, "split", "a.jsonl", "--ratios", 60, 20, 20, "-o", "s.jsonl")
    for name in "as":
        invoke(found, "preprocess", f"{name}.jsonl", "-o", f"{name}.h5", "-j", 1)
    return found


def listed(folder: Path, name: str, ids: list[str]) -> Path:
    """A manifest of some utterances."""
    (folder / f"{name}.ids").write_text("\n".join(ids))
    invoke(folder, "select", "a.jsonl", "--ids", f"{name}.ids", "-f", "-o", f"{name}.jsonl")
    return folder / f"{name}.jsonl"


def weights(path: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in checkpoint.load(path)[1].items()}


class Heard(Progress):
    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, message: str) -> None:
        self.words.append(message)


def test_only_is_as_if_the_store_held_no_others(folder, tmp_path):
    ids = Store(folder / "a.h5").ids[3:25:2]
    some = listed(folder, "some", ids)
    invoke(folder, "preprocess", some, "-o", tmp_path / "some.h5", "-j", 1)
    invoke(
        folder, "pretrain-apc", tmp_path / "some.h5", *TASK, "-o", tmp_path / "alone.safetensors"
    )
    line = ("pretrain-apc", "a.h5", *TASK, "--only", some)
    words = invoke(folder, *line, "-o", tmp_path / "only.safetensors").stderr
    assert "11 of 40 utterances are in" in words and "11 utterances, 0.00 h" in words
    assert weights(tmp_path / "only.safetensors") == weights(tmp_path / "alone.safetensors")
    header = checkpoint.load(tmp_path / "only.safetensors")[0]
    assert [entry["role"] for entry in header["provenance"]["inputs"]] == ["media", "only"]
    # Other utterances make another encoder.
    listed(folder, "some", ids[1:])
    invoke(folder, *line, "-o", tmp_path / "only.safetensors", status=73)


def test_a_share_is_nested_and_the_same_for_every_task(folder):
    stores = [Store(folder / "s.h5")]
    splits = dict(zip(stores[0].ids, stores[0].meta["split"]))
    train = [name for name, split in splits.items() if split == "train"]

    def chosen(fraction: float, kind: type = PretrainApcSettings, **options: object) -> list[str]:
        settings = kind(media=(folder / "s.h5",), fraction=fraction, **options)
        return utterances.training_ids(settings, stores, Heard())

    assert chosen(1.0) == train and len(train) == 24
    quarter, half = chosen(0.25), chosen(0.5)
    assert (len(quarter), len(half)) == (6, 12)
    assert set(quarter) < set(half) < set(train)
    # In the store's order, whatever was drawn.
    assert half == [name for name in train if name in set(half)]
    assert chosen(0.5, PretrainOddSettings) == half
    assert chosen(0.5, seed=1) != half
    assert len(chosen(0.5, split="all")) == 20
    # A share of what --only leaves.
    only = listed(folder, "train", train[:10])
    assert len(chosen(0.3, only=only)) == 3 and set(chosen(0.3, only=only)) < set(train[:10])


def test_development_stays_whole(folder):
    stores = [Store(folder / "s.h5")]
    development = [
        name
        for name, split in zip(stores[0].ids, stores[0].meta["split"])
        if split == "development"
    ]
    settings = PretrainApcSettings(media=(folder / "s.h5",), fraction=0.1)
    encoder = RecurrentEncoder(RecurrentConfiguration(bands=80, layers=1, hidden=4, dim=4))
    method = SimpleNamespace(others=())
    objective = AutoregressivePrediction(encoder)
    unseen = methods._development(settings, stores, method, objective)
    assert unseen.dataset.ids == development and len(development) == 8


def test_how_much_is_used_is_said(folder, tmp_path):
    output = tmp_path / "x.safetensors"
    line = ("pretrain-odd", "s.h5", *TASK, "-o", output, "--fraction")
    words = invoke(folder, *line, 0.5).stderr
    assert "--fraction 0.5: 12 of 24 utterances" in words and "12 utterances, 0.00 h" in words
    assert "on development" in words
    header = json.loads(invoke(folder, "info", "--json", output).stdout)
    assert header["settings"]["fraction"] == 0.5
    assert "up to date" in invoke(folder, *line, 0.5).stderr
    invoke(folder, *line, 0.6, status=73)


def test_hubert_on_a_share(folder, tmp_path):
    invoke(folder, "cluster", "s.h5", "-k", 8, "--initialisations", 1, "-f", "-o",
           "kmeans.safetensors")  # fmt: skip
    invoke(folder, "extract", "s.h5", "--model", "kmeans.safetensors", "-f", "-o", "units.h5")
    line = (
        "pretrain-hubert",
        "s.h5",
        "--units",
        "units.h5",
        *TASK,
        "-o",
        tmp_path / "h.safetensors",
    )
    words = invoke(folder, *line, "--fraction", 0.25).stderr
    assert "--fraction 0.25: 6 of 24 utterances" in words and "6 utterances, 0.00 h" in words
    train = [item["id"] for item in manifest.read(folder / "s.jsonl").items
             if item["split"] == "train"]  # fmt: skip
    only = listed(folder, "hubert", train[::3])
    words = invoke(folder, *line, "--only", only, "-f").stderr
    assert "8 of 24 utterances are in" in words and "8 utterances, 0.00 h" in words
    invoke(folder, *line, "--fraction", 2, "-f", status=2)


def test_ids_that_are_elsewhere_are_counted(folder, tmp_path):
    few = listed(folder, "few", Store(folder / "a.h5").ids[:20])
    invoke(folder, "preprocess", few, "-o", tmp_path / "few.h5", "-j", 1)
    line = ("pretrain-apc", tmp_path / "few.h5", *TASK, "-o", tmp_path / "x.safetensors")
    words = invoke(folder, *line, "--only", "a.jsonl").stderr
    assert "20 of the 40 utterances of a.jsonl not in the stores" in words
    assert "20 of 20 utterances are in a.jsonl" in words
    others = listed(folder, "others", Store(folder / "a.h5").ids[20:])
    words = invoke(folder, *line, "--only", others, "-f", status=65).stderr
    assert "none of its 20 utterances is in" in words and "few.h5" in words


def test_what_cannot_be_done_is_said(folder, tmp_path):
    line = ("pretrain-apc", "s.h5", *TASK, "-o", tmp_path / "x.safetensors")
    for fraction in (0, -1, 1.01, "nan"):
        words = invoke(folder, *line, "--fraction", fraction, status=2).stderr
        assert "--fraction" in words
    store = Store(folder / "s.h5")
    test = [name for name, split in zip(store.ids, store.meta["split"]) if split == "test"]
    words = invoke(folder, *line, "--only", listed(folder, "test", test), status=65).stderr
    assert "in the split 'train'" in words and "--split all" in words
    invoke(folder, *line, "--only", "absent.jsonl", status=65)
    invoke(folder, *line, "--only", "s.h5", status=65)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.startswith("pretrain-")])
def test_every_pre_training_has_both(name):
    flags = {flag for option in group.get_command(None, name).params for flag in option.opts}
    assert {"--fraction", "--only"} <= flags
