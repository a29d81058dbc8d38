"""`import` of VAVL's files: predictions, released behaviour, parts that are missing or unnamed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from golden import keyed
from test_vavl import CLOSE, GOLDEN, KEYS, close, configuration, given
from two_stores import features, store

from avaffect.models.heads.vavl import VAVLHead
from avaffect.models.published.vavl import as_released
from avaffect.models.published.vavl_names import released
from avaffect.training import checkpoint
from avaffect.training.foreign_files import PARTS

FILES = {part.removesuffix("."): file for file, part in PARTS.items()}
CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
NAMED = ("--set", f"classes={','.join(CLASSES)}")


def parts(outputs: int = 6) -> dict[str, dict[str, torch.Tensor]]:
    """Part -> its state dict, the tiny model of the golden values."""
    head = VAVLHead(configuration())
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, own in head.state_dict().items():
        if name == "trained":
            continue
        part, theirs = released(name)
        shape = tuple(own.shape)
        if "out_layer" in theirs and shape[0] == 6:
            shape = (outputs, *shape[1:])
        # Convolutions of one frame are dense layers here.
        shape += (1,) * (len(KEYS["keys"][part][theirs]) - len(shape))
        key = f"{part}.{theirs}"
        value = own if key.endswith(keyed.KEPT) else torch.as_tensor(keyed.weight(key, shape))
        found.setdefault(part, {})[theirs] = value
    for part in ("acoustic", "visual", "shared"):
        prefix = f"x_{part}.encoder"
        found[part][f"{prefix}.conv_subsample.sequential.0.bias"] = torch.zeros(16)
        pe = torch.zeros(1, 20, 16)
        found[part][f"{prefix}.layers.0.sequential.1.module.positional_encoding.pe"] = pe
    found["MLP_av"] = dict(found["weights"])
    return found


def write(folder: Path, held: dict[str, dict[str, torch.Tensor]], prefix: str = "") -> Path:
    folder.mkdir()
    for part, tensors in held.items():
        named = {f"{prefix}{name}": value for name, value in tensors.items()}
        torch.save(named, folder / FILES[part])
    return folder


def imported(folder: Path, *options: object) -> tuple[dict, VAVLHead]:
    invoke(folder, "import", "m", *options, "-o", "v.safetensors")
    header, tensors = checkpoint.load(folder / "v.safetensors")
    head = checkpoint.build(header["model"], tensors, folder / "v.safetensors", "runs.0.head.")
    return header, head.eval()


@pytest.mark.parametrize("layout", ["files", "parallel", "one file", "nested", "wrapped"])
def test_it_computes_what_the_released_weights_compute(tmp_path: Path, layout: str) -> None:
    if layout == "one file":
        whole = {f"{p}.{n}": value for p, held in parts().items() for n, value in held.items()}
        torch.save(whole, tmp_path / "m")
    elif layout in ("nested", "wrapped"):
        torch.save(parts() if layout == "nested" else {"model": parts()}, tmp_path / "m")
    else:
        write(tmp_path / "m", parts(), "module." * (layout == "parallel"))
    header, labelled = imported(tmp_path, *NAMED)
    assert header["labels"] == {"emotion": list(CLASSES)}
    predicted = labelled.head.predictions(labelled.head.streams_of(given()))
    for modality, letters in (("audio", "a"), ("video", "v"), ("av", "av")):
        close(predicted[modality], f"batchfirst_pred_{letters}")
    assert labelled.head.trained.all()


def test_released_behaviour_checks_weights(tmp_path: Path) -> None:
    write(tmp_path / "m", parts())
    _, labelled = imported(tmp_path, *NAMED)
    values = {name: frames.values for name, frames in given().items()}
    with torch.inference_mode():
        found, av = as_released(labelled.head, values)
    close(av, "released_pred_av")
    for modality, one in found.items():
        close(one.encoded, f"released_enc_{modality[0]}")
        close(one.shared, f"released_rep_{modality[0]}")
        close(one.predicted, f"released_pred_{modality[0]}")
        assert one.reconstructed is not None
        close(one.reconstructed, f"released_rec_{modality[0]}")


def test_predict_reads_any_features_of_its_widths(tmp_path: Path) -> None:
    write(tmp_path / "m", parts())
    imported(tmp_path, *NAMED)
    for modality, width in (("audio", 12), ("video", 14)):
        rows = [{"identifier": f"u{n}", "meta": {"speaker": "s"}, "streams": {"features": frames}}
                for n, frames in enumerate(GOLDEN[f"input_{modality}"])]  # fmt: skip
        store(tmp_path / f"{modality}.h5", features(9.0, width, modality), {}, rows)
        narrow = [{**row, "streams": {"features": row["streams"]["features"][:, :3]}}
                  for row in rows]  # fmt: skip
        store(tmp_path / f"narrow-{modality}.h5", features(9.0, 3, modality), {}, narrow)
    predict = ("predict", "audio.h5", "--model", "v.safetensors")
    two = ("--features", "audio=audio.h5", "--features", "video=video.h5")
    lines = invoke(tmp_path, *predict, *two).stdout.splitlines()[1:-1]
    items = [json.loads(line) for line in lines]
    expected = torch.from_numpy(GOLDEN["batchfirst_pred_av"]).softmax(dim=1).numpy()
    scores = [[item["scores"][name] for name in CLASSES] for item in items]
    np.testing.assert_allclose(scores, expected, **CLOSE)
    assert {item["modality"] for item in items} == {"av"}
    # Whose voices its training part had is not known here.
    assert {item["seen"] for item in items} == {"unknown"}
    invoke(tmp_path, *predict, "--features", "video=narrow-video.h5", status=65)
    invoke(tmp_path, "info", "v.safetensors")


def test_attributes_and_ablations(tmp_path: Path) -> None:
    held = parts(outputs=3)
    for part in ("weights", "MLP_av", "MLP_rec_a", "MLP_rec_v"):
        del held[part]
    write(tmp_path / "m", held)
    header, labelled = imported(tmp_path, "--set", "residual=false")
    assert header["scalars"] == ["arousal", "dominance", "valence"]
    c = labelled.head.configuration
    assert (c.residual, c.reconstruction, c.av_head) == (False, False, False)
    assert c.reconstruction_weight == 1.0 and not labelled.head.untrained
    found = invoke(tmp_path, "import", "m", "--set", "label=mood", "-o", "x.st", status=2)
    assert "label=mood" in found.stderr and not (tmp_path / "x.st").exists()
    _, twin = imported(tmp_path, "--set", "residual=false", "--random", "-f")
    name = "head.layers.encoder.widen.0.weight"
    assert not torch.equal(twin.state_dict()[name], labelled.state_dict()[name])


def test_mistakes(tmp_path: Path) -> None:
    def refused(path: str, *options: object, status: int = 65) -> str:
        found = invoke(tmp_path, "import", path, *options, "-o", "x.safetensors", status=status)
        assert not (tmp_path / "x.safetensors").exists()
        return found.stderr

    held = parts()
    write(tmp_path / "m", held)
    assert "classes=" in refused("m")
    for wrong in ("anger,fear", ",".join((*CLASSES, "fear")), ",".join((*CLASSES[:-1], ""))):
        refused("m", "--set", f"classes={wrong}")
    refused("m", *NAMED, "--set", "kernels=3", status=2)
    refused("m", *NAMED, "--set", "hidden=8")
    for wrong in ("residual=False", "residual=no", "residual=1", "hidden=8.0", "label="):
        assert f"--set {wrong}" in refused("m", *NAMED, "--set", wrong, status=2)
    for wrong in ("attention_heads=3", "kernel=2"):
        words = refused("m", *NAMED, "--set", wrong)
        assert wrong in words and "--head-option" not in words
    refused("m/MLP_a_head.pt", *NAMED)
    (tmp_path / "m" / FILES["visual"]).unlink()
    assert "visual" in refused("m", *NAMED)
    del held["acoustic"]["conv_1d_a.weight"]
    held["shared"]["more.weight"] = torch.zeros(2)
    write(tmp_path / "n", held)
    assert "conv_1d_a" in refused("n", *NAMED)
    held["acoustic"] = parts()["acoustic"]
    assert "more.weight" in refused(write(tmp_path / "o", held).name, *NAMED)
    held = parts()
    del held["MLP_a"]["out_layer.weight"]
    words = refused(write(tmp_path / "p", held).name, *NAMED)
    assert "MLP_a.out_layer.weight is missing" in words
