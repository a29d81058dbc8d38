"""Checkpoints: the same bytes for the same weights; damage and strangers are seen, never run."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch
from chain import invoke
from safetensors.torch import load_file, save_file
from torch import nn

from avaffect.core import checkpoint_header
from avaffect.core.checkpoint_header import DIGEST_KEY, METADATA_KEY
from avaffect.core.errors import DataError
from avaffect.core.filekind import WORDS
from avaffect.models import registry
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.training import checkpoint

ROOT = Path(__file__).resolve().parent.parent
TENSORS = {
    "weight": torch.arange(12.0).reshape(3, 4).T,
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "steps": torch.tensor(7),
    "known": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3, dtype=torch.float64),
    "units": torch.tensor([[1, 2]], dtype=torch.int32),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, "encoder", TENSORS, model={"name": "none"}, metrics={"last": {"a": 0.5}})
    return path


def test_round_trip(saved: Path) -> None:
    header, tensors = checkpoint.load(saved, expect="encoder")
    assert header["kind"] == "encoder" and header["metrics"] == {"last": {"a": 0.5}}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
    assert checkpoint_header.read_header(saved) == header
    assert checkpoint_header.verify(saved)["content_id"] == header["content_id"]
    # Any program that reads safetensors reads the weights.
    assert load_file(saved).keys() == TENSORS.keys()
    assert oct(os.stat(saved).st_mode & 0o777) == oct(0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_same_content_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    reverse = dict(reversed(TENSORS.items()))
    facts = {"metrics": {"last": {"a": 0.5}}, "model": {"name": "none"}}
    checkpoint.save(again, "encoder", reverse, **facts)
    assert again.read_bytes() == saved.read_bytes()


def test_the_content_id_is_of_weights_and_model(saved: Path, tmp_path: Path) -> None:
    def content_id(kind: str = "encoder", **changes) -> str:
        tensors = changes.pop("tensors", TENSORS)
        facts = {"model": {"name": "none"}, **changes}
        return checkpoint.save(tmp_path / "y.safetensors", kind, tensors, **facts)

    first = content_id()
    assert first == checkpoint_header.read_header(saved)["content_id"]
    # Where it came from and how well it did are not what it is.
    assert content_id(provenance={"command": "x"}, metrics={"ua": 1.0}) == first
    others = [
        content_id("projector"),
        content_id(model={"name": "other"}),
        content_id(labels={"emotion": ["anger"]}),
        content_id(preprocessing={"layer": 2}),
        content_id(tensors={**TENSORS, "steps": torch.tensor(8)}),
        content_id(tensors={**TENSORS, "steps": torch.tensor(7, dtype=torch.int32)}),
        content_id(tensors={**TENSORS, "units": torch.tensor([[1], [2]], dtype=torch.int32)}),
        content_id(tensors={n: t for n, t in TENSORS.items() if n != "empty"}),
    ]
    assert len({first, *others}) == len(others) + 1


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, "encoder", {"a": whole, "b": whole, "c": whole[2:4]})
    tensors = checkpoint.load(path)[1]
    assert torch.equal(tensors["a"], tensors["b"]) and tensors["c"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize("keep", [0, 4, 9, 60, -200, -1])
def test_a_file_cut_short(saved: Path, keep: int) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[:keep])
    with pytest.raises(DataError, match=r"empty|cut short|not a safetensors"):
        checkpoint.load(saved)
    assert str(saved) in invoke(saved.parent, "check", saved, status=65).stderr


def test_bytes_after_the_end(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    invoke(saved.parent, "check", saved, status=65)


def test_one_changed_bit_of_a_tensor(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    found = invoke(saved.parent, "check", saved, status=65).stderr
    assert "x.safetensors is damaged" in found
    with pytest.raises(DataError, match="damaged"):
        checkpoint.load(saved)


def _rewritten(path: Path, **changes) -> Path:
    """The file with other words in its header and the weights as they are."""
    header = checkpoint_header.read_header(path)
    weights = load_file(path)
    table = [[n, checkpoint.SAFETENSORS_DTYPE[t.dtype], list(t.shape)] for n, t in weights.items()]
    header |= changes
    header[DIGEST_KEY] = checkpoint_header.header_digest(header, table)
    save_file(weights, path, {METADATA_KEY: json.dumps(header)})
    return path


@pytest.mark.parametrize("changes", [{"kind": "projector"}, {"model": {"name": "other"}}])
def test_a_changed_header(saved: Path, changes: dict) -> None:
    found = invoke(saved.parent, "check", _rewritten(saved, **changes), status=65).stderr
    assert "content id" in found


def test_a_header_of_another_digest(saved: Path) -> None:
    """What guards results, such as the speakers whose labels were seen, is no part of the content
    id."""
    header = checkpoint_header.read_header(saved)
    save_file(load_file(saved), saved, {METADATA_KEY: json.dumps({**header, "metrics": {"a": 1}})})
    with pytest.raises(DataError, match="digest differs"):
        checkpoint.load(saved)
    assert "digest differs" in invoke(saved.parent, "info", saved, status=65).stderr


def test_the_manual_lists_the_keys_of_the_content_id() -> None:
    """Other programs compute the content id by avaffect-checkpoint(5)."""
    page = (ROOT / "man" / "avaffect-checkpoint.5").read_text(encoding="utf-8")
    listed = page.split("The object of those keys among\n")[1].split("that the header has")[0]
    keys = re.findall(r"[a-z]+", listed)
    assert keys == [*checkpoint_header.SEMANTIC_KEYS, "runs"]


def test_a_header_without_a_digest_is_read_with_a_word(saved: Path) -> None:
    header = checkpoint_header.read_header(saved)
    old = {key: header[key] for key in header if key != DIGEST_KEY} | {"version": "1.0"}
    save_file(load_file(saved), saved, {METADATA_KEY: json.dumps(old)})
    assert checkpoint.load(saved)[0] == old
    found = invoke(saved.parent, "check", saved)
    assert found.stdout == f"{saved}: ok\n" and "version 1.0" in found.stderr
    save_file(load_file(saved), saved, {METADATA_KEY: json.dumps({**old, "version": "1.1"})})
    with pytest.raises(DataError, match="digest differs"):
        checkpoint.load(saved)


def test_a_checkpoint_that_is_replaced_while_it_is_read(saved: Path, monkeypatch) -> None:
    def replaced(path: Path):
        other = path.with_name("other")
        other.write_bytes(path.read_bytes())
        other.replace(path)
        return load_file(path)

    monkeypatch.setattr(checkpoint, "load_file", replaced)
    with pytest.raises(DataError, match="replaced while it was read"):
        checkpoint.load(saved)


def test_another_major_version(saved: Path) -> None:
    with pytest.raises(DataError, match=r"version 2\.0; this program reads version 1\.x"):
        checkpoint.load(_rewritten(saved, version="2.0"))
    invoke(saved.parent, "check", saved, status=65)


def test_a_later_minor_version(saved: Path) -> None:
    """It adds keys that are not understood here, and is read."""
    assert checkpoint.load(_rewritten(saved, version="1.7", mood="new"))[0]["mood"] == "new"


def test_a_strangers_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(3)}, path, {"format": "pt"})
    for command in (["info", path], ["check", path]):
        found = invoke(tmp_path, *command, status=65).stderr
        assert "was not written by avaffect" in found
    with pytest.raises(DataError, match="import"):
        checkpoint.load(path)


def test_headers_that_are_no_headers(tmp_path: Path) -> None:
    for number, text in enumerate(["{", "[]", "7", '{"format": "x"}', '{"version": null}']):
        path = tmp_path / f"{number}.safetensors"
        save_file({"weight": torch.ones(3)}, path, {METADATA_KEY: text})
        found = invoke(tmp_path, "check", path, status=65).stderr
        assert str(path) in found


class _Evil:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_pickles_are_refused_and_never_run(chain: Path) -> None:
    mark = chain / "executed"
    torch.save({"weight": _Evil(mark)}, chain / "evil.pt")
    for command in (
        ["check", "evil.pt"],
        ["info", "evil.pt"],
        ["extract", "a.h5", "--model", "evil.pt", "-o", "x.h5"],
        ["finetune", "a.h5", "--encoder", "evil.pt"],
        ["predict", "a.h5", "--model", "evil.pt"],
    ):
        found = invoke(chain, *command, status=65)
        assert "evil.pt" in found.stderr
    assert not mark.exists() and not (chain / "x.h5").exists()


def test_kinds_are_not_mixed_up(chain: Path) -> None:
    from_init = ["pretrain-hubert", "a.h5", "--units", "units_a.h5", "--init"]
    for command, given, kind, wanted in (
        (["finetune", "a.h5", "--encoder"], "projector", "projector", "encoder"),
        (["train-projector", "a.h5", "--encoder"], "kmeans", "quantiser", "encoder"),
        (["predict", "a.h5", "--model"], "fav", "encoder", "classifier"),
        (["cluster", "a.h5", "--model"], "kmeans", "quantiser", "encoder"),
        (from_init, "projector", "projector", "encoder"),
    ):
        path = f"{given}.safetensors"
        found = invoke(chain, *command, path, "-o", "new.safetensors", status=65)
        assert f"{path} is {WORDS[kind]}, and {WORDS[wanted]} is needed" in found.stderr
        assert not (chain / "new.safetensors").exists()


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    head = Head(HeadConfiguration(4, 3))
    path = tmp_path / "head.safetensors"
    state = {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    checkpoint.save(path, "classifier", state, model=registry.describe(head))
    fresh = registry.build(checkpoint.load(path)[0]["model"])
    checkpoint.load_into(fresh, checkpoint.load(path)[1], path, "head.")
    for name, tensor in head.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor)
    with pytest.raises(DataError, match="missing"):
        checkpoint.load_into(fresh, checkpoint.load(path)[1], path)
    wide = Head(HeadConfiguration(5, 3))
    with pytest.raises(DataError, match="other shapes"):
        checkpoint.load_into(wide, checkpoint.load(path)[1], path, "head.")
    assert isinstance(wide, nn.Module)


def test_a_model_that_nobody_knows(chain: Path) -> None:
    path = chain / "fav.safetensors"
    header = checkpoint_header.read_header(path)
    for model in ({"name": "never-heard-of", "configuration": {}},
                  {**header["model"], "configuration": {"colour": "green"}}):  # fmt: skip
        _rewritten(path, model=model)
        found = invoke(chain, "extract", "a.h5", "--model", path, "-o", "x.h5", status=65)
        assert "fav.safetensors" in found.stderr
