"""`avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 | avaffect adapt`, wherever it runs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from chain import LINE, closed, invoke, litter
from tiny_training import history

from avaffect.core.checkpoint_header import read_header
from avaffect.data.store.reader import Store
from avaffect.training import checkpoint

SHORT = ("--steps", 2, "--batch-seconds", 8)
BRIEF = LINE + " --steps 2 --batch-seconds 8"


@pytest.fixture(scope="module")
def adapted_made(chain_made: Path, shell, tmp_path_factory: pytest.TempPathFactory):
    """The literal line, run once in a folder of its own: (folder, what it said)."""
    folder = tmp_path_factory.mktemp("adapted-made") / "chain"
    shutil.copytree(chain_made, folder)
    return folder, shell(LINE, folder)


def _reference(folder: Path) -> str:
    """Content id of what two steps give, through a file instead of a pipe."""
    invoke(folder, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "-o", "r.jsonl")
    invoke(folder, "adapt", "r.jsonl", *SHORT, "-o", "reference.safetensors")
    return read_header(folder / "reference.safetensors")["content_id"]


def test_the_literal_line(adapted_made) -> None:
    folder, found = adapted_made
    assert found.stdout == "adapted.safetensors\n"
    assert "L_EC" in found.stderr and "L_DC" in found.stderr and "L_PT" in found.stderr
    invoke(folder, "check", "--parents", "adapted.safetensors")
    assert litter(folder) == []
    header, tensors = checkpoint.load(folder / "adapted.safetensors", expect="encoder")
    roles = [entry["role"] for entry in header["provenance"]["inputs"]]
    assert roles == ["query", "pool", "projector", "encoder", "quantiser", "retrieval"]
    stream = header["provenance"]["inputs"][-1]
    assert stream["path"] == "" and stream["provenance"]["settings"]["temperature"] == 0.1
    assert header["provenance"]["settings"]["epochs"] == 50
    # Nothing in it says where or when it was made.
    assert str(folder) not in json.dumps(header)
    before = checkpoint.load(folder / "fav.safetensors")[1]
    assert before.keys() < tensors.keys()
    moved = [name for name, tensor in before.items() if not torch.equal(tensor, tensors[name])]
    assert len(moved) > len(before) / 2
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_its_history(adapted_made) -> None:
    lines = history(adapted_made[0] / "adapted.safetensors.metrics.jsonl")
    steps = [line["step"] for line in lines]
    assert steps == [1, *range(10, steps[-1] + 1, 10)]
    for name in ("masked", "emotion", "domain", "reversal_strength", "learning_rate"):
        assert all(name in line for line in lines)
    # The classifiers learn at 1e-3: eight utterances are soon told apart better than at first.
    assert lines[-1]["emotion"] < lines[0]["emotion"]
    assert [line["reversal_strength"] for line in lines] == sorted(
        line["reversal_strength"] for line in lines
    )


def test_whose_labels_were_seen(adapted_made) -> None:
    """Speakers of the training part of A, and nobody of the pool."""
    folder = adapted_made[0]
    store = Store(folder / "a.h5")
    train = {s for s, p in zip(store.meta["speaker"], store.meta["split"]) if p == "train"}
    assert len(train) == 2
    for name in ("projector", "adapted"):
        assert read_header(folder / f"{name}.safetensors")["labelled_speakers"] == sorted(train)


def test_a_second_run_has_nothing_to_do(adapted_made, tmp_path: Path, shell) -> None:
    adapted = Path(shutil.copytree(adapted_made[0], tmp_path / "chain"))
    before = (adapted / "adapted.safetensors").read_bytes()
    names = sorted(os.listdir(adapted))
    found = shell(LINE, adapted)
    assert found.stdout == "adapted.safetensors\n"
    assert "adapted.safetensors is up to date" in found.stderr
    assert (adapted / "adapted.safetensors").read_bytes() == before
    assert sorted(os.listdir(adapted)) == names


def test_from_another_folder(chain: Path, tmp_path: Path, shell) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    line = BRIEF.replace("msp.h5", "../chain/msp.h5").replace("vox.h5", "../chain/vox.h5")
    assert shell(line, elsewhere).stdout == "adapted.safetensors\n"
    adapted = elsewhere / "adapted.safetensors"
    assert read_header(adapted)["content_id"] == _reference(chain)
    assert sorted(os.listdir(elsewhere)) == [adapted.name, f"{adapted.name}.metrics.jsonl"]
    # What it was made of is found from where it lies.
    invoke(tmp_path, "check", "--parents", adapted)


def test_after_all_was_moved_together(chain: Path, tmp_path: Path, shell) -> None:
    expected = _reference(chain)
    moved = tmp_path / "a" / "new place"
    moved.parent.mkdir()
    chain.rename(moved)
    shell(BRIEF, moved)
    assert read_header(moved / "adapted.safetensors")["content_id"] == expected
    # A manifest in a file moves with its stores.
    invoke(tmp_path, "adapt", moved / "r.jsonl", *SHORT, "-o", moved / "again.safetensors")
    assert read_header(moved / "again.safetensors")["content_id"] == expected


def test_stores_that_lie_apart(chain: Path, shell, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _reference(chain)
    for folder, names in {
        "media": ("a.h5", "b.h5"),
        "models/encoders": ("fav.safetensors", "projector.safetensors", "kmeans.safetensors"),
    }.items():
        (chain / folder).mkdir(parents=True)
        for name in names:
            (chain / name).rename(chain / folder / name)
    found = invoke(chain, "adapt", "r.jsonl", *SHORT, status=65)
    assert "AVAFFECT_PATH" in found.stderr and "projector.safetensors" in found.stderr
    monkeypatch.setenv("AVAFFECT_PATH", f"{chain / 'media'}:{chain / 'models' / 'encoders'}")
    shell(BRIEF, chain)
    assert read_header(chain / "adapted.safetensors")["content_id"] == expected


@pytest.fixture
def retrieved(chain: Path) -> Path:
    invoke(chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "-o", "r.jsonl")
    return chain


PARENTS = {
    "msp.h5": "query", "vox.h5": "pool", "a.h5": "media", "b.h5": "media",
    "projector.safetensors": "model", "fav.safetensors": "encoder",
    "kmeans.safetensors": "quantiser",
}  # fmt: skip


@pytest.mark.parametrize(("name", "role"), PARENTS.items())
def test_a_parent_that_is_gone(retrieved: Path, name: str, role: str) -> None:
    (retrieved / name).unlink()
    found = invoke(retrieved, "adapt", "r.jsonl", *SHORT, status=65).stderr
    assert f"{name}, the {role} that was used, is no longer at" in found
    assert "adapted" not in " ".join(os.listdir(retrieved))


OTHERS = {
    "a.h5": ("merge", "b.h5", "-o", "a.h5"),
    "msp.h5": ("extract", "b.h5", "--model", "projector.safetensors", "-o", "msp.h5"),
    "kmeans.safetensors": (
        "cluster", "b.h5", "-k", 20, "--initialisations", 1, "-o", "kmeans.safetensors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_parent_that_is_another_one_now(retrieved: Path, name: str) -> None:
    (retrieved / name).unlink()
    invoke(retrieved, *OTHERS[name])
    found = invoke(retrieved, "adapt", "r.jsonl", *SHORT, status=65).stderr
    assert f"{name} is no longer the {PARENTS[name]} that was used" in found


def test_a_damaged_parent(retrieved: Path) -> None:
    content = (retrieved / "b.h5").read_bytes()
    (retrieved / "b.h5").write_bytes(content[: len(content) // 2])
    assert "b.h5" in invoke(retrieved, "adapt", "r.jsonl", *SHORT, status=65).stderr


def test_embeddings_of_different_projectors(chain: Path) -> None:
    projector = ("train-projector", "a.h5", "--encoder", "fav.safetensors", "--epochs", 1)
    invoke(chain, *projector, "--seed", 7, "-o", "other.safetensors")
    invoke(chain, "extract", "b.h5", "--model", "other.safetensors", "-o", "other.h5")
    found = invoke(chain, "retrieve", "--query", "msp.h5", "--pool", "other.h5", status=65)
    assert "msp.h5" in found.stderr and "other.h5" in found.stderr
    # A manifest whose store was exchanged, content id and all, is seen by adapt as well.
    invoke(chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "-o", "r.jsonl")
    content_id = Store(chain / "vox.h5").content_id
    text = (chain / "r.jsonl").read_text().replace(content_id, Store(chain / "other.h5").content_id)
    (chain / "r.jsonl").write_text(closed(text.replace('"vox.h5"', '"other.h5"')))
    found = invoke(chain, "adapt", "r.jsonl", *SHORT, status=65).stderr
    assert "different projectors" in found


class TestFilters:
    RETRIEVE = LINE.partition(" | ")[0] + " --draws 3"
    JQ = """jq -c 'select(.kind != "item" or .label != "neutral")'"""
    GREP = """grep -v '"label":"neutral"'"""

    def test_a_filter_and_seal(self, chain: Path, shell) -> None:
        keep = self.JQ if shutil.which("jq") else self.GREP
        shell(f"{self.RETRIEVE} | {keep} | avaffect seal | avaffect adapt --steps 1", chain)
        header = read_header(chain / "adapted.safetensors")
        assert header["labels"]["emotion"] == ["anger", "happiness", "sadness"]

    def test_head_without_seal(self, chain: Path, shell) -> None:
        found = shell(f"{self.RETRIEVE} | head -n 4 | avaffect adapt", chain, status=65)
        assert "standard input is cut short: it has no end record after 3 items" in found.stderr
        assert not [name for name in os.listdir(chain) if name.startswith("adapted")]

    def test_a_failure_before_the_pipe(self, chain: Path, shell) -> None:
        found = shell(LINE.replace("vox.h5", "nowhere.h5"), chain, status=65)
        assert "nowhere.h5" in found.stderr and "the pipe is empty" in found.stderr

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda text: "", "is empty"),
            (lambda text: text[:700], "cut short"),
            (lambda text: text.replace("avaffect-manifest", "other"), "is not a manifest"),
            (lambda text: text.replace('"version":"1.1","content"', '"version":"2.0","content"'),
             "version 2.0"),
            (lambda text: "\n".join(li for li in text.splitlines() if "anger" not in li),
             "avaffect seal"),
            (lambda text: closed(text.splitlines()[0]), "has no query"),
            (lambda text: text + text.splitlines()[1] + "\n", "follows its end record"),
            (lambda text: text.replace('"label":"anger"', '"label":null'), "avaffect seal"),
            (lambda text: closed(text.replace('"label":"anger"', '"label":null')), "has no label"),
        ],
    )  # fmt: skip
    def test_what_adapt_refuses(self, chain: Path, change, words: str) -> None:
        line = self.RETRIEVE.split()[1:]
        text = change(invoke(chain, *line).stdout)
        found = invoke(chain, "adapt", stdin=text, status=65).stderr
        assert words in found and "standard input" in found
        assert not [name for name in os.listdir(chain) if name.startswith("adapted")]

    def test_a_manifest_of_something_else(self, chain: Path) -> None:
        found = invoke(chain, "adapt", "a.jsonl", status=65).stderr
        assert "a manifest of a corpus, and a manifest of a retrieval is needed" in found
