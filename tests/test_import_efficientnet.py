"""`import` of EfficientNet: transformers' own model, and torchvision's and timm's names of weights,
give the same frames; what other commands make of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import invoke
from clips import faces
from published import save_transformers
from safetensors.torch import save_file
from stores import write_store
from test_efficientnet import TINY, trained
from torch import Tensor, nn

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.core.batch import Batch
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.efficientnet import PRESETS, EfficientNet
from avaffect.recipes.encoding import checkpoints

CPU = torch.device("cpu")
# The blocks of the first stage do not expand.
SMALL = replace(TINY, stages=((3, 1, 1, 8, 2), (5, 2, 4, 16, 2)))
# B2 in transformers' words.
B2 = {
    "width_coefficient": 1.1, "depth_coefficient": 1.2, "hidden_dim": 1408, "image_size": 260,
    "depthwise_padding": [5, 8, 16],
}  # fmt: skip


# -- their names, written apart from the program --------------------------------------------------

TIMM = {
    "expand.conv": "conv_pw", "expand.norm": "bn1", "depthwise.conv": "conv_dw",
    "depthwise.norm": "bn2", "squeeze.reduce": "se.conv_reduce",
    "squeeze.expand": "se.conv_expand", "project.conv": "conv_pwl", "project.norm": "bn3",
}  # fmt: skip
TIMM_PLAIN = TIMM | {"depthwise.norm": "bn1", "project.conv": "conv_pw", "project.norm": "bn2"}
TORCHVISION = {
    "expand.conv": "0.0", "expand.norm": "0.1", "depthwise.conv": "1.0", "depthwise.norm": "1.1",
    "squeeze.reduce": "2.fc1", "squeeze.expand": "2.fc2", "project.conv": "3.0",
    "project.norm": "3.1",
}  # fmt: skip
OUTSIDE = {
    "timm": {"stem.conv": "conv_stem", "stem.norm": "bn1", "top.conv": "conv_head",
             "top.norm": "bn2"},
    "torchvision": {"stem.conv": "features.0.0", "stem.norm": "features.0.1",
                    "top.conv": "features.3.0", "top.norm": "features.3.1"},
}  # fmt: skip


def theirs(model: EfficientNet, writer: str, prefix: str = "") -> dict[str, Tensor]:
    """The weights of a model of two stages, of which the first does not expand; a classifier."""
    found = {}
    for name, value in model.state_dict().items():
        module, _, leaf = name.rpartition(".")
        block = re.fullmatch(r"stages\.(\d)\.(\d)\.(.+)", module)
        if block is None:
            module = OUTSIDE[writer][module]
        elif writer == "timm":
            names = TIMM if block[1] == "1" else TIMM_PLAIN
            module = f"blocks.{block[1]}.{block[2]}.{names[block[3]]}"
        else:
            part = TORCHVISION[block[3]]
            if block[1] == "0":
                part = f"{int(part[0]) - 1}{part[1:]}"
            module = f"features.{int(block[1]) + 1}.{block[2]}.block.{part}"
        found[f"{prefix}{module}.{leaf}"] = value
    above = "classifier" if writer == "timm" else "classifier.1"
    return found | {f"{prefix}{above}.weight": torch.ones(5, 32)}


def imported(folder: Path, *options: object, name: str = "x.safetensors") -> EfficientNet:
    invoke(folder, "import", *options, "-o", name)
    encoder, header = checkpoints.load_encoder(folder / name, CPU)
    assert isinstance(encoder, EfficientNet)
    assert header.published is not None and header.published.kind == "efficientnet"
    return encoder


def refused(folder: Path, *options: object) -> str:
    return invoke(folder, "import", *options, "-o", "refused.safetensors", status=65).stderr


def assert_same(found: EfficientNet, expected: EfficientNet) -> None:
    batch = faces((3, 2), size=40, channels=3)
    with torch.no_grad():
        torch.testing.assert_close(
            found(batch).values, expected(batch).values, atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_torchvision(tmp_path, prefix):
    model = trained(replace(SMALL, face_size=224))
    torch.save(theirs(model, "torchvision", prefix), tmp_path / "a.pth")
    result = invoke(tmp_path, "import", "a.pth", "-o", "x.safetensors")
    assert "EfficientNet of torchvision, frames of 32" in result.stderr
    assert "1 weight" in result.stderr and "classifier" in result.stderr
    assert "does not give" not in result.stderr
    found = imported(tmp_path, "a.pth")
    assert found.configuration == model.configuration
    assert_same(found, model)


@pytest.mark.parametrize(
    ("architecture", "padding", "epsilon"),
    [("efficientnet_b2.ra_in1k", "symmetric", 1e-5), ("tf_efficientnet_b2_ns", "same", 1e-3),
     (None, "symmetric", 1e-5)],
)  # fmt: skip
def test_timm(tmp_path, architecture, padding, epsilon):
    model = trained(replace(SMALL, padding=padding, norm_epsilon=epsilon, face_size=40))
    settings: dict[str, Any] = {}
    if architecture is not None:
        settings = {
            "architecture": architecture,
            "pretrained_cfg": {"mean": [0.5, 0.5, 0.4], "std": [0.5, 0.5, 0.6]},
        }
        model.face_mean = torch.tensor([0.5, 0.5, 0.4])
        model.face_std = torch.tensor([0.5, 0.5, 0.6])
    save_transformers(tmp_path / "m", theirs(model, "timm"), settings)
    words = invoke(tmp_path, "import", "m", "--set", "face_size=40", "-o", "x.safetensors").stderr
    # TensorFlow's padding cannot be seen in the weights.
    assert ("padding" in words and "norm_epsilon" in words) is (architecture is None)
    assert_same(imported(tmp_path, "m", "--set", "face_size=40"), model)


def test_settings_of_the_user(tmp_path):
    model = trained(replace(SMALL, padding="same", rate_hz=30.0))
    torch.save({"state_dict": theirs(model, "timm")}, tmp_path / "a.pt")
    found = imported(tmp_path, "a.pt", "--set", "padding=same", "--set", "rate_hz=30",
                     "--set", "face_mean=[0.1, 0.2, 0.3]")  # fmt: skip
    assert found.configuration.padding == "same" and found.rate_hz == 30.0
    assert found.face_mean.tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_random_twin(tmp_path):
    torch.save(theirs(trained(SMALL), "torchvision"), tmp_path / "a.pt")
    invoke(tmp_path, "import", "a.pt", "--random", "-o", "twin.safetensors")
    twin, header = checkpoints.load_encoder(tmp_path / "twin.safetensors", CPU)
    assert header.published is None
    own = imported(tmp_path, "a.pt")
    assert twin.configuration == own.configuration
    assert not torch.equal(twin.stem.conv.weight, own.stem.conv.weight)


# -- files that are refused -----------------------------------------------------------------------


def without(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if part not in name}


def test_what_is_no_whole_model_is_refused(tmp_path):
    whole = theirs(trained(SMALL), "timm")
    for n, (part, words) in enumerate(
        (
            ("blocks.1.1.bn3.bias", "1 missing: stages.1.1.project.norm.bias"),
            ("blocks.0", "none of its"),
            ("blocks.0.1.conv_dw", "unexpected"),
            ("blocks.1.1.conv_pwl", "missing"),
        )
    ):
        torch.save(without(whole, part), tmp_path / f"{n}.pt")
        assert words in refused(tmp_path, f"{n}.pt")
    wrong = whole | {"blocks.1.0.se.conv_reduce.weight": torch.ones(3, 32, 1, 1)}
    torch.save(wrong, tmp_path / "shape.pt")
    assert "of other shapes: stages.1.0.squeeze.reduce.weight" in refused(tmp_path, "shape.pt")
    torch.save(whole | {"blocks.0.0.attention.weight": torch.ones(2)}, tmp_path / "more.pt")
    assert "1 unexpected: blocks.0.0.attention.weight" in refused(tmp_path, "more.pt")
    save_file(whole, tmp_path / "cut.safetensors")
    data = (tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    assert "cut.safetensors" in refused(tmp_path, "cut.safetensors")


def test_other_networks_for_pictures_are_refused(tmp_path):
    for n, names in enumerate(
        (
            ["conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "fc.weight"],
            ["features.0.0.weight", "features.1.0.block.0.0.weight", "classifier.1.weight"],
            ["conv_stem.weight", "blocks.0.0.conv.weight", "conv_head.weight"],
        )
    ):  # fmt: skip
        torch.save({name: torch.ones(8, 8, 3, 3) for name in names}, tmp_path / f"{n}.pt")
        assert "EfficientNet" in refused(tmp_path, f"{n}.pt")
    torch.save(theirs(trained(SMALL), "timm"), tmp_path / "b.pt")
    assert "EfficientNet" in refused(tmp_path, "b.pt", "--as", "hubert")
    save_transformers(tmp_path / "m", {"a.weight": torch.ones(2)}, {"model_type": "efficientnet"})
    assert "EfficientNet's" in refused(tmp_path, "m")
    save_transformers(tmp_path / "n", theirs(trained(SMALL), "timm"), {"model_type": "resnet"})
    assert "'resnet'" in refused(tmp_path, "n")


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit(9)",)


NAN = torch.full((8,), torch.nan)


@pytest.mark.parametrize("writer", ["timm", "torchvision"])
@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("stem.norm.running_var", NAN, "no numbers"),
        ("stem.norm.running_var", -torch.ones(8), "no numbers"),
        ("stem.conv.weight", torch.ones(8), "of no model that is known"),
        ("stem.conv.weight", torch.ones(0, 3, 3, 3), "of no model that is known"),
        ("stem.conv.weight", torch.ones(8, 3, 3, 3, dtype=torch.int16), "of other types"),
        ("stages.0.0.depthwise.conv.weight", torch.ones(8, 1, 3), "of no model that is known"),
        ("stages.0.0.depthwise.conv.weight", torch.ones(()), "of no model that is known"),
        ("stages.1.0.project.conv.weight", torch.ones(16, 32, 3, 3), "of other shapes"),
        ("top.conv.weight", torch.ones(1).expand(1 << 40, 16, 1, 1), "more numbers"),
        ("stem.conv.weight", Hostile(), "refused"),
    ],
)
def test_hostile_files_are_refused(tmp_path, writer, part, value, words):
    """Nothing in them is run, and nothing is made of them."""
    names = theirs(trained(SMALL), writer)
    own = trained(SMALL).state_dict()
    name = theirs_of(own, part, names)
    torch.save(names | {name: value}, tmp_path / "x.pt")
    found = refused(tmp_path, "x.pt")
    assert words in found and "x.pt" in found
    assert not (tmp_path / "refused.safetensors").exists()


def theirs_of(own: dict[str, Tensor], part: str, names: dict[str, Tensor]) -> str:
    """The other program's name of one of our weights: the places agree."""
    return list(names)[list(own).index(part)]


# -- transformers' own, on real faces -------------------------------------------------------------


@pytest.fixture(scope="module")
def films(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of half a second of two talking heads: faces of 224 pixels, RGB."""
    folder = tmp_path_factory.mktemp("films")
    talking = recordings / "video_styletalk"
    rows = [f"{name},{talking / name}.mp4,1,1.5" for name in ("Obama_clip1", "feifeili_clip1")]
    (folder / "films.csv").write_text("\n".join(["id,path,start,end", *rows, ""]))
    invoke(folder, "manifest", "table", "films.csv", "--id", "id", "--media", "path",
           "--start", "start", "--end", "end", "-o", "films.jsonl")  # fmt: skip
    invoke(folder, "preprocess", "films.jsonl", "--size", 224, "--color", "rgb", "-j", 1,
           "-o", "films.h5")  # fmt: skip
    return folder


def saved_by_transformers(
    path: Path, classifier: bool = False, pixels: Tensor | None = None, **more: Any
):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    configuration = transformers.EfficientNetConfig(**(B2 | {"drop_connect_rate": 0.0} | more))
    kind = "EfficientNetForImageClassification" if classifier else "EfficientNetModel"
    model = getattr(transformers, kind)(configuration).eval()
    # A fresh model makes nothing of a picture: weights as after training, and statistics as
    # those of its pictures.
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 64, 64) if pixels is None else pixels)
    model.eval()
    model.save_pretrained(path)
    return model


def stages_of(encoder: EfficientNet, batch: Batch) -> list[Tensor]:
    """What comes out of the stem, of each block, and of the last convolution."""
    found: list[Tensor] = []
    blocks = [block for stage in encoder.stages for block in stage]
    hooks = [
        module.register_forward_hook(lambda _, __, out: found.append(out))
        for module in (encoder.stem, *blocks, encoder.top)
    ]
    with torch.no_grad():
        found.append(encoder(batch).values[0])
    for hook in hooks:
        hook.remove()
    return found


def test_every_stage_agrees_on_real_faces(films, tmp_path):
    pictures = np.concatenate([Store(films / "films.h5").read("face", n)[::6] for n in (0, 1)])
    count = len(pictures)
    assert count >= 4 and pictures.shape[1:] == (224, 224, 3)
    # RGB: skin is redder than blue.
    assert pictures[..., 0].mean() > pictures[..., 2].mean() + 10
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.tensor(((pictures / 255.0 - mean) / std).transpose(0, 3, 1, 2)).float()
    model = saved_by_transformers(tmp_path / "model", pixels=pixels)
    encoder = imported(tmp_path, "model")
    expected = replace(
        PRESETS["b2"], padding="late", symmetric_blocks=(5, 8, 16), norm_epsilon=1e-3
    )
    assert encoder.configuration == expected
    film = torch.from_numpy(pictures)[None]
    batch = Batch(["a"], {"face": film}, {"face": torch.tensor([count])})
    # The numbers of a frame in single precision; in double every number of every block, where
    # rounding does not add up over the blocks.
    with torch.no_grad():
        frames = encoder(batch).values[0]
        assert frames.shape == (count, 1408)
        np.testing.assert_allclose(frames, model(pixels).pooler_output, atol=1e-4, rtol=0)
        reference = model.double()(pixels.double(), output_hidden_states=True)
    hidden = [*reference.hidden_states, reference.last_hidden_state, reference.pooler_output]
    found = stages_of(encoder.double(), batch)
    assert len(found) == len(hidden) == 1 + 23 + 1 + 1
    for ours, other in zip(found, hidden):
        assert other.std() > 0.05
        np.testing.assert_allclose(ours, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("classifier", [False, True], ids=["bare", "classifier"])
def test_transformers_with_and_without_settings(tmp_path, classifier):
    """Another size, without config.json recognised by its weights; twice the same deviation."""
    saved_by_transformers(tmp_path / "m", classifier, width_coefficient=0.25, hidden_dim=320,
                          depth_coefficient=0.5, depthwise_padding=[2])  # fmt: skip
    (tmp_path / "m" / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.485, 0.456, 0.406], "image_std": [0.5, 0.4, 0.3],
                    "do_rescale": True, "rescale_factor": 1 / 255})
    )  # fmt: skip
    found = imported(tmp_path, "m")
    assert found.dim == 320 and [len(stage) for stage in found.stages] == [1, 1, 1, 2, 2, 2, 1]
    assert found.face_std.tolist() == pytest.approx([0.25, 0.16, 0.09])
    assert found.configuration.symmetric_blocks == (2,)
    (tmp_path / "m" / "config.json").write_text(json.dumps(
        json.loads((tmp_path / "m" / "config.json").read_text()) | {"depth_coefficient": 1.0}
    ))  # fmt: skip
    assert "16 blocks there, and 10 by its weights" in refused(tmp_path, "m")
    (tmp_path / "m" / "config.json").unlink()
    words = invoke(tmp_path, "import", "m", "-o", "bare.safetensors").stderr
    assert "symmetric_blocks=[]" in words


def test_settings_of_another_model_are_refused(tmp_path):
    small = {"width_coefficient": 0.25, "hidden_dim": 320, "depth_coefficient": 0.5}
    saved_by_transformers(tmp_path / "m", **small)
    said = json.loads((tmp_path / "m" / "config.json").read_text())
    for wrong in (
        {"hidden_dim": 1408}, {"pooling_type": "max"}, {"hidden_act": "relu"}, {"strides": [1, 2]},
        {"squeeze_expansion_ratio": 0.5}, {"num_block_repeats": "many"},
    ):  # fmt: skip
        (tmp_path / "m" / "config.json").write_text(json.dumps(said | wrong))
        assert next(iter(wrong)) in refused(tmp_path, "m") or "model" in refused(tmp_path, "m")


# -- in the hands of the other commands -----------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, imported, and faces of two classes by six speakers."""
    found = tmp_path_factory.mktemp("efficientnet")
    torch.save(theirs(trained(SMALL), "torchvision"), found / "a.pt")
    invoke(found, "import", "a.pt", "--set", "face_size=32", "-o", "faces.safetensors")
    random = np.random.default_rng(0)
    streams = {"face": StreamSpec("face", "uint8", 25.0, (32, 32, 3))}
    labels = {"emotion": LabelSpec("class", ("anger", "sadness"))}
    with store_writer(found / "a.h5", {}, streams=streams, labels=labels) as writer:
        for row in range(24):
            film = random.integers(0, 200, (4 + row % 3, 32, 32, 3), dtype=np.uint8)
            film[..., row % 2] += 50
            emotion = ("anger", "sadness")[row % 2]
            writer.add(
                f"u{row}", streams={"face": film}, labels={"emotion": emotion},
                meta={"speaker": f"s{row // 4}", "split": "train" if row < 16 else
                      ("development", "test")[row // 20]},
            )  # fmt: skip
    return found


def test_extract_gives_every_frame_with_its_time(folder, tmp_path):
    invoke(folder, "extract", "a.h5", "--model", "faces.safetensors", "-o", tmp_path / "f.h5",
           "--batch-seconds", 0.2)  # fmt: skip
    features, media = Store(tmp_path / "f.h5"), Store(folder / "a.h5")
    spec = features.streams["features"]
    assert spec.rate_hz == 25.0 and spec.shape == (32,)
    assert features.lengths("features").tolist() == media.lengths("face").tolist()
    encoder = checkpoints.load_encoder(folder / "faces.safetensors", CPU)[0]
    for row in (0, 5):
        film = torch.from_numpy(media.read("face", row).copy())[None]
        with torch.no_grad():
            expected = encoder(
                Batch(["a"], {"face": film}, {"face": torch.tensor([film.shape[1]])})
            )
        np.testing.assert_allclose(
            features.read("features", row), expected.values[0], atol=1e-5, rtol=1e-4
        )


def test_smaller_and_grey_faces_are_converted_with_a_warning(folder, tmp_path):
    grey = [np.full((3, 24, 24, 1), 90, dtype=np.uint8)]
    write_store(tmp_path / "grey.h5", {"face": (25.0, grey)})
    line = ("--model", folder / "faces.safetensors")
    words = invoke(tmp_path, "extract", "grey.h5", *line, "-o", "g.h5").stderr
    assert "--size 32 --color rgb" in words
    assert Store(tmp_path / "g.h5").lengths("features").tolist() == [3]
    words = invoke(folder, "extract", "a.h5", *line, "-o", tmp_path / "a.h5").stderr
    assert "--color" not in words
    write_store(tmp_path / "fast.h5", {"face": (30.0, [np.zeros((3, 32, 32, 3), dtype=np.uint8)])})
    words = invoke(tmp_path, "extract", "fast.h5", *line, "-o", "h.h5", status=65).stderr
    assert "--fps 25" in words


@pytest.mark.parametrize("mode", ["frozen", "fine-tuned", "scratch"])
def test_classifiers(folder, tmp_path, mode):
    invoke(folder, "finetune", "a.h5", "--encoder", "faces.safetensors", "--mode", mode,
           "--epochs", 1, "-o", tmp_path / "er.safetensors")  # fmt: skip
    invoke(folder, "predict", "a.h5", "--model", tmp_path / "er.safetensors", "--split", "test",
           "-o", tmp_path / "p.jsonl")  # fmt: skip
    assert len(manifest.read(tmp_path / "p.jsonl").items) == 4
