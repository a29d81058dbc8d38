"""`import`: published weights give published outputs, through the command line."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from golden import generator
from published import (
    AV_KEYS,
    SPECIAL,
    avhubert_settings,
    golden_weights,
    hubert_settings,
    save_fairseq,
    save_transformers,
    to_torchaudio,
)
from stores import write_store

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.data.store.reader import Store
from avaffect.models import avhubert, hubert
from avaffect.models.avhubert import AVHubertConfiguration
from avaffect.models.hubert import Hubert
from avaffect.models.published import avhubert as published_avhubert
from avaffect.models.published import configuration, names
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.pretraining.kept_objective import load_objective
from avaffect.training import checkpoint

GOLDEN = Path(__file__).parent / "golden"
HUBERT = np.load(GOLDEN / "hubert_tiny_transformers.npz")
AVHUBERT = np.load(GOLDEN / "avhubert_tiny_forward.npz")
LOSS = np.load(GOLDEN / "avhubert_tiny_loss.npz")
TINY = hubert.PRESETS["tiny"]
CPU = torch.device("cpu")
# Neither in the order of the clusters nor with all special symbols first.
SYMBOLS = [*SPECIAL[:3], *(str((7 * n + 3) % 20) for n in range(20)), SPECIAL[3]]
HUBERT_CONFIG = {"model_type": "hubert", "num_attention_heads": 4, "do_stable_layer_norm": False}


def hubert_names(style: str = "base") -> dict[str, tuple[int, ...]]:
    """transformers' names and shapes of the tiny golden models."""
    large = {"transformer": replace(TINY.transformer, pre_norm=True), "conv_norm": "layer",
             "conv_bias": True}  # fmt: skip
    model = Hubert(replace(TINY, **large) if style == "large" else TINY)
    return {
        names.to_transformers(name): tuple(value.shape)
        for name, value in model.state_dict().items()
    }


def random_hubert(seed: int = 0) -> Hubert:
    torch.manual_seed(seed)
    return Hubert(TINY).eval()


def speech_batch(seconds: float = 0.5) -> Batch:
    wave = torch.from_numpy(generator.waveform(1, int(16000 * seconds)))
    return Batch(["a"], {"waveform": wave}, {"waveform": torch.tensor([wave.shape[1]])})


def frames_of(path: Path, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return checkpoints.load_encoder(path, CPU)[0](batch).values


# -- AV-HuBERT in fairseq's layout --------------------------------------------------------------


@pytest.fixture(scope="module")
def av_imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden tiny AV-HuBERT as fairseq would have saved it, imported."""
    folder = tmp_path_factory.mktemp("avhubert")
    weights = golden_weights(AV_KEYS["tiny"])
    save_fairseq(folder / "tiny.pt", weights, avhubert_settings(), SYMBOLS)
    found = invoke(folder, "import", "tiny.pt", "-o", "tiny.safetensors")
    assert "AV-HuBERT of fairseq, 2 layers of 64" in found.stderr
    assert "20 units" in found.stderr
    return folder / "tiny.safetensors"


def test_every_weight_of_an_avhubert_arrives(av_imported):
    header, tensors = checkpoint.load(av_imported, expect="encoder")
    expected = golden_weights(AV_KEYS["tiny"])
    assert tensors.keys() == expected.keys()
    for name in expected.keys() - {"label_embs_concat"}:
        torch.testing.assert_close(tensors[name], expected[name], atol=0, rtol=0)
    configuration_ = header["model"]["configuration"]
    assert configuration_["transformer"]["heads"] == 4
    assert (
        configuration_["masking"]
        == header["objective"]["configuration"]["masking"]["kind"]
        == "input"
    )
    assert header["objective"]["configuration"]["masking"]["modality_dropout"] == 0.5
    assert header["prediction"] == {"units": 20, "rows": 24}
    assert header["published"] == {"kind": "avhubert", "names": "fairseq"}


def test_the_dictionary_puts_each_unit_in_its_place(av_imported):
    rows = checkpoint.load(av_imported)[1]["label_embs_concat"]
    expected = golden_weights(AV_KEYS["tiny"])["label_embs_concat"]
    for unit in range(20):
        torch.testing.assert_close(rows[unit], expected[SYMBOLS.index(str(unit))])
    others = [SYMBOLS.index(symbol) for symbol in SPECIAL]
    torch.testing.assert_close(rows[20:], expected[sorted(others)])


@torch.no_grad()
def test_an_imported_head_gives_the_golden_logits(av_imported):
    from test_avhubert_golden import LENGTHS, masked_frames

    objective = load_objective(av_imported, "", {"clusters": 20})
    encoder, head = objective.encoder.eval(), objective.head
    frames, mask, _ = masked_frames(encoder, "input")
    valid = torch.arange(12)[None] < LENGTHS[:, None]
    order = [*(SYMBOLS.index(str(unit)) for unit in range(20)),
             *sorted(SYMBOLS.index(symbol) for symbol in SPECIAL)]  # fmt: skip
    expected = torch.from_numpy(LOSS["input/logit_m"])[:, order]
    torch.testing.assert_close(head(frames[mask & valid]), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("modalities", "name"), [("av", "av_final"), ("a", "audio_only"), ("v", "video_only")]
)
@torch.no_grad()
def test_imported_weights_give_the_golden_frames(av_imported, modalities, name):
    """The golden sound is no waveform: it enters behind the filterbanks."""
    from test_avhubert_golden import features

    encoder = checkpoints.load_encoder(av_imported, CPU)[0]
    found = encoder.contextualise(features(encoder, modalities)).values
    torch.testing.assert_close(found, torch.from_numpy(AVHUBERT[name]), atol=1e-4, rtol=0)


def test_extract_gives_the_golden_features_of_faces(av_imported, tmp_path):
    """The golden pictures, as a store holds them before the encoder standardises them."""
    pictures = generator.video(2, 12)[:, 0, ..., None] * 0.165 + 0.421
    write_store(tmp_path / "faces.h5", {"face": (25.0, (pictures * 255).astype(np.float32))})
    for layer in (None, 2):
        options = () if layer is None else ("--layer", layer)
        invoke(tmp_path, "extract", "faces.h5", "--model", av_imported, *options,
               "-o", f"layer{layer}.h5")  # fmt: skip
    store = Store(tmp_path / "layerNone.h5")
    for row in range(2):
        np.testing.assert_allclose(
            store.read("features", row), AVHUBERT["video_only"][row], atol=1e-4, rtol=0
        )
        np.testing.assert_allclose(
            store.pooled_vectors("mean")[row], AVHUBERT["video_only"][row].mean(0), atol=1e-4
        )
    raw = torch.from_numpy(Store(tmp_path / "layer2.h5").read("features", 0).copy())
    encoder = checkpoints.load_encoder(av_imported, CPU)[0]
    normed = encoder.encoder.layer_norm(raw).detach().numpy()
    np.testing.assert_allclose(normed, AVHUBERT["video_only"][0], atol=1e-4, rtol=0)


def test_a_fine_tuned_file_gives_its_encoder_and_names_the_rest(tmp_path):
    weights = golden_weights(AV_KEYS["tiny"])
    head = {"final_proj.weight", "final_proj.bias", "label_embs_concat"}
    tuned = {f"encoder.w2v_model.{n}": v for n, v in weights.items() if n not in head}
    tuned["decoder.layers.0.fc1.weight"] = torch.zeros(3)
    cfg = {"model": {"_name": "av_hubert_seq2seq", "layer_norm_first": False, "decoder_layers": 6,
                     "w2v_args": avhubert_settings(image_crop_size=1)}, "task": {}}  # fmt: skip
    save_fairseq(tmp_path / "tuned.pt", tuned, cfg, ["<s>", "A", "B"])
    found = invoke(tmp_path, "import", "tuned.pt", "-o", "tuned.safetensors")
    assert "left out: 1 weight on top of the encoder (decoder)" in found.stderr
    header, tensors = checkpoint.load(tmp_path / "tuned.safetensors", expect="encoder")
    assert tensors.keys() == weights.keys() - head
    assert "prediction" not in header
    assert header["model"]["configuration"]["transformer"]["pre_norm"] is True
    assert header["model"]["configuration"]["crop_size"] == 88
    torch.testing.assert_close(
        tensors["encoder.layers.1.fc2.weight"], weights["encoder.layers.1.fc2.weight"]
    )


@pytest.mark.parametrize(("preset", "millions"), [("base", 103.3), ("large", 325.4)])
def test_published_shapes_are_recognised_as_the_presets(preset, millions):
    shapes = {name: tuple(shape) for name, shape in AV_KEYS[preset].items()}
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(int(np.prod(shape)) for name, shape in shapes.items() if not name.endswith(buffers))
    assert count == pytest.approx(millions * 1e6, abs=5e4)
    assert shapes["label_embs_concat"][0] == 2004
    found = configuration.build(published_avhubert.from_shapes(shapes), AVHubertConfiguration)
    assert found == avhubert.PRESETS[preset]


# -- HuBERT and wav2vec 2.0 -----------------------------------------------------------------------


@pytest.mark.parametrize("style", ["base", "large"])
def test_extract_gives_the_golden_features_of_sound(tmp_path, style):
    config = {**HUBERT_CONFIG, "do_stable_layer_norm": style == "large"}
    save_transformers(tmp_path / "model", golden_weights(hubert_names(style)), config,
                      {"do_normalize": False})  # fmt: skip
    invoke(tmp_path, "import", "model", "-o", "hubert.safetensors")
    # The golden sound is no whole number of 16 bits: rounding would cost more than the tolerance.
    wave = generator.waveform(2, 8000)
    write_store(tmp_path / "sound.h5", {"waveform": (16000.0, wave)})
    for name, options in (("last", ()), ("h1", ("--layer", 1))):
        invoke(tmp_path, "extract", "sound.h5", "--model", "hubert.safetensors", *options,
               "-o", f"{name}.h5")  # fmt: skip
        store = Store(tmp_path / f"{name}.h5")
        for row in range(2):
            np.testing.assert_allclose(
                store.read("features", row), HUBERT[f"{style}/{name}"][row], atol=1e-4, rtol=0
            )


@pytest.mark.parametrize("prefix", ["", "w2v_encoder.w2v_model."])
def test_hubert_of_fairseq(tmp_path, prefix):
    model = random_hubert()
    weights = {prefix + name: value for name, value in model.state_dict().items()}
    cfg = hubert_settings()
    if prefix:
        weights["w2v_encoder.proj.weight"] = torch.zeros(32, 64)
        cfg = {"model": {"_name": "hubert_ctc", "w2v_args": cfg}}
    else:
        weights |= {"final_proj.weight": torch.randn(32, 64), "final_proj.bias": torch.zeros(32),
                    "label_embs_concat": torch.randn(24, 32)}  # fmt: skip
    save_fairseq(tmp_path / "x.pt", weights, cfg)
    found = invoke(tmp_path, "import", "x.pt")
    assert "HuBERT of fairseq" in found.stderr
    assert ("4 special symbols first" in found.stderr) == (not prefix)
    imported = tmp_path / "imported.safetensors"
    torch.testing.assert_close(frames_of(imported, speech_batch()), model(speech_batch()).values)
    header = checkpoint.load(imported)[0]
    assert ("prediction" in header) == ("objective" in header) == (not prefix)
    if not prefix:
        masking = header["objective"]["configuration"]["masking"]
        assert (masking["probability"], masking["span"]) == (0.65, 8)


def test_wav2vec_of_fairseq_in_half_precision(tmp_path):
    model = random_hubert()
    weights = {name: value.half() for name, value in model.state_dict().items()}
    tops = {"quantizer.vars": (1, 2, 3), "project_q.weight": (2, 2), "final_proj.weight": (4, 64),
            "final_proj.bias": (4,)}  # fmt: skip
    weights |= {name: torch.zeros(shape) for name, shape in tops.items()}
    settings = Namespace(encoder_attention_heads=4, layer_norm_first=False, normalize=True)
    torch.save({"args": settings, "model": weights}, tmp_path / "wav2vec_small.pt",
               _use_new_zipfile_serialization=False)  # fmt: skip
    found = invoke(tmp_path, "import", "wav2vec_small.pt", "-v")
    assert "wav2vec 2.0 of fairseq" in found.stderr
    assert "left out: 4 weights" in found.stderr
    assert "left out: quantizer.vars" in found.stderr
    header, tensors = checkpoint.load(tmp_path / "imported.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    assert header["model"]["configuration"]["normalise"] is True


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_torchaudio_itself_agrees(tmp_path, kind):
    from avaffect.signal.audio import torchaudio

    build = torchaudio.models.wav2vec2.model.wav2vec2_model
    arguments = {
        "extractor_mode": "group_norm", "extractor_conv_layer_config": list(TINY.conv_layers),
        "extractor_conv_bias": False, "encoder_embed_dim": 64,
        "encoder_projection_dropout": 0.1, "encoder_pos_conv_kernel": 128,
        "encoder_pos_conv_groups": 16, "encoder_num_layers": 2, "encoder_num_heads": 4,
        "encoder_attention_dropout": 0.1, "encoder_ff_interm_features": 128,
        "encoder_ff_interm_dropout": 0.0, "encoder_dropout": 0.1,
        "encoder_layer_norm_first": False, "encoder_layer_drop": 0.05,
    }  # fmt: skip
    torch.manual_seed(0)
    model = build(**arguments, aux_num_out=29 if kind == "wav2vec2" else None).eval()
    weights = model.state_dict()
    if kind == "hubert":
        # Beside the encoder, what torchaudio pre-trains it with.
        weights = {f"wav2vec2.{name}": value for name, value in weights.items()} | {
            "mask_generator.mask_embedding": torch.rand(64),
            "logit_generator.final_proj.weight": torch.randn(32, 64),
            "logit_generator.final_proj.bias": torch.zeros(32),
            "logit_generator.label_embeddings": torch.randn(20, 32),
        }
    torch.save(weights, tmp_path / "x.pth")
    found = invoke(tmp_path, "import", "x.pth", "--set", "transformer.heads=4")
    assert "does not give transformer.pre_norm=false or normalise=false" in found.stderr
    batch = speech_batch()
    expected = model.extract_features(batch.streams["waveform"])[0][-1]
    torch.testing.assert_close(
        frames_of(tmp_path / "imported.safetensors", batch), expected, atol=1e-5, rtol=0
    )
    header = checkpoint.load(tmp_path / "imported.safetensors")[0]
    assert header["published"] == {"kind": kind, "names": "torchaudio"}
    assert header.get("prediction") == ({"units": 20, "rows": 20} if kind == "hubert" else None)
    assert ("mask_emb is missing" in found.stderr) is (kind == "wav2vec2")


def test_our_own_names_survive_torchaudio(tmp_path):
    model = random_hubert()
    torch.save(to_torchaudio(model.state_dict()), tmp_path / "x.pt")
    invoke(tmp_path, "import", "x.pt", "--set", "transformer.heads=4")
    found = frames_of(tmp_path / "imported.safetensors", speech_batch())
    torch.testing.assert_close(found, model(speech_batch()).values)


# -- what becomes of it ---------------------------------------------------------------------------


def test_import_is_repeatable_and_describes_itself(av_imported):
    folder = av_imported.parent
    before = av_imported.read_bytes()
    assert "up to date" in invoke(folder, "import", "tiny.pt", "-o", "tiny.safetensors").stderr
    invoke(folder, "import", "tiny.pt", "-o", "tiny.safetensors", "-f")
    assert av_imported.read_bytes() == before
    dry = invoke(folder, "import", "tiny.pt", "-n", "-o", "dry.safetensors")
    assert "would import" in dry.stderr
    assert not (folder / "dry.safetensors").exists()
    shown = json.loads(invoke(folder, "info", "tiny.safetensors", "--json").stdout)
    assert shown["made_by"] == "import"
    invoke(folder, "check", "tiny.safetensors")
    lineage = invoke(folder, "info", "tiny.safetensors", "--lineage").stdout
    assert "tiny.pt" in lineage
    assert "missing" not in lineage


def test_our_own_checkpoint_needs_no_import(av_imported):
    words = invoke(av_imported.parent, "import", av_imported.name, "-o", "again.safetensors",
                   status=65).stderr  # fmt: skip
    assert "nothing to import" in words


def test_training_goes_on_with_fresh_clusters_and_a_reset_head(av_imported, tmp_path):
    """The clusters behind a published head were never published: theirs are refused."""
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 3000, (6, 8000)).astype(np.int16)
    faces = rng.integers(0, 255, (6, 12, 88, 88, 1)).astype(np.uint8)
    write_store(tmp_path / "m.h5", {"waveform": (16000.0, sound), "face": (25.0, faces)})
    invoke(tmp_path, "cluster", "m.h5", "--model", av_imported, "--layer", 1, "-k", 20,
           "--initialisations", 1, "-o", "k.safetensors")  # fmt: skip
    invoke(tmp_path, "extract", "m.h5", "--model", "k.safetensors", "-o", "u.h5")
    line = ("pretrain-hubert", "m.h5", "--units", "u.h5", "--init", av_imported, "--steps", 2,
            "-o", "on.safetensors")  # fmt: skip
    assert "--reset-head" in invoke(tmp_path, *line, status=65).stderr
    invoke(tmp_path, *line, "--reset-head")
    header, tensors = checkpoint.load(tmp_path / "on.safetensors")
    assert "prediction" not in header
    assert len(tensors["label_embs_concat"]) == 20
    assert header["objective"]["configuration"]["masking"]["kind"] == "input"
    load_objective(tmp_path / "on.safetensors", "", {"clusters": 20, "model": {}})
    with pytest.raises(DataError, match="predicts 20 units"):
        load_objective(tmp_path / "on.safetensors", "", {"clusters": 24})
