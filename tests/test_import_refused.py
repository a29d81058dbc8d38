"""`import` of files that are damaged, hostile, of other models, or half understood."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from chain import invoke
from published import SPECIAL, golden_weights, hubert_settings, save_fairseq, save_transformers
from test_import import HUBERT_CONFIG, TINY, hubert_names, random_hubert

from avaffect.models.hubert import Hubert
from avaffect.models.published import FAMILIES, names
from avaffect.settings.import_ import KINDS
from avaffect.training import checkpoint


@pytest.fixture
def sound_model(tmp_path: Path) -> dict[str, torch.Tensor]:
    return golden_weights(hubert_names())


def refused(folder: Path, *arguments: object, status: int = 65) -> str:
    found = invoke(folder, "import", *arguments, "-o", "x.safetensors", status=status)
    assert not (folder / "x.safetensors").exists()
    return found.stderr


def test_missing_and_unexpected_weights_are_named(tmp_path, sound_model):
    del sound_model["encoder.layers.1.attention.k_proj.bias"]
    sound_model["encoder.layers.1.rel_attn_embed.weight"] = torch.zeros(3)
    sound_model["encoder.layer_norm.weight"] = torch.zeros(63)
    sound_model["encoder.layer_norm.bias"] = torch.zeros(64, dtype=torch.int8)
    words = refused(save_transformers(tmp_path / "m", sound_model, HUBERT_CONFIG).parent, "m")
    assert "1 missing: encoder.layers.1.self_attn.k_proj.bias" in words
    assert "1 unexpected: encoder.layers.1.rel_attn_embed.weight" in words
    assert "1 of other shapes: encoder.layer_norm.weight (63,), not (64,)" in words
    assert "1 of other types: encoder.layer_norm.bias torch.int8" in words


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "sew"}, "model_type is 'sew'"),
        ({"add_adapter": True}, "add_adapter True"),
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"num_attention_heads": 5}, "no model has these settings"),
        ({"hidden_size": 768}, "transformer.dim is 768 there, and 64 by its weights"),
        ({"intermediate_size": 9}, "transformer.ffn_dim is 9 there"),
    ],
)
def test_models_of_another_kind_are_refused(tmp_path, sound_model, config, expected):
    save_transformers(tmp_path / "m", sound_model, {**HUBERT_CONFIG, **config})
    assert expected in refused(tmp_path, "m")


def test_weights_of_something_else_are_refused(tmp_path):
    torch.save({"encoder.weight": torch.zeros(2)}, tmp_path / "x.pt")
    families = (
        "AV-HuBERT, CAV-MAE or Social-MAE, data2vec, EfficientNet, "
        "HuBERT, VAVL, wav2vec 2.0, WavLM or Whisper"
    )
    assert f"holds no {families}" in refused(tmp_path, "x.pt")
    (tmp_path / "y.pt").write_bytes(b"")
    assert "y.pt" in refused(tmp_path, "y.pt")
    assert "no such file" in refused(tmp_path, "z.pt")


def test_weights_of_eight_bits_are_refused(tmp_path, sound_model):
    name = "encoder.layers.1.feed_forward.output_dense.weight"
    sound_model[name] = sound_model[name].to(torch.float8_e4m3fn)
    save_transformers(tmp_path / "m", sound_model, HUBERT_CONFIG)
    assert f"{name} is quantised" in refused(tmp_path, "m")


@pytest.mark.parametrize("name", ["f.csv", "f.npz", "f.arff", "f/a.csv", "f/a.npy"])
def test_features_are_of_another_command(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x,y\n1,2\n")
    given = name.split("/")[0]
    assert f"avaffect import-features {given} -o" in refused(tmp_path, given)


def test_a_pointer_of_git_lfs_is_no_weights(tmp_path):
    (tmp_path / "m.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 9\n")
    assert "git lfs pull" in refused(tmp_path, "m.safetensors")


def test_a_hostile_file_is_refused_with_its_status(tmp_path):
    import os

    class Runs:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    torch.save({"model": {}, "cfg": Runs()}, tmp_path / "x.pt")
    assert "refused, nothing was run" in refused(tmp_path, "x.pt")
    assert "refused" in refused(tmp_path, "x.pt", "-n")
    assert not (tmp_path / "ran").exists()


def test_layers_that_are_not_there_are_missed(tmp_path, sound_model):
    """By the settings, or by a gap; without either nobody can know."""
    config = {**HUBERT_CONFIG, "num_hidden_layers": 3}
    save_transformers(tmp_path / "m", sound_model, config)
    assert "missing: encoder.layers.2.fc1.bias" in refused(tmp_path, "m")
    gap = {name.replace("layers.1.", "layers.7."): value for name, value in sound_model.items()}
    save_transformers(tmp_path / "m", gap, HUBERT_CONFIG)
    assert "is missing" in refused(tmp_path, "m")


def test_what_is_read_is_never_overwritten(tmp_path, sound_model):
    save_transformers(tmp_path / "m", sound_model, HUBERT_CONFIG)
    before = sorted((path.name, path.stat().st_size) for path in (tmp_path / "m").iterdir())
    for name, expected in {
        "model.safetensors": "is an input (weights)",
        "config.json": "name it m/config.safetensors",
    }.items():
        words = invoke(tmp_path, "import", "m", "-f", "-o", f"m/{name}", status=2).stderr
        assert expected in words
    assert before == sorted((path.name, path.stat().st_size) for path in (tmp_path / "m").iterdir())


@pytest.mark.parametrize("name", ["preprocessor_config", "processor_config"])
def test_how_sound_is_prepared_is_read_wherever_it_stands(tmp_path, sound_model, name):
    save_transformers(tmp_path / "m", sound_model, HUBERT_CONFIG)
    prepares = {"do_normalize": True, "sampling_rate": 16000}
    if name == "processor_config":
        prepares = {"feature_extractor": prepares}
    (tmp_path / "m" / f"{name}.json").write_text(json.dumps(prepares))
    invoke(tmp_path, "import", "m", "-o", "x.safetensors")
    found = checkpoint.load(tmp_path / "x.safetensors")[0]["model"]["configuration"]
    assert (found["normalise"], found["normalise_epsilon"]) == (True, 1e-7)
    (tmp_path / "m" / f"{name}.json").write_text('{"sampling_rate": 8000}')
    assert "8000 Hz" in invoke(tmp_path, "import", "m", "-f", status=65).stderr


def test_a_head_of_several_sets_of_units_is_left_out(tmp_path):
    tops = {"final_proj.weight": (32, 64), "final_proj.bias": (32,), "label_embs_concat": (44, 32)}
    weights = random_hubert().state_dict() | {n: torch.randn(shape) for n, shape in tops.items()}
    sets = [[*SPECIAL, *map(str, range(count))] for count in (20, 16)]
    save_fairseq(tmp_path / "x.pt", weights, hubert_settings(), *sets)
    found = invoke(tmp_path, "import", "x.pt")
    assert "left out: it was trained on 2 sets of units" in found.stderr
    assert "prediction" not in checkpoint.load(tmp_path / "imported.safetensors")[0]


def test_another_rate_of_frames_is_refused(tmp_path):
    model = Hubert(replace(TINY, conv_layers=((32, 10, 5), (32, 3, 2), (32, 2, 2))))
    weights = {names.to_transformers(n): v for n, v in model.state_dict().items()}
    save_transformers(tmp_path / "m", weights, HUBERT_CONFIG)
    assert "a frame every 20 samples" in refused(tmp_path, "m")


@pytest.mark.parametrize(
    "setting",
    ["normalise=False", "transformer.pre_norm=no", "transformer.heads=true",
     "transformer.heads=-4", "transformer.heads=4.0", "transformer.dropout=x",
     "transformer.dropout=5", "normalise_epsilon=-1", "conv_norm=foo", "final_dim=-3",
     "transformer.heads=0", "transformer.layers=100000000", "conv_layers=[[1,2]]"],
)  # fmt: skip
def test_values_that_no_model_has_are_refused(tmp_path, sound_model, setting):
    save_transformers(tmp_path / "m", sound_model, HUBERT_CONFIG)
    refused(tmp_path, "m", "--set", setting)


def test_an_encoder_within_another_model(tmp_path, sound_model):
    """`self.encoder = HubertModel(...)`: the prefix is also a part of torchaudio's names."""
    wrapped = {f"encoder.{name}": value for name, value in sound_model.items()}
    torch.save({**wrapped, "fc.weight": torch.zeros(2, 2)}, tmp_path / "x.bin")
    found = invoke(tmp_path, "import", "x.bin", "--set", "transformer.heads=4")
    assert "of transformers" in found.stderr
    assert "left out: 1 weight on top of the encoder (fc)" in found.stderr


def test_the_kind_must_be_possible(tmp_path, sound_model):
    save_transformers(tmp_path / "m", sound_model, HUBERT_CONFIG)
    assert "HuBERT or wav2vec 2.0" in refused(tmp_path, "m", "--as", "avhubert")
    invoke(tmp_path, "import", "m", "--as", "wav2vec2", "-o", "x.safetensors")
    assert checkpoint.load(tmp_path / "x.safetensors")[0]["published"]["kind"] == "wav2vec2"


def test_a_setting_that_is_no_setting_is_a_usage_error(tmp_path, sound_model):
    save_transformers(tmp_path / "m", sound_model, HUBERT_CONFIG)
    for wrong in ("heads=4", "transformer.heads"):
        words = refused(tmp_path, "m", "--set", wrong, status=2)
        assert "transformer.heads" in words


def test_settings_that_would_run_are_not_run(tmp_path):
    model = random_hubert()
    cfg = hubert_settings(conv_feature_layers="__import__('os').system('touch ran')")
    save_fairseq(tmp_path / "x.pt", model.state_dict(), cfg)
    assert "no list of convolutions" in refused(tmp_path, "x.pt")
    assert not (tmp_path / "ran").exists()


def test_every_family_can_be_named() -> None:
    assert tuple(FAMILIES) == KINDS
    assert all(FAMILIES[name].load().TITLE for name in FAMILIES)
