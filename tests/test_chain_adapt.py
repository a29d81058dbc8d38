"""Options of `adapt`, reruns, and what the commands of the chain say of bad input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import annotated, closed, invoke, litter
from safetensors.torch import load_file
from tiny_training import history

from avaffect.core.checkpoint_header import read_header
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.training import checkpoint

RETRIEVE = ("retrieve", "--query", "msp.h5", "--pool", "vox.h5")
ADAPT = ("adapt", "r.jsonl", "--steps", 2, "--batch-seconds", 8, "--log-every", 1)


@pytest.fixture
def retrieved(chain: Path) -> Path:
    invoke(chain, *RETRIEVE, "--draws", 3, "-o", "r.jsonl")
    return chain


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


TERMS = {
    "ec": ("emotion", "emotion_classifier."),
    "dc": ("domain", "domain_classifier."),
    "pt": ("masked", "label_embs_concat"),
}


@pytest.mark.parametrize(
    "without", [("ec",), ("dc",), ("pt",), ("ec", "dc"), ("ec", "pt")], ids=str
)
def test_terms_left_out(retrieved: Path, without: tuple[str, ...]) -> None:
    options = [word for term in without for word in ("--without", term)]
    invoke(retrieved, *ADAPT, *options)
    lines = history(retrieved / "adapted.safetensors.metrics.jsonl")
    names = load_file(retrieved / "adapted.safetensors").keys()
    for term, (loss, weight) in TERMS.items():
        assert all((loss in line) == (term not in without) for line in lines)
        assert any(name.startswith(weight) for name in names) == (term not in without)
    assert len(lines) == 2


def test_nothing_left_is_a_usage_error(retrieved: Path) -> None:
    every = [word for term in TERMS for word in ("--without", term)]
    invoke(retrieved, *ADAPT, *every, status=2)
    invoke(retrieved, *ADAPT, "--without", "pt", "--units", "units_a.h5", status=2)
    invoke(retrieved, *ADAPT, "--without", "everything", status=2)
    invoke(retrieved, *ADAPT, "--epochs", 1, status=2)


def test_an_encoder_of_one_modality_has_none_to_lose(retrieved: Path) -> None:
    invoke(retrieved, *ADAPT, "--modality-dropout", 0.5, status=2)
    invoke(retrieved, *ADAPT, "--modality-dropout", 1.5, status=2)


def test_units_that_were_made_already(retrieved: Path) -> None:
    """The same as those that adapt computes, so that the weights are the same."""
    invoke(retrieved, *ADAPT)
    units = ("--units", "units_a.h5", "--units", "units_b.h5")
    invoke(retrieved, *ADAPT, *units, "-o", "given.safetensors")
    ids = [read_header(retrieved / f"{n}.safetensors")["content_id"] for n in ("adapted", "given")]
    assert ids[0] == ids[1]
    # Of another number of clusters, the encoder's head cannot predict them.
    k_means = ("-k", 12, "--initialisations", 1, "-o", "other.safetensors")
    invoke(retrieved, "cluster", "a.h5", *k_means)
    for name in "ab":
        extract = ("extract", f"{name}.h5", "--model", "other.safetensors")
        invoke(retrieved, *extract, "-o", f"other_{name}.h5")
    other = ("--units", "other_a.h5", "--units", "other_b.h5", "-o", "third.safetensors")
    assert "20 units, but these are 12" in invoke(retrieved, *ADAPT, *other, status=65).stderr


def test_an_encoder_without_its_quantiser(retrieved: Path) -> None:
    (retrieved / "kmeans.safetensors").unlink()
    found = invoke(retrieved, *ADAPT, "--encoder", "fav.safetensors", status=65).stderr
    assert "kmeans.safetensors" in found and "--without pt" in found
    assert "avaffect cluster" in found and "avaffect extract" in found and "--units" in found
    # What is named there helps.
    units = ("--units", "units_a.h5", "--units", "units_b.h5")
    invoke(retrieved, *ADAPT, *units, "-o", "1.safetensors")
    invoke(retrieved, *ADAPT, "--without", "pt", "-o", "2.safetensors")


def test_another_encoder_is_adapted(retrieved: Path) -> None:
    pretrain = ("pretrain-hubert", "a.h5", "--units", "units_a.h5", "--preset", "nano")
    invoke(retrieved, *pretrain, "--steps", 0, "--seed", 9, "-o", "random.safetensors")
    invoke(retrieved, *ADAPT, "--encoder", "random.safetensors")
    adapted, random, under = (
        load_file(retrieved / f"{name}.safetensors") for name in ("adapted", "random", "fav")
    )
    name = "encoder.layers.0.fc1.weight"
    assert (adapted[name] - random[name]).abs().max() < 1e-3
    assert (adapted[name] - under[name]).abs().max() > 1e-2
    assert not torch.equal(adapted[name], random[name])


def test_several_stores_of_a_role(chain: Path) -> None:
    """SAAML adapts on two corpora at once; here the pool comes in two parts as well."""
    ids = Store(chain / "b.h5").ids
    for number, part in enumerate((ids[:15], ids[15:])):
        (chain / "ids.txt").write_text("\n".join(part))
        invoke(chain, "select", "b.jsonl", "--ids", "ids.txt", "-o", f"b{number}.jsonl")
        invoke(chain, "preprocess", f"b{number}.jsonl", "-o", f"b{number}.h5", "-j", 1)
        embed = ("extract", f"b{number}.h5", "--model", "projector.safetensors")
        invoke(chain, *embed, "-o", f"vox{number}.h5")
    pools = ("--pool", "vox0.h5", "--pool", "vox1.h5")
    invoke(chain, "retrieve", "--query", "msp.h5", *pools, "--draws", 4, "-o", "r.jsonl")
    drawn = {i for line in _items(chain / "r.jsonl") for i in line["pool"]}
    assert drawn & set(ids[:15]) and drawn & set(ids[15:])
    invoke(chain, *ADAPT)
    inputs = read_header(chain / "adapted.safetensors")["provenance"]["inputs"]
    assert [entry["role"] for entry in inputs][:3] == ["query", "pool", "pool"]
    twice = ("retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--pool", "vox0.h5")
    assert "vox0.h5" in invoke(chain, *twice, status=65).stderr


def test_query_corpora_of_different_classes(chain: Path) -> None:
    """All classes are learned; what one of the corpora lacks is said."""
    annotated(chain, ("fear", "happiness"), "feared.jsonl")
    both = ("retrieve", "--query", "msp.h5", "--query", "vox.h5", "--pool", "vox.h5")
    line = (*both, "--annotations", "feared.jsonl", "--draws", 2, "-o", "r.jsonl")
    found = [one for one in invoke(chain, *line).stderr.splitlines() if "no query of" in one]
    assert [one.count("vox.h5") for one in found] == [0, 1] and "fear" in found[0]
    assert "sadness" in found[1] and "happiness" not in found[1].partition("--classes")[0]
    invoke(chain, *ADAPT)
    header = read_header(chain / "adapted.safetensors")
    own = {line["label"] for line in _items(chain / "r.jsonl")}
    assert set(header["labels"]["emotion"]) == own > {"fear", "happiness"}
    merged = (*line, "-f", "--classes", "happiness=happiness,other=sadness+fear+anger+neutral")
    assert "no query of" not in invoke(chain, *merged).stderr
    media = ("a.h5", "b.h5", "--encoder", "fav.safetensors", "--annotations", "feared.jsonl")
    trained = ("train-projector", *media, "--epochs", 1, "--split", "all", "-o", "x.safetensors")
    found = [one for one in invoke(chain, *trained).stderr.splitlines() if "has no training" in one]
    assert [one.count("b.h5") for one in found] == [0, 1] and "fear" in found[0]
    assert "sadness" in found[1]
    shared = (*trained, "-f", "--classes", "happiness,other=sadness+fear+anger+neutral")
    assert "has no training" not in invoke(chain, *shared).stderr


def _items(path: Path) -> list[dict]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["kind"] == "item"]


class TestReruns:
    def test_dry_runs_write_nothing(self, retrieved: Path) -> None:
        before = _files(retrieved)
        units = ("--units", "units_a.h5", "-o", "new.safetensors")
        for command in (
            ("cluster", "a.h5", "-k", 5, "-o", "new.safetensors"),
            ("extract", "a.h5", "--model", "fav.safetensors", "-o", "new.h5"),
            ("pretrain-hubert", "a.h5", *units),
            ("train-projector", "a.h5", "--encoder", "fav.safetensors", "-o", "new.safetensors"),
            (*RETRIEVE, "-o", "new.jsonl"),
            ADAPT,
            ("finetune", "a.h5", "--encoder", "fav.safetensors", "-o", "new.safetensors"),
        ):
            found = invoke(retrieved, *command, "--dry-run")
            assert "would " in found.stderr and found.stdout in ("", "adapted.safetensors\n")
        assert _files(retrieved) == before and litter(retrieved) == []
        assert sorted(path.name for path in retrieved.iterdir() if path.is_dir()) == [
            "wav-a", "wav-b",
        ]  # fmt: skip
        # A dry run still looks at its inputs.
        invoke(retrieved, "extract", "x.h5", "--model", "mfcc", "-o", "y.h5", "-n", status=65)

    def test_up_to_date_or_made_otherwise(self, retrieved: Path) -> None:
        invoke(retrieved, *ADAPT)
        content = (retrieved / "adapted.safetensors").read_bytes()
        os.utime(retrieved / "adapted.safetensors", (1, 1))
        # What changes nothing in the result changes nothing here.
        found = invoke(retrieved, *ADAPT, "--save-every", 1, "--log-every", 2)
        assert "up to date" in found.stderr and found.stdout == "adapted.safetensors\n"
        assert (retrieved / "adapted.safetensors").stat().st_mtime > 1
        found = invoke(retrieved, *ADAPT, "--seed", 1, status=73)
        assert "adapted.safetensors exists" in found.stderr and "--force" in found.stderr
        assert (retrieved / "adapted.safetensors").read_bytes() == content
        invoke(retrieved, *ADAPT, "--seed", 1, "-f")
        assert (retrieved / "adapted.safetensors").read_bytes() != content
        invoke(retrieved, *ADAPT, "-f")
        assert (retrieved / "adapted.safetensors").read_bytes() == content
        assert len(history(retrieved / "adapted.safetensors.metrics.jsonl")) == 2

    def test_every_command_of_the_chain_is_repeatable(self, chain: Path) -> None:
        """The same bytes again, and nothing to do where they are there."""
        from chain import COMMANDS

        for command in COMMANDS:
            output = chain / str(command[-1] if command[-2] == "-o" else command[-3])
            before = output.read_bytes()
            found = invoke(chain, *command)
            assert "is up to date" in found.stderr, command
            output.unlink()
            invoke(chain, *command)
            assert output.read_bytes() == before, command
        assert litter(chain) == []

    def test_the_state_of_other_settings(self, retrieved: Path) -> None:
        """An unfinished run is not overwritten without a word."""
        diverging = (*ADAPT, "--learning-rate", 1e30, "--clip", 0, "--warmup", 0)
        found = invoke(retrieved, *diverging, status=1).stderr
        assert "at step 1" in found and "--learning-rate" in found
        assert litter(retrieved) == ["adapted.safetensors.state"]
        found = invoke(retrieved, *ADAPT, status=73).stderr
        assert "adapted.safetensors.state" in found and "--fresh" in found
        invoke(retrieved, *ADAPT, "--fresh")
        assert litter(retrieved) == []
        assert len(history(retrieved / "adapted.safetensors.metrics.jsonl")) == 2


class TestBadInput:
    def test_one_class_only(self, chain: Path) -> None:
        only = ("--classes", "happiness")
        for command in (
            ("train-projector", "a.h5", "--encoder", "fav.safetensors", "-o", "x.safetensors"),
            ("finetune", "a.h5", "--encoder", "fav.safetensors", "-o", "x.safetensors"),
        ):
            found = invoke(chain, *command, *only, status=65).stderr
            assert "a.h5: one class only (happiness)" in found
        invoke(chain, *RETRIEVE, *only, "--draws", 2, "-o", "r.jsonl")
        found = invoke(chain, *ADAPT, status=65).stderr
        assert "r.jsonl: one class only (happiness)" in found and "--without ec" in found
        invoke(chain, *ADAPT, "--without", "ec")

    @pytest.fixture
    def partly_labelled(self, chain: Path) -> Path:
        """A without the emotion of its first three training utterances."""
        lines = (chain / "a.jsonl").read_text(encoding="utf-8").splitlines()
        left = 3
        for number, line in enumerate(lines):
            item = json.loads(line)
            if left and item.get("split") == "train":
                del item["labels"]["emotion"]
                lines[number] = json.dumps(item)
                left -= 1
        (chain / "partly.jsonl").write_text(closed("\n".join(lines)), encoding="utf-8")
        invoke(chain, "preprocess", "partly.jsonl", "-o", "partly.h5", "-j", 1)
        return chain

    def test_missing_labels_are_counted(self, partly_labelled: Path) -> None:
        folder = partly_labelled
        encoder = ("partly.h5", "--encoder", "fav.safetensors")
        found = invoke(folder, "train-projector", *encoder, "--epochs", 1, "-o", "p.safetensors")
        assert "3 utterances have no emotion in use (missing 3)" in found.stderr
        found = invoke(folder, "finetune", *encoder, "--mode", "frozen", "--epochs", 1)
        assert "(missing 3)" in found.stderr
        invoke(folder, "extract", "partly.h5", "--model", "p.safetensors", "-o", "partly-p.h5")
        invoke(folder, "extract", "b.h5", "--model", "p.safetensors", "-o", "vox-p.h5")
        query = ("retrieve", "--query", "partly-p.h5", "--pool", "vox-p.h5", "--draws", 2)
        found = invoke(folder, *query, "-o", "r.jsonl")
        assert "3 queries have no label 'emotion' in use" in found.stderr
        assert len(_items(folder / "r.jsonl")) == 5

    def test_labels_that_are_no_classes(self, chain: Path) -> None:
        encoder = ("a.h5", "--encoder", "fav.safetensors", "-o", "x.safetensors")
        found = invoke(chain, "train-projector", *encoder, "--label", "arousal", status=65).stderr
        assert "'arousal' is a trace" in found
        found = invoke(chain, "finetune", *encoder, "--label", "mood", status=65).stderr
        assert "has no label 'mood'" in found and "emotion" in found
        found = invoke(chain, "finetune", *encoder, "--classes", "boredom,fear", status=65).stderr
        assert "a.h5" in found
        pool = ("b.h5", "--encoder", "fav.safetensors", "-o", "x.safetensors")
        # The pool's truth goes by another name: nothing trains on it by accident.
        assert "hidden_emotion" in invoke(chain, "finetune", *pool, status=65).stderr

    def test_utterances_without_sound(self, chain: Path) -> None:
        """Empty ones, and one of a few samples: none stops a model, none is lost without a word."""
        waveform = StreamSpec("waveform", "int16", 16000.0)
        noise = np.random.default_rng(0).integers(-3000, 3000, 9000).astype(np.int16)
        with store_writer(chain / "mixed.h5", {}, streams={"waveform": waveform}) as writer:
            for name, samples in (("a", 0), ("b", 9000), ("c", 0), ("d", 20), ("e", 0)):
                writer.add(name, streams={"waveform": noise[:samples]})
        for model, stream in (("fav", "features"), ("kmeans", "units")):
            output = chain / f"{model}.h5"
            model = f"{model}.safetensors"
            invoke(chain, "extract", "mixed.h5", "--model", model, "-o", output,
                   "--batch-utterances", 2)  # fmt: skip
            lengths = Store(output).lengths(stream).tolist()
            assert lengths[0] == lengths[2] == lengths[4] == 0 < lengths[1]
            assert Store(output).ids == list("abcde")
        found = invoke(chain, "extract", "mixed.h5", "--model", "projector.safetensors",
                       "-o", "embedded.h5").stderr  # fmt: skip
        embedded = Store(chain / "embedded.h5").ids
        missing = [name for name in "abcde" if name not in embedded]
        assert {"a", "c", "e"} <= set(missing) and "b" in embedded
        words = f"{len(missing)} utterances have no frame of waveform, left out: "
        assert words + ", ".join(missing) in found

    def test_units_of_other_recordings(self, chain: Path) -> None:
        pretrain = ("pretrain-hubert", "a.h5", "--preset", "nano", "--steps", 1)
        found = invoke(chain, *pretrain, "--units", "units_b.h5", status=65).stderr
        assert "units_b.h5" in found and "a.h5" in found
        found = invoke(chain, *pretrain, "--units", "b.h5", status=65).stderr
        assert "b.h5 has no units" in found

    def test_too_few_frames_for_the_clusters(self, chain: Path) -> None:
        found = invoke(chain, "cluster", "a.h5", "-k", 5000, "-o", "x.safetensors", status=65)
        assert "too few for 5000 clusters" in found.stderr
        invoke(chain, "cluster", "a.h5", "--layer", 1, status=2)

    def test_a_store_without_the_stream(self, chain: Path) -> None:
        found = invoke(chain, "extract", "units_a.h5", "--model", "fav.safetensors", "-o", "x.h5",
                       status=65).stderr  # fmt: skip
        assert "'waveform'" in found and "units_a.h5" in found
        assert not (chain / "x.h5").exists()


def test_projectors_with_their_encoder(chain: Path) -> None:
    """--train-encoder: the checkpoint holds both, and adapt starts from the encoder before."""
    trained = ("train-projector", "a.h5", "--encoder", "fav.safetensors", "--train-encoder")
    invoke(chain, *trained, "--steps", 2, "-o", "both.safetensors")
    assert any(name.startswith("encoder.") for name in load_file(chain / "both.safetensors"))
    for name, output in (("a.h5", "msp2.h5"), ("b.h5", "vox2.h5")):
        invoke(chain, "extract", name, "--model", "both.safetensors", "-o", output)
    query = ("retrieve", "--query", "msp2.h5", "--pool", "vox2.h5", "--draws", 2)
    invoke(chain, *query, "-o", "r.jsonl")
    invoke(chain, *ADAPT)
    header = checkpoint.load(chain / "adapted.safetensors")[0]
    inputs = {entry["role"]: entry["path"] for entry in header["provenance"]["inputs"]}
    assert inputs["projector"] == "both.safetensors" and inputs["encoder"] == "fav.safetensors"
