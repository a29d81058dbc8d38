"""Reading others' weight files: what is read, and that nothing in them ever runs."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import io
import os
import pickle
import struct
import subprocess
import types
import uuid
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from published import SPECIAL, fairseq_dictionary, hubert_settings, save_fairseq
from safetensors.torch import save_file

from avaffect.core.errors import DataError
from avaffect.training import foreign, foreign_files, unpickling

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1, 2])}


class Runs:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def read(path: Path) -> foreign.Foreign:
    return foreign.read(foreign_files.files_of(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_fairseq_gives_weights_settings_and_symbols(tmp_path, zipped):
    symbols = [*SPECIAL, "0", "1"]
    save_fairseq(tmp_path / "x.pt", WEIGHTS, hubert_settings(), symbols,
                 _use_new_zipfile_serialization=zipped)  # fmt: skip
    found = read(tmp_path / "x.pt")
    assert found.settings == hubert_settings()
    assert found.dictionaries == [symbols]
    assert found.tensors.keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        torch.testing.assert_close(found.tensors[name], value)


def test_settings_of_older_files_are_the_attributes_of_their_namespace(tmp_path):
    arguments = argparse.Namespace(encoder_layers=12, layer_norm_first=True)
    torch.save({"args": arguments, "model": WEIGHTS}, tmp_path / "x.pt")
    assert read(tmp_path / "x.pt").settings == {"encoder_layers": 12, "layer_norm_first": True}


def test_classes_that_nobody_needs_are_replaced_unseen(tmp_path):
    with fairseq_dictionary() as made:
        held = {
            "model": WEIGHTS,
            "extra_state": {
                "meter": made(),
                "counts": collections.defaultdict(list, a=[1]),
                "folder": Path("/data"),
                "score": np.float64(0.5),
                "set": {1, 2},
            },
        }
        torch.save(held, tmp_path / "x.pt")
    assert read(tmp_path / "x.pt").tensors.keys() == WEIGHTS.keys()
    assert unpickling.unpickle(tmp_path / "x.pt")["extra_state"]["counts"] == {"a": [1]}


def test_half_precision_and_bare_state_dicts(tmp_path):
    torch.save({name: value.half() for name, value in WEIGHTS.items()}, tmp_path / "x.bin")
    assert read(tmp_path / "x.bin").tensors["a.weight"].dtype == torch.float16


HOSTILE = {
    "os.system": lambda target: Runs(os.system, f"touch {target}"),
    "subprocess.Popen": lambda target: Runs(subprocess.Popen, ["touch", str(target)]),
    "builtins.exec": lambda target: Runs(exec, f"open({str(target)!r}, 'w')"),
    "builtins.open": lambda target: Runs(open, str(target), "w"),
    "builtins.getattr": lambda target: Runs(getattr, target, "touch"),
    "pathlib call": lambda target: Runs(Path.touch, target),
    "torch.hub": lambda target: Runs(torch.hub.load, "x/y", "z"),
    "numpy": lambda target: Runs(np.save, str(target), 1),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_pickle_runs_nothing(tmp_path, how, zipped):
    target = tmp_path / "ran"
    torch.save({"model": WEIGHTS, "cfg": HOSTILE[how](target)}, tmp_path / "x.pt",
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    with pytest.raises(DataError, match="refused, nothing was run"):
        read(tmp_path / "x.pt")
    assert not list(tmp_path.glob("ran*"))


def test_names_that_only_the_unpickler_would_see_run_nothing(tmp_path):
    """Protocol 4 puts names on the stack, and old opcodes make objects without GLOBAL."""
    target = tmp_path / "ran"
    protocol_4 = pickle.dumps(Runs(os.system, f"touch {target}"), protocol=4)
    instance = b"(S'touch " + str(target).encode() + b"'\nios\nsystem\n."
    disguised = (
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x8c\x08pathlibX\x940\x8c\x01x0\x93"
        + b"(S'touch " + str(target).encode() + b"'\ntR."
    )  # fmt: skip
    for number, data in enumerate((protocol_4, instance, disguised)):
        for kind in ("plain", "zip"):
            path = tmp_path / f"{number}-{kind}.pt"
            if kind == "plain":
                path.write_bytes(data)
            else:
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr("x/data.pkl", data)
                    archive.writestr("x/version", "3\n")
            with pytest.raises(DataError):
                read(path)
    assert not target.exists()


def rewritten(path: Path, compression: int) -> Path:
    """The same archive, packed anew."""
    found = path.with_name("packed.pt")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(found, "w", compression) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return found


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_that_was_packed_anew_has_the_same_weights(tmp_path, compression):
    weights = {"a": torch.randn(200, 30)}
    torch.save(weights, tmp_path / "x.pt")
    found = read(rewritten(tmp_path / "x.pt", compression)).tensors["a"]
    torch.testing.assert_close(found, weights["a"], atol=0, rtol=0)


def test_a_flipped_bit_is_noticed(tmp_path):
    torch.save({"a": torch.full((1000,), 7.0)}, tmp_path / "x.pt")
    content = bytearray((tmp_path / "x.pt").read_bytes())
    place = content.index(struct.pack("<f", 7.0) * 4)
    content[place + 2] ^= 1
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (torch.tensor([1.0, float("nan")]), "no numbers"),
        (torch.zeros(1).expand(10**9), "more numbers than the file holds"),
        (torch.zeros(3, dtype=torch.complex64), "no plain tensor"),
        (torch.zeros(3).to_sparse(), "no plain tensor"),
    ],
    ids=["nan", "expanded", "complex", "sparse"],
)
def test_weights_that_are_no_weights(tmp_path, weight, words):
    torch.save({"a": weight}, tmp_path / "x.pt")
    with pytest.raises(DataError, match=words):
        read(tmp_path / "x.pt")


class DictConfig:
    """As omegaconf keeps it: contents, and a way back to the parent."""

    def __init__(self, content, parent=None):
        self.__dict__ |= {"_content": content, "_parent": parent, "_metadata": {}}


def test_settings_of_omegaconf_and_settings_without_end(tmp_path):
    inner = DictConfig({})
    outer = DictConfig({"model": inner}, None)
    inner.__dict__ |= {"_parent": outer, "_content": {"heads": 4}}
    circle: list = []
    circle.append(circle)
    laughs: list = ["ha"]
    for _ in range(40):
        laughs = [laughs, laughs]
    torch.save({"model": WEIGHTS, "cfg": outer}, tmp_path / "x.pt")
    assert read(tmp_path / "x.pt").settings == {"model": {"heads": 4}}
    for cfg in (circle, laughs, {"a": circle}):
        torch.save({"model": WEIGHTS, "cfg": cfg}, tmp_path / "x.pt")
        with pytest.raises(DataError, match="larger or deeper"):
            read(tmp_path / "x.pt")


def test_plain_values_of_the_standard_library_are_no_danger(tmp_path):
    held = [int, str, range(3), collections.deque([1]), datetime.date(2026, 1, 1),
            datetime.timezone.utc, types.SimpleNamespace(a=1), decimal.Decimal("1.5"),
            uuid.uuid4()]  # fmt: skip
    torch.save({"model": WEIGHTS, "extra_state": held}, tmp_path / "x.pt")
    assert read(tmp_path / "x.pt").tensors.keys() == WEIGHTS.keys()


def test_other_files_are_called_what_they_are(tmp_path):
    files = {
        "lfs.pt": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "page.pt": (b"<!DOCTYPE html><html>", "web page"),
        "config.json": (b"{}", "holds settings"),
    }
    for name, (content, words) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=words):
            read(tmp_path / name)
    torch.save(WEIGHTS, tmp_path / "new.pt", pickle_protocol=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="Unsupported operand"):
            read(tmp_path / "new.pt")


def test_settings_beside_a_file_belong_to_transformers_alone(tmp_path):
    (tmp_path / "config.json").write_text("[]")
    save_fairseq(tmp_path / "x.pt", WEIGHTS, hubert_settings())
    assert read(tmp_path / "x.pt").settings == hubert_settings()
    save_file(WEIGHTS, tmp_path / "x")
    assert read(tmp_path / "x").tensors.keys() == WEIGHTS.keys()
    torch.save(WEIGHTS, tmp_path / "x.bin")
    with pytest.raises(DataError, match="no JSON object"):
        read(tmp_path / "x.bin")


def test_a_stand_in_is_never_the_real_class(tmp_path):
    """A class of this very process, by a name that looks harmless, is not made either."""
    made = []

    class Watched:
        def __setstate__(self, state):
            made.append(state)

    Watched.__module__, Watched.__qualname__ = "published", "Watched"
    import published

    published.Watched = Watched
    try:
        watched = Watched()
        watched.value = 1
        torch.save({"model": WEIGHTS, "x": watched}, tmp_path / "x.pt")
        found = unpickling.unpickle(tmp_path / "x.pt")["x"]
    finally:
        del published.Watched
    assert not made
    assert isinstance(found, unpickling.StandIn)
    assert found.state == {"value": 1}


def test_programs_and_other_files_are_refused_by_name(tmp_path):
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer)
    files = {
        "cut.pt": buffer.getvalue()[:-200],
        "empty.pt": b"",
        "words.pt": b"these are no weights at all",
        "numbers.pt": struct.pack("<1000d", *range(1000)),
        "cut.safetensors": b"\x10\x00\x00\x00\x00\x00\x00\x00{}",
        "list.pt": None,
    }
    for name, content in files.items():
        path = tmp_path / name
        if content is None:
            torch.save([1, 2], path)
        else:
            path.write_bytes(content)
        with pytest.raises(DataError, match=name):
            read(path)
    script = tmp_path / "script.pt"
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("x/constants.pkl", pickle.dumps(()))
        archive.writestr("x/data.pkl", pickle.dumps({}))
    with pytest.raises(DataError, match="TorchScript"):
        read(script)


def test_folders_and_their_shards(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        foreign_files.files_of(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"model\.safetensors"):
        foreign_files.files_of(tmp_path)
    (tmp_path / "pytorch_model.bin.index.json").write_text(
        '{"weight_map": {"a.weight": "one.bin", "a.bias": "two.bin"}}'
    )
    with pytest.raises(DataError, match=r"one\.bin"):
        foreign_files.files_of(tmp_path)
    for part, name in (("one", "a.weight"), ("two", "a.bias")):
        torch.save({name: WEIGHTS[name]}, tmp_path / f"{part}.bin")
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    found = read(tmp_path)
    assert found.tensors.keys() == WEIGHTS.keys()
    assert found.settings == {"model_type": "hubert"}
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(DataError, match="no JSON object"):
        read(tmp_path)
