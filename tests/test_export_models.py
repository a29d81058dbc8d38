"""`export` of checkpoints: onnxruntime gives what torch does, transformers loads the encoder again;
of stores: arrays and tables that are read again. On real speech of EmoDB where it is there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from test_import_transformers import speech  # noqa: F401

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.core import headers
from avaffect.core.headers import EncoderHeader, Published
from avaffect.data.store.reader import Store
from avaffect.models import recurrent
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import PRESETS, Hubert, HubertConfiguration
from avaffect.models.whisper import Whisper, WhisperConfiguration
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.exchange.transformers_folder import frames_of

T = PRESETS["tiny"].transformer
TINY = PRESETS["tiny"]
LARGE = replace(TINY, conv_norm="layer", conv_bias=True, normalise=True, normalise_epsilon=1e-7,
                transformer=replace(T, pre_norm=True, position_groups=8, dropout=0.2))  # fmt: skip
HUBERTS: dict[str, tuple[HubertConfiguration, str, str]] = {
    "hubert": (TINY, "hubert", "HubertModel"),
    "hubert-large": (LARGE, "hubert", "HubertModel"),
    "hubert-batch": (replace(TINY, transformer=replace(T, position_norm="batch")), "hubert",
                     "HubertModel"),
    "wav2vec2": (LARGE, "wav2vec2", "Wav2Vec2Model"),
    "wavlm": (replace(TINY, transformer=replace(T, relative_buckets=32)), "wavlm", "WavLMModel"),
    "data2vec": (
        replace(TINY, conv_norm="layer", transformer=replace(
            T, position_norm="layer", position_layers=3, position_kernel=19)),
        "data2vec", "Data2VecAudioModel",
    ),
}  # fmt: skip
SMALL = replace(WhisperConfiguration().transformer, layers=2, dim=64, ffn_dim=128, heads=2)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Exporters warn of their own parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def saved(path: Path, encoder: Encoder, family: str | None = None) -> Encoder:
    for parameter in encoder.parameters():
        # Also what begins at zero or one, so that nothing can be left out unseen.
        parameter.data += 0.02 * torch.randn_like(parameter)
    published = None if family is None else Published(kind=family, names="transformers")
    checkpoints.save_encoder(path, encoder, None, provenance={}, metrics={}, published=published)
    return encoder.eval()


def made(name: str) -> tuple[Encoder, str | None]:
    torch.manual_seed(3)
    if name.startswith("whisper"):
        return Whisper(WhisperConfiguration(SMALL, padded=name == "whisper-padded")), "whisper"
    if name == "nano":
        return Hubert(PRESETS["nano"]), None
    return Hubert(HUBERTS[name][0]), HUBERTS[name][1]


def waves(store: Path) -> list[np.ndarray]:
    media = Store(store)
    return [media.read("waveform", row).astype(np.float32) / 32768 for row in range(media.count)]


@pytest.mark.parametrize("name", [*HUBERTS, "whisper-padded"])
def test_transformers_gives_the_same_frames_of_real_speech(speech, tmp_path, name):  # noqa: F811
    transformers = pytest.importorskip("transformers")
    encoder = saved(tmp_path / "x.safetensors", *made(name))
    said = invoke(tmp_path, "export", "x.safetensors", "--to", "transformers", "--speech",
                  speech / "speech.h5", "-o", "folder").stderr  # fmt: skip
    assert "warning" not in said
    model = transformers.AutoModel.from_pretrained(str(tmp_path / "folder"))
    expected = "WhisperModel" if name == "whisper-padded" else HUBERTS[name][2]
    assert type(model).__name__ == expected
    extractor = transformers.AutoFeatureExtractor.from_pretrained(str(tmp_path / "folder"))
    for wave in waves(speech / "speech.h5")[:3]:
        given = extractor(wave, sampling_rate=16000, return_tensors="pt")
        own = frames_of(encoder, wave)
        with torch.no_grad():
            if expected == "WhisperModel":
                found = model.encoder(given["input_features"])
            else:
                found = model(given["input_values"])
        theirs = found.last_hidden_state[0].numpy()[: len(own)]
        np.testing.assert_allclose(theirs, own, atol=5e-5)
    # And `import` reads what was written as the encoder that it was.
    invoke(tmp_path, "import", "folder", "-o", "again.safetensors")
    again, header = checkpoints.load_encoder(tmp_path / "again.safetensors", torch.device("cpu"))
    assert header.published is not None
    before = encoder.state_dict()
    for key, value in again.state_dict().items():
        if key != "mask_emb" or expected != "WhisperModel":
            assert torch.equal(value, before[key]), key
    mine = encoder.configuration
    if expected == "WhisperModel":
        mine = replace(mine, padded=False)
    found_configuration = replace(again.configuration, final_dim=mine.final_dim)
    if expected != "WhisperModel":
        # Of gradients and of normalisation that is not done, no setting of transformers.
        found_configuration = replace(
            found_configuration, feature_grad_mult=mine.feature_grad_mult,
            normalise_epsilon=mine.normalise_epsilon,
        )  # fmt: skip
    assert found_configuration == mine


def test_what_differs_in_transformers_is_said(tmp_path):
    pytest.importorskip("transformers")
    for name, encoder in (
        ("padded", Whisper(WhisperConfiguration(SMALL))),
        ("epsilon", Hubert(replace(LARGE, normalise_epsilon=1e-5))),
    ):
        saved(tmp_path / f"{name}.safetensors", encoder)
        said = invoke(tmp_path, "export", f"{name}.safetensors", "--to", "transformers", "-o", name)
        warned = [line for line in said.stderr.splitlines() if "not exactly the encoder's" in line]
        assert len(warned) == 1
        assert "up to date" in invoke(
            tmp_path, "export", f"{name}.safetensors", "--to", "transformers", "-o", name
        ).stderr  # fmt: skip


def test_wrong_weights_are_never_written(tmp_path, monkeypatch):
    """Where transformers' frames differ, or a weight is missing, there is no folder."""
    pytest.importorskip("transformers")
    from avaffect.models.published import exporting

    saved(tmp_path / "x.safetensors", *made("hubert"))
    right = exporting.export
    for change in ("scaled", "left"):

        def wrong(encoder, family, change=change):
            found = right(encoder, family)
            name = "encoder.layers.0.attention.q_proj.weight"
            if change == "scaled":
                found.tensors[name] *= 2
            else:
                del found.tensors[name]
            return found

        monkeypatch.setattr(exporting, "export", wrong)
        invoke(tmp_path, "export", "x.safetensors", "--to", "transformers", "-o", "f", status=65)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["x.safetensors"]


def test_encoders_without_a_model_of_transformers(tmp_path):
    saved(tmp_path / "x.safetensors", *made("nano"))
    invoke(tmp_path, "export", "x.safetensors", "--to", "transformers", "-o", "f", status=65)
    invoke(tmp_path, "export", "x.safetensors", "--to", "kaldi", "-o", "f", status=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.safetensors"]


@pytest.mark.parametrize("name", ["wavlm", "whisper"])
def test_onnxruntime_gives_the_same_frames_of_real_speech(speech, tmp_path, name):  # noqa: F811
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoder = saved(tmp_path / "x.safetensors", *made(name))
    arguments = ("export", "x.safetensors", "--to", "onnx", "--speech", speech / "speech.h5")
    assert "warning" not in invoke(tmp_path, *arguments, "-o", "x.onnx").stderr
    content = (tmp_path / "x.onnx").read_bytes()
    # No path of this machine is in it, and a second run has nothing to do.
    assert b"/avaffect/" not in content and b".py" not in content
    assert "up to date" in invoke(tmp_path, *arguments, "-o", "x.onnx").stderr
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    said = json.loads(session.get_modelmeta().custom_metadata_map["avaffect"])
    assert said["sample_rate"] == 16000 and said["frames"]["dim"] == encoder.dim
    for wave in waves(speech / "speech.h5"):
        (found,) = session.run(["frames"], {"waveform": wave[None]})
        np.testing.assert_allclose(found[0], frames_of(encoder, wave), atol=1e-4)


@pytest.mark.slow
def test_a_classifier_with_its_encoder_on_real_speech(speech, tmp_path):  # noqa: F811
    """As `predict` has it: shares of the classes of a fine-tuned and of a frozen encoder."""
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    saved(tmp_path / "x.safetensors", *made("nano"))
    store = speech / "speech.h5"
    for mode in ("frozen", "fine-tuned"):
        invoke(tmp_path, "finetune", store, "--encoder", "x.safetensors", "--mode", mode,
               "--select", "none", "--steps", 1, "--label", "emotion", "-f", "-o",
               "er.safetensors")  # fmt: skip
        invoke(tmp_path, "export", "er.safetensors", "--to", "onnx", "--speech", store, "-f", "-o",
               "er.onnx")  # fmt: skip
        invoke(tmp_path, "predict", store, "--model", "er.safetensors", "-f", "-o", "p.jsonl")
        session = ort.InferenceSession(str(tmp_path / "er.onnx"))
        said = json.loads(session.get_modelmeta().custom_metadata_map["avaffect"])
        classes = said["labels"]["emotion"]["classes"]
        items = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
        scores = {item["id"]: item["scores"] for item in items if item["kind"] == "item"}
        for identifier, wave in zip(Store(store).ids, waves(store)):
            (found,) = session.run(["emotion"], {"waveform": wave[None]})
            expected = [scores[identifier][name] for name in classes]
            np.testing.assert_allclose(found[0], expected, atol=2e-5)


def test_a_classifier_of_features_and_its_runs(voices, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    invoke(tmp_path, "extract", voices / "a.h5", "--model", "mfcc", "-o", "mfcc.h5")
    train = ("finetune", "mfcc.h5", "--steps", 2, "--select", "none")
    invoke(tmp_path, *train, "--head", "bgru", "-o", "gru.safetensors")
    # torch.export knows no recurrence over any number of steps.
    invoke(tmp_path, "export", "gru.safetensors", "--to", "onnx", "-o", "gru.onnx", status=65)
    assert not (tmp_path / "gru.onnx").exists()
    invoke(tmp_path, *train, "--runs", 2, "-o", "er.safetensors")
    invoke(tmp_path, "export", "er.safetensors", "--to", "onnx", "-o", "er.onnx", status=2)
    invoke(tmp_path, "export", "er.safetensors", "--to", "onnx", "--run", 1, "-o", "er.onnx")
    invoke(tmp_path, "predict", "mfcc.h5", "--model", "er.safetensors", "-o", "p.jsonl")
    items = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    scores = {i["id"]: i["scores"] for i in items if i["kind"] == "item" and i["run"] == 1}
    session = ort.InferenceSession(str(tmp_path / "er.onnx"))
    store = Store(tmp_path / "mfcc.h5")
    for row, identifier in enumerate(store.ids):
        (found,) = session.run(None, {"features": store.read("features", row)[None]})
        assert found[0] == pytest.approx([*scores[identifier].values()], abs=2e-5)


def test_recurrent_encoders_are_refused_in_words_of_their_own(tmp_path):
    saved(tmp_path / "apc.safetensors", recurrent.RecurrentEncoder(recurrent.PRESETS["nano"]))
    said = invoke(tmp_path, "export", "apc.safetensors", "--to", "onnx", "-o", "x.onnx", status=2)
    assert "GRU" in said.stderr and "--to npy" in said.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_differences_are_never_written(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from avaffect.recipes.exchange import onnx_model

    saved(tmp_path / "x.safetensors", *made("nano"))
    monkeypatch.setattr(onnx_model, "difference", lambda own, theirs: 0.5)
    invoke(tmp_path, "export", "x.safetensors", "--to", "onnx", "-o", "x.onnx", status=65)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.safetensors"]


@pytest.fixture(scope="module")
def features(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    invoke(folder, "extract", voices / "a.h5", "--model", "mfcc", "-o", "mfcc.h5")
    return folder / "mfcc.h5"


@pytest.mark.parametrize("form", ["npy", "csv", "parquet"])
@pytest.mark.parametrize("stream", ["mean", "features"])
def test_vectors_are_imported_again(features, tmp_path, form, stream):
    out = "out" if form == "npy" else f"out.{form}"
    invoke(tmp_path, "export", features, "--to", form, "--stream", stream, "-o", out)
    store = Store(features)
    more: tuple[object, ...] = ()
    if stream == "features":
        more = ("--rate", 100) if form == "npy" else ()
    if form != "npy":
        more = (*more, "--columns", f"{stream}_*")
    invoke(tmp_path, "import-features", out, "--name", "mfcc", *more, "-o", "back.h5")
    again = Store(tmp_path / "back.h5")
    assert sorted(again.ids) == sorted(store.ids)
    for identifier in store.ids:
        if stream == "mean":
            own = store.pooled_vectors("mean")[store.rows[identifier]]
            found = again.pooled_vectors(next(iter(again.pooled)))[again.rows[identifier]]
        else:
            own = store.read("features", store.rows[identifier])
            found = again.read("features", again.rows[identifier])
            assert again.streams["features"].rate_hz == pytest.approx(100, abs=0.01)
        np.testing.assert_array_equal(found, own)
    assert "up to date" in invoke(
        tmp_path, "export", features, "--to", form, "--stream", stream, "-o", out
    ).stderr  # fmt: skip


def test_traces_of_a_store(voices, tmp_path):
    """Gold and predicted traces lie in stores as labels."""
    import csv

    invoke(tmp_path, "export", voices / "a.h5", "--to", "csv", "--stream", "arousal", "-o", "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    store = Store(voices / "a.h5")
    rate = store.labels["arousal"].rate_hz
    for row, identifier in enumerate(store.ids):
        own = [r for r in rows if r["id"] == identifier]
        assert [np.float32(r["arousal_0"]) for r in own] == store.trace("arousal", row).tolist()
        assert [float(r["time"]) for r in own] == [n / rate for n in range(len(own))]


def test_tables_of_vectors_have_labels(features, tmp_path):
    import csv

    invoke(tmp_path, "export", features, "--to", "csv", "--stream", "mean", "-o", "v.csv")
    rows = list(csv.DictReader((tmp_path / "v.csv").read_text().splitlines()))
    store = Store(features)
    classes = store.labels["emotion"].classes
    emotions = [classes[value] for value in store.label("emotion")]
    assert [row["emotion"] for row in rows] == emotions
    assert [row["speaker"] for row in rows] == list(store.meta["speaker"])
    invoke(tmp_path, "export", features, "--to", "csv", "--stream", "nope", "-o", "w.csv", status=2)
    invoke(tmp_path, "export", features, "--to", "lhotse", "-o", "w", status=2)


def test_an_encoder_header_is_read_before_torch(tmp_path):
    """A projector or a store is refused as such."""
    saved(tmp_path / "x.safetensors", *made("nano"))
    assert headers.read(tmp_path / "x.safetensors", EncoderHeader).kind == "encoder"
    invoke(tmp_path, "export", "x.safetensors", "--to", "onnx", "--stream", "y", "-o", "x.onnx",
           status=2)  # fmt: skip
