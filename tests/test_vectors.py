"""Vectors of utterances under a head: alone, beside frames, of projectors; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import labelled_features
import labelled_vectors
import numpy as np
import pytest
import torch
from chain import invoke
from labelled_vectors import COUNT, DIM, EACH, vectors

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.dataset import VECTOR_S
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.vectors import vectors_of
from avaffect.models.given import GivenVectors, GivenVectorsConfiguration
from avaffect.models.inputs import Inputs
from avaffect.recipes.downstream.sources import Sources
from avaffect.training import checkpoint

QUICK = ("--epochs", 30, "--batch-utterances", 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_vectors.write(tmp_path / "v.h5")
    return tmp_path


def trained(folder: Path, *arguments: object, media: str = "v.h5", given: tuple = ()) -> dict:
    """Trained and predicted into p.jsonl; the header of the classifier."""
    invoke(folder, "finetune", media, *given, *QUICK, *arguments, "-f", "-o", "c.safetensors")
    invoke(folder, "predict", media, *given, "--model", "c.safetensors", "-f", "-o", "p.jsonl")
    return checkpoint.load(folder / "c.safetensors")[0]


def predicted(folder: Path) -> list[dict]:
    lines = map(json.loads, (folder / "p.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "item"]


def refused(folder: Path, *arguments: object) -> str:
    found = invoke(folder, *arguments, "-f", "-o", "x.safetensors", status=65).stderr
    assert not (folder / "x.safetensors").exists()
    return found


def ua(folder: Path) -> float:
    invoke(folder, "predict", "v.h5", "--model", "c.safetensors", "--split", "test", "-f", "-o",
           "t.jsonl")  # fmt: skip
    return json.loads(invoke(folder, "eval-class", "t.jsonl", "--json").stdout)["ua"]


def test_a_head_is_trained_on_vectors_alone(folder: Path) -> None:
    header = trained(folder)
    inputs = header["inputs"]
    assert inputs == {"features": {"name": "vectors", "configuration": {
        "dim": DIM, "name": "functionals", "stream": "features"}}}  # fmt: skip
    assert header["preprocessing"]["rate_hz"] == 0
    assert len(predicted(folder)) == COUNT
    assert ua(folder) > 0.8
    # One that is trained in batches of the encoder's tokens reads the same.
    trained(folder, "--label", "arousal", "--loss", "mse=1")
    assert len(predicted(folder)) == COUNT


def test_vectors_of_frames_give_what_their_frames_give(folder: Path) -> None:
    """A linear head reads means; of a store with both, frames are read unless vectors are named."""
    labelled_vectors.write(folder / "v.h5", name="mean", frames=True)
    of_frames = trained(folder)
    assert of_frames["inputs"]["features"]["name"] == "features"
    expected = predicted(folder)
    of_vectors = trained(folder, "--vectors", "mean")
    assert of_vectors["inputs"]["features"]["name"] == "vectors"
    for one, other in zip(expected, predicted(folder)):
        assert one["id"] == other["id"]
        assert list(one["scores"].values()) == pytest.approx(
            list(other["scores"].values()), abs=1e-4
        )
    assert "there: mean" in refused(folder, "finetune", "v.h5", "--vectors", "functionals")


def test_vectors_stand_beside_frames(folder: Path) -> None:
    """Joined by id; an utterance that lacks one of the two counts as its mean."""
    values = vectors()
    labelled_vectors.write(folder / "f.h5", values[:, :2], name="mean", frames=True)
    labelled_vectors.write(folder / "w.h5", values[:, 2:], rows=range(3, COUNT))
    both = "--features", "frames=f.h5", "--features", "whole=w.h5"
    header = trained(folder, media="f.h5", given=both)
    assert [i["rate_hz"] for i in header["model"]["configuration"]["head"]["configuration"]
            ["inputs"]] == [10, 0]  # fmt: skip
    assert header["features"] == {
        "frames": {"front_end": "frames"}, "whole": {"front_end": "functionals"}
    }  # fmt: skip
    assert len(predicted(folder)) == COUNT
    swapped = "--features", "frames=w.h5", "--features", "whole=f.h5"
    invoke(folder, "predict", "f.h5", *swapped, "--model", "c.safetensors", status=65)


def test_vectors_stand_beside_an_encoder(chain_made: Path, tmp_path: Path) -> None:
    media = Store(chain_made / "a.h5")
    with store_writer(tmp_path / "v.h5", {}, pooled={"text": PooledSpec(3)}) as writer:
        for number, identifier in enumerate(media.ids):
            writer.add(identifier, pooled={"text": np.full(3, number + 1.0)})
    for mode in ("frozen", "fine-tuned"):
        shared = chain_made / "a.h5", "--features", "text=v.h5"
        invoke(tmp_path, "finetune", *shared, "--encoder", chain_made / "fav.safetensors",
               "--mode", mode, "--steps", 2, "-f", "-o", "c.safetensors")  # fmt: skip
        invoke(tmp_path, "predict", *shared, "--model", "c.safetensors", "-f", "-o", "p.jsonl")
        assert {item["id"] for item in predicted(tmp_path)} == set(media.ids)


def test_embeddings_know_whose_labels_trained_their_projector(chain: Path) -> None:
    header = checkpoint.load(chain / "projector.safetensors")[0]
    invoke(chain, "finetune", "msp.h5", "--epochs", 2, "-o", "c.safetensors")
    found = checkpoint.load(chain / "c.safetensors")[0]
    assert set(header["labelled_speakers"]) <= set(found["labelled_speakers"])
    assert found["inputs"]["features"]["configuration"]["name"] == "embedding"
    # The projector's training speakers as test speakers, alone or beside others.
    items = [dict(i, split={"train": "test", "test": "train"}.get(i["split"], i["split"]))
             for i in manifest.read(chain / "a.jsonl")]  # fmt: skip
    with manifest.writer(chain / "swapped.jsonl", manifest.new_header("corpus")) as sink:
        for item in items:
            sink.item(item)
    for given in (("msp.h5",), ("a.h5", "--features", "e=msp.h5")):
        assert "labels of the test speaker" in refused(
            chain, "finetune", *given, "--annotations", "swapped.jsonl"
        )


@pytest.mark.parametrize("head", ["bgru", "gru"])
def test_heads_that_need_time_refuse_vectors(folder: Path, head: str) -> None:
    said = refused(folder, "finetune", "v.h5", "--head", head)
    assert f"--head {head}" in said and "one vector an utterance" in said


def test_traces_refuse_vectors(tmp_path: Path) -> None:
    labelled_features.write(tmp_path / "f.h5")
    with store_writer(tmp_path / "v.h5", {}, pooled={"mean": PooledSpec(2)}) as writer:
        for identifier in Store(tmp_path / "f.h5").ids:
            writer.add(identifier, pooled={"mean": [1.0, 2.0]})
    said = refused(tmp_path, "finetune", "f.h5", "--features", "v=v.h5", "--label", "arousal")
    assert "the trace arousal" in said


def test_missing_values_are_refused_with_their_number(folder: Path) -> None:
    values = vectors()
    values[[4, 9], 1] = np.nan, np.inf
    labelled_vectors.write(folder / "nan.h5", values)
    assert "2 utterances" in (said := refused(folder, "finetune", "nan.h5")) and "u04" in said
    trained(folder)
    found = invoke(folder, "predict", "nan.h5", "--model", "c.safetensors", "-o", "n", status=65)
    assert "2 utterances" in found.stderr


def test_a_vector_of_zeros_is_missing_where_extract_wrote_it(folder: Path) -> None:
    values = vectors()
    values[[4, 9]] = 0
    labelled_vectors.write(folder / "zeros.h5", values)
    found = invoke(folder, "finetune", "zeros.h5", *QUICK, "-f", "-o", "c.safetensors").stderr
    assert "2 utterances have no vector" in found and "u04, u09" in found
    labelled_vectors.write(folder / "other.h5", values, made={"imported": "LIWC"})
    found = invoke(folder, "finetune", "other.h5", *QUICK, "-f", "-o", "c.safetensors").stderr
    assert "no vector" not in found


def test_other_widths_models_and_ids_are_refused(folder: Path) -> None:
    labelled_vectors.write(folder / "wide.h5", np.ones((COUNT, 7), np.float32), prefix="w",
                           made={"imported": "x"})  # fmt: skip
    labelled_vectors.write(folder / "narrow.h5", prefix="n", made={"imported": "x"})
    said = refused(folder, "finetune", "narrow.h5", "wide.h5")
    assert "5 and 7 numbers" in said
    labelled_vectors.write(folder / "made.h5", prefix="m", made={"front_end": "other"})
    refused(folder, "finetune", "v.h5", "made.h5")
    trained(folder, media="narrow.h5")
    for store in ("wide.h5", "made.h5"):
        found = invoke(folder, "predict", store, "--model", "c.safetensors", status=65)
        assert store in found.stderr
    said = refused(folder, "finetune", "v.h5", "--features", "f=narrow.h5")
    assert f"{COUNT} ids" in said and "u00, u01" in said and "n00" in said
    labelled_vectors.write(folder / "few.h5", rows=range(2, COUNT))
    said = invoke(folder, "finetune", "v.h5", "--features", "f=few.h5", *QUICK, "-f", "-o",
                  "c.safetensors").stderr  # fmt: skip
    assert f"2 of {COUNT} utterances: u00, u01" in said


def test_vectors_of_several_names_are_chosen(folder: Path) -> None:
    pooled = {"a": PooledSpec(1), "b": PooledSpec(2)}
    with store_writer(
        folder / "ab.h5", {}, labels=labelled_vectors.LABELS, pooled=pooled
    ) as writer:
        for row in range(COUNT):
            writer.add(f"u{row:02}", pooled={"a": [1.0 + row % 3], "b": [1.0, 2.0]},
                       labels={"emotion": labelled_vectors.CLASSES[row % 3]})  # fmt: skip
    assert "--vectors a" in refused(folder, "finetune", "ab.h5")
    header = trained(folder, "--vectors", "b", media="ab.h5")
    assert header["inputs"]["features"]["configuration"]["dim"] == 2


def test_a_vector_is_no_time(tmp_path: Path) -> None:
    """It is not cropped, and lasts a second in batches of nothing else; of media, as they last."""
    labelled_vectors.write(tmp_path / "v.h5", frames=True, rows=range(1, COUNT), name="mean")
    store, ids = Store(tmp_path / "v.h5"), ["u00", "u01", "u02"]
    given = GivenVectors(GivenVectorsConfiguration(DIM, "mean", "features:v"))
    for streams, lasting in (((), VECTOR_S), (("features",), 0.3)):
        sources = Sources.of([store], streams, {"v": store}, Inputs({"v": given}))
        dataset = sources.dataset(ids)
        dataset.crop_s = 0.1
        assert dataset.durations().tolist() == pytest.approx([0, lasting, lasting])
        batch = dataset.batch([0, 1, 2], epoch=3)
        assert batch.streams["features:v"].shape == (3, 1, DIM)
        assert batch.lengths["features:v"].tolist() == [0, 1, 1]
    tokens = given(_tensors(batch))
    expected = np.concatenate([np.zeros((1, DIM)), vectors()[1:3]])
    np.testing.assert_allclose(tokens.mean().numpy(), expected, rtol=1e-6)
    assert tokens.present.tolist() == [False, True, True]
    with pytest.raises(DataError):
        Inputs({"v": given}).in_time("a label over time")


def _tensors(batch: Batch) -> Batch:
    return Batch(
        batch.ids,
        {name: torch.from_numpy(np.array(values)) for name, values in batch.streams.items()},
        {name: torch.from_numpy(values) for name, values in batch.lengths.items()},
    )


def test_ids_are_looked_up_in_several_stores(tmp_path: Path) -> None:
    labelled_vectors.write(tmp_path / "a.h5", rows=range(EACH))
    labelled_vectors.write(tmp_path / "b.h5", rows=range(EACH, COUNT))
    stores = [Store(tmp_path / "a.h5"), Store(tmp_path / "b.h5")]
    column = vectors_of(stores, ["u40", "u03", "none"], "functionals")
    assert column.steps("x").tolist() == [1, 1, 0]
    np.testing.assert_array_equal(column.read("x", 0), vectors()[40:41])
    np.testing.assert_array_equal(column.read("x", 1), vectors()[3:4])
    assert column.read("x", 2).shape == (0, DIM)
