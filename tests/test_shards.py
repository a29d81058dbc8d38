"""Shards of every command that works utterance by utterance: merged in any order they are what one
run writes, bit for bit."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from text_encoders import tiny_roberta

from avaffect.core.progress import SILENT
from avaffect.data import manifest
from avaffect.data.artifacts import describe
from avaffect.data.batches import sequential_batches
from avaffect.data.dataset import dataset_of
from avaffect.data.store.reader import Store
from avaffect.recipes.encoding import extraction

COUNT = 3
# Several batches in several windows, whose borders are not those of the shards.
SMALL = ("--batch-seconds", 2)


@pytest.fixture(scope="module")
def made(chain_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain with classifiers: of two runs, and of folds."""
    folder = tmp_path_factory.mktemp("divided") / "chain"
    shutil.copytree(chain_made, folder)
    options = ("--encoder", "fav.safetensors", "--epochs", 1, "--mode", "frozen")
    invoke(folder, "finetune", "a.h5", *options, "--runs", 2, "-o", "runs.safetensors")
    invoke(folder, "split", "all-a.jsonl", "--folds", 3, "-o", "folds.jsonl")
    invoke(folder, "finetune", "a.h5", *options, "--annotations", "folds.jsonl", "--folds", 3,
           "--runs", 2, "-o", "folds.safetensors")  # fmt: skip
    return folder


def divided(folder: Path, command: Sequence[object], suffix: str = ".h5") -> tuple[Path, Path]:
    """What `command` writes as a whole, and merged from three shards in the order 2, 0, 1."""
    whole, merged = folder / f"whole{suffix}", folder / f"merged{suffix}"
    parts = [folder / f"part{number}{suffix}" for number in range(COUNT)]
    for path in (whole, merged, *parts):
        path.unlink(missing_ok=True)
    invoke(folder, *command, "-o", whole)
    for number, path in enumerate(parts):
        invoke(folder, *command, "--shard", f"{number}/{COUNT}", "-o", path)
        assert describe(path).provenance["settings"]["shard"] == f"{number}/{COUNT}"
    # Those of commands that were released without shards are as they were.
    recorded = describe(whole).provenance["settings"]
    assert ("shard" in recorded) == (command[0] in ("extract", "preprocess"))
    found = invoke(folder, "merge", parts[2], parts[0], parts[1], "-o", merged)
    assert " shards " not in found.stderr
    return whole, merged


EXTRACTED = {
    "frames": ("--model", "fav.safetensors", *SMALL),
    "segments": ("--model", "fav.safetensors", "--segment", 0.2, *SMALL),
    "units": ("--model", "kmeans.safetensors", *SMALL),
    "mfcc": ("--model", "mfcc", *SMALL),
}


@pytest.mark.parametrize("kind", EXTRACTED)
def test_extract(made: Path, kind: str) -> None:
    whole, merged = divided(made, ("extract", "b.h5", *EXTRACTED[kind]))
    assert Store(whole).content_id == Store(merged).content_id
    assert Store(whole).count == 40


def test_embeddings(made: Path) -> None:
    invoke(made, "train-projector", "a.h5", "--encoder", "fav.safetensors", "--statistics",
           "source", "--epochs", 1, "-o", "source.safetensors")  # fmt: skip
    whole, merged = divided(made, ("extract", "b.h5", "--model", "source.safetensors", *SMALL))
    assert Store(whole).content_id == Store(merged).content_id


def test_augment_noise(made: Path) -> None:
    command = ("augment-noise", "b.h5", "--noise", "a.h5", "--snr-range", 0, 20, "--babble", 2)
    whole, merged = divided(made, command)
    assert Store(whole).content_id == Store(merged).content_id


def test_extract_text(made: Path, tmp_path: Path) -> None:
    roberta = tiny_roberta(tmp_path / "roberta")
    (made / "said").mkdir()
    words = ["this", "is", "a", "happy", "terrible", "lovely", "day"]
    for number, name in enumerate(Store(made / "b.h5").ids):
        said = " ".join(words[: 1 + number % len(words)] * (1 + number % 3))
        text = f"WEBVTT\n\n00:00.000 --> 00:00.400\n{said}\n"
        (made / "said" / f"{name}.vtt").write_text(text)
    command = ("extract-text", "b.h5", "--transcripts", "said", "--model", roberta,
               "--batch-texts", 3)  # fmt: skip
    whole, merged = divided(made, command)
    assert Store(whole).content_id == Store(merged).content_id
    assert np.abs(Store(merged).pooled_vectors("mean")).sum() > 0


PREDICTED = {
    "runs": ("b.h5", "--model", "runs.safetensors", *SMALL),
    "folds": ("a.h5", "--model", "folds.safetensors", "--annotations", "folds.jsonl", *SMALL),
    "windows": ("b.h5", "--model", "runs.safetensors", "--window", 0.3, *SMALL),
    "split": ("a.h5", "--model", "runs.safetensors", "--split", "test", *SMALL),
}


@pytest.mark.parametrize("kind", PREDICTED)
def test_predict(made: Path, kind: str) -> None:
    whole, merged = divided(made, ("predict", *PREDICTED[kind]), ".jsonl")
    assert manifest.read(whole).items == manifest.read(merged).items != []
    assert manifest.read(whole).content_id == manifest.read(merged).content_id


def test_shards_of_predictions_are_no_runs(made: Path, tmp_path: Path) -> None:
    """Those of two classifiers, or with one that is whole, are refused; copies, too."""
    for model in ("runs", "folds"):
        divided(made, ("predict", *PREDICTED[model]), ".jsonl")
        for name in ("whole.jsonl", "part0.jsonl", "part1.jsonl", "part2.jsonl"):
            shutil.copy(made / name, tmp_path / f"{model}-{name}")
    parts = [f"runs-part{number}.jsonl" for number in range(COUNT)]

    def refused(*names: str) -> str:
        found = invoke(tmp_path, "merge", *names, "-o", "out.jsonl", status=65)
        assert not (tmp_path / "out.jsonl").exists()
        return found.stderr

    assert "runs-part0.jsonl" in refused(*parts, "folds-whole.jsonl")
    assert "folds-part1.jsonl" in refused(*parts, "folds-part1.jsonl")
    shutil.copy(tmp_path / parts[0], tmp_path / "copy.jsonl")
    assert "copy.jsonl" in refused(*parts, "copy.jsonl")
    found = invoke(tmp_path, "merge", parts[2], parts[0], "-o", "out.jsonl")
    assert "1 of 3 shards are missing: 1/3" in found.stderr
    # Whole predictions are runs, as ever.
    invoke(tmp_path, "merge", "runs-whole.jsonl", "out.jsonl", "-o", "four.jsonl")
    assert manifest.read(tmp_path / "four.jsonl").header.runs == 4


def test_recordings_are_preprocessed_in_shards(made: Path) -> None:
    command = ("predict", "wav-b", "--model", "runs.safetensors", "--shard", "0/2")
    assert "preprocess" in invoke(made, *command, "-o", "p.jsonl", status=2).stderr


def test_preprocess_in_any_order_with_a_lost_shard(made: Path) -> None:
    """Shard 1 of 3 has no usable recording, as the whole has none of these."""
    corpus = manifest.read(made / "b.jsonl")
    for item in corpus.items[40 // 3 : 80 // 3]:
        (corpus.folder / item["media"]).write_bytes(b"no sound")
    whole, merged = divided(made, ("preprocess", "b.jsonl", "-j", 1))
    assert Store(whole).content_id == Store(merged).content_id
    assert Store(whole).count == 40 - sum(Store(merged).provenance["losses"]["lost"].values())
    lost = made / "part1.h5"
    assert Store(lost).count == 0
    assert "lost" in invoke(made, "merge", lost, "-o", "none.h5", status=65).stderr


def test_only_batches_with_a_chosen_utterance_are_computed(made: Path) -> None:
    store = Store(made / "b.h5")
    dataset = dataset_of([store], store.ids, ("waveform",))
    dataset.choose(range(5, 9))
    extractor = extraction.front_end_extractor("mfcc")
    encode, encoded = extractor.encode, []

    def counted(batch):
        encoded.append(set(batch.ids))
        return encode(batch)

    extractor.encode = counted
    found = extraction.compute(extractor, dataset, torch.device("cpu"), SILENT, batch_seconds=2)
    assert [index for index, _ in found] == [5, 6, 7, 8]
    chosen = set(store.ids[5:9])
    assert all(batch & chosen for batch in encoded)
    assert len(set(itertools.chain(*encoded))) < 40
    batches = sequential_batches(dataset.batch_durations(), 2, 64)
    assert len(encoded) <= 4 < len(batches)
