"""`adapt --method`: what SAAML is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from chain import annotated, invoke, invoke_stopped
from safetensors.torch import load_file
from tiny_training import history

from avaffect.core.checkpoint_header import read_header
from avaffect.data import manifest
from avaffect.data.batches import Paired
from avaffect.data.store.reader import Store
from avaffect.settings.adapt import AdaptSettings

RETRIEVE = ("retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--draws", 3, "-o", "r.jsonl")
TRAIN = ("--steps", 3, "--batch-seconds", 8, "--log-every", 1)


@pytest.fixture
def retrieved(chain: Path) -> Path:
    invoke(chain, *RETRIEVE)
    return chain


def losses(output: Path) -> list[set[str]]:
    """Names of the losses in each line of a history."""
    known = {
        "emotion", "domain", "masked", "features_penalty", "pseudo_label", "clustering",
        "consistency",
    }  # fmt: skip
    return [known & line.keys() for line in history(Path(f"{output}.metrics.jsonl"))]


class TestTAPT:
    def test_is_further_pre_training_of_the_queries(self, retrieved: Path) -> None:
        """The same weights as those of `pretrain-hubert`, to the bit, without pool or projector."""
        invoke(retrieved, "adapt", "r.jsonl", "--method", "tapt", *TRAIN, "-o", "tapt.safetensors")
        again = ("pretrain-hubert", "a.h5", "--init", "fav.safetensors", "--units", "units_a.h5")
        header = read_header(retrieved / "tapt.safetensors")
        same = ("--learning-rate", 1e-5, "--weight-decay", 0, "--warmup", 0.1)
        invoke(retrieved, *again, *TRAIN, *same, "-o", "again.safetensors")
        tapt, pretrained = (load_file(retrieved / f"{n}.safetensors") for n in ("tapt", "again"))
        assert tapt.keys() == pretrained.keys()
        assert all(torch.equal(tapt[name], pretrained[name]) for name in tapt)
        assert losses(retrieved / "tapt.safetensors") == [{"masked", "features_penalty"}] * 3
        assert header["labels"] == {} and header["labelled_speakers"] == []
        roles = {entry["role"] for entry in header["provenance"]["inputs"]}
        assert roles == {"query", "encoder", "quantiser", "retrieval"}

    def test_needs_no_pool(self, retrieved: Path) -> None:
        for name in ("vox.h5", "b.h5", "units_b.h5"):
            (retrieved / name).unlink()
        invoke(retrieved, "adapt", "r.jsonl", *TRAIN, status=65)
        invoke(retrieved, "adapt", "r.jsonl", "--method", "tapt", *TRAIN)

    def test_of_one_class(self, chain: Path) -> None:
        invoke(chain, *RETRIEVE, "--classes", "happiness")
        invoke(chain, "adapt", "r.jsonl", "--method", "tapt", *TRAIN)

    def test_stopped_and_resumed(self, retrieved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        line = ("adapt", "r.jsonl", "--method", "tapt", *TRAIN, "-o")
        invoke(retrieved, *line, "whole.safetensors")
        invoke_stopped(retrieved, *line, "parts.safetensors", stops=2, monkeypatch=monkeypatch)
        whole, parts = (retrieved / f"{name}.safetensors" for name in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()

    @pytest.mark.parametrize(
        "options",
        [
            ("--without", "dc"), ("--layer", 1), ("--emotion-weight", 2), ("--domain-weight", 0.1),
            ("--pretraining-weight", 0.5), ("--head-learning-rate", 0.1),
        ],
        ids=str,
    )  # fmt: skip
    def test_options_without_effect_are_refused(
        self, tmp_path: Path, options: tuple[object, ...]
    ) -> None:
        found = invoke(tmp_path, "adapt", "x.jsonl", "--method", "tapt", *options, status=2)
        assert str(options[0]) in found.stderr

    def test_an_encoder_without_its_task(self, retrieved: Path) -> None:
        """The advice is not an option that the method refuses."""
        invoke(retrieved, "adapt", "r.jsonl", "--without", "pt", *TRAIN, "-o", "1.safetensors")
        line = ("adapt", "r.jsonl", "--encoder", "1.safetensors", "--method", "tapt")
        found = invoke(retrieved, *line, "-o", "2.safetensors", status=65)
        assert "--without" not in found.stderr and "--encoder" in found.stderr


OWN = {"fixmatch": {"pseudo_label"}, "cdac": {"pseudo_label", "clustering", "consistency"}}
SAAML = {"emotion", "domain", "masked", "features_penalty"}


class TestSemiSupervised:
    @pytest.mark.parametrize("method", OWN)
    def test_terms(self, retrieved: Path, method: str) -> None:
        for number, (options, left_out) in enumerate(
            [((), set()), (("--without", "dc", "--without", "pt"), SAAML - {"emotion"})]
        ):
            output = retrieved / f"{number}.safetensors"
            found = invoke(
                retrieved, "adapt", "r.jsonl", "--method", method, *options, *TRAIN, "-o", output
            )
            assert losses(output) == [(SAAML - left_out) | OWN[method]] * 3
            line = history(Path(f"{output}.metrics.jsonl"))[-1]
            assert 0 <= line["confident"] <= 1 and "confident" in found.stderr
            assert ("without pseudo-labels" in found.stderr) == (line["confident"] == 0)
            assert any(name.startswith("emotion_classifier.") for name in load_file(output))

    @pytest.mark.parametrize("method", [*OWN, "tapt"])
    def test_two_query_corpora(self, chain: Path, method: str) -> None:
        """Both are learned from, and so are their speakers."""
        both = ("--query", "msp.h5", "--query", "vox.h5", "--pool", "vox.h5", "--draws", 2)
        annotated(chain, ("anger", "happiness"), "more.jsonl")
        known = ("--annotations", "more.jsonl", "--query-split", "all", "-o", "r.jsonl")
        invoke(chain, "retrieve", *both, *known)
        queries = {item["query"] for item in manifest.read(chain / "r.jsonl").items}
        held = [set(Store(chain / name).ids) for name in ("msp.h5", "vox.h5")]
        assert queries == held[0] | held[1] and not held[0] & held[1]
        output = chain / "two.safetensors"
        line = ("adapt", "r.jsonl", "--method", method, "--steps", 1, "--batch-seconds", 8)
        found = invoke(chain, *line, "--log-every", 1, "-o", output)
        assert f"{len(queries)} queries" in found.stderr
        inputs = read_header(output)["provenance"]["inputs"]
        assert [entry["role"] for entry in inputs].count("query") == 2
        own = {"masked", "features_penalty"} if method == "tapt" else SAAML | OWN[method]
        assert losses(output) == [own]

    @pytest.mark.parametrize("method", OWN)
    def test_stopped_and_resumed(
        self, retrieved: Path, method: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line = ("adapt", "r.jsonl", "--method", method, "--confidence", 0.3, "--without", "pt")
        line += ("--steps", 2, "-o")
        invoke(retrieved, *line, "whole.safetensors")
        invoke_stopped(
            retrieved, *line, "parts.safetensors", stops=1, monkeypatch=monkeypatch, batches=Paired
        )
        whole, parts = (retrieved / f"{name}.safetensors" for name in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()

    @pytest.mark.parametrize(
        "options",
        [
            ("--method", "fixmatch", "--without", "ec"), ("--method", "cdac", "--without", "ec"),
            ("--method", "fixmatch", "--ranked", 3), ("--confidence", 0.9),
            ("--method", "fixmatch", "--clustering-weight", 3), ("--consistency-ramp", 3),
            ("--method", "tapt", "--pseudo-label-weight", 3), ("--consistency-weight", 3),
            ("--method", "cdac", "--accumulate", 2), ("--method", "cdac", "--confidence", 1.5),
        ],
        ids=str,
    )  # fmt: skip
    def test_options_without_effect_are_refused(
        self, tmp_path: Path, options: tuple[object, ...]
    ) -> None:
        invoke(tmp_path, "adapt", "x.jsonl", *options, status=2)

    @pytest.mark.parametrize(
        "options",
        [
            (), ("--without", "dc"), ("--method", "fixmatch", "--pseudo-label-weight", 0),
            ("--method", "cdac", "--pseudo-label-weight", 0, "--clustering-weight", 0,
             "--consistency-weight", 0),
        ],
        ids=str,
    )  # fmt: skip
    def test_weights_of_zero_train_nothing(
        self, tmp_path: Path, options: tuple[object, ...]
    ) -> None:
        weights = (f"--{name}-weight" for name in ("emotion", "domain", "pretraining"))
        nothing = (each for name in weights for each in (name, 0))
        invoke(tmp_path, "adapt", "x.jsonl", *nothing, *options, status=2)

    def test_a_weight_above_zero_trains(self) -> None:
        nothing = {"emotion_weight": 0.0, "domain_weight": 0.0, "pretraining_weight": 0.0}
        assert AdaptSettings(method="fixmatch", **nothing).weighs_anything
        assert AdaptSettings(method="cdac", pseudo_label_weight=0.0, **nothing).weighs_anything
        one = nothing | {"domain_weight": 0.5}
        assert AdaptSettings(**one).weighs_anything
        assert not AdaptSettings(without=("dc",), **nothing).weighs_anything

    @pytest.mark.parametrize(
        "options",
        [
            ("--emotion-weight", 3, "--without", "ec"), ("--domain-weight", 3, "--without", "dc"),
            ("--pretraining-weight", 3, "--without", "pt"), ("--units", "u.h5", "--without", "pt"),
            ("--layer", 1, "--without", "ec", "--without", "dc"),
            ("--head-learning-rate", 0.1, "--without", "ec", "--without", "dc"),
            ("--ranked", 3, "--method", "cdac", "--clustering-weight", 0),
            ("--consistency-ramp", 3, "--method", "cdac", "--consistency-weight", 0),
            ("--decay-every", 3),
        ],
        ids=str,
    )  # fmt: skip
    def test_options_of_what_is_left_out_are_refused(
        self, tmp_path: Path, options: tuple[object, ...]
    ) -> None:
        found = invoke(tmp_path, "adapt", "x.jsonl", *options, status=2)
        assert str(options[0]) in found.stderr

    def test_options_of_what_is_trained_are_none_of_them(self) -> None:
        AdaptSettings(without=("ec",), layer=1, domain_weight=3.0, emotion_weight=0.0)
        AdaptSettings(without=("pt",), emotion_weight=3.0)
        AdaptSettings(decay=0.5, decay_every=3)

    def test_more_ranked_features_than_there_are(self, retrieved: Path) -> None:
        line = ("adapt", "r.jsonl", "--method", "cdac", "--ranked", 5000, *TRAIN)
        assert "--ranked" in invoke(retrieved, *line, status=2).stderr


def test_the_method_is_not_recorded_where_it_is_saaml(retrieved: Path) -> None:
    """Outputs of version 0.1 stay up to date."""
    invoke(retrieved, "adapt", "r.jsonl", *TRAIN)
    made = read_header(retrieved / "adapted.safetensors")["provenance"]
    assert "method" not in made["settings"]
    found = invoke(retrieved, "adapt", "r.jsonl", "--method", "saaml", *TRAIN)
    assert "up to date" in found.stderr
