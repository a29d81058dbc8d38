"""`import` of Whisper: transformers' own model in every layout gives the same frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from published import save_transformers
from stores import write_store
from test_import_transformers import speech  # noqa: F401
from test_whisper import KINDS, alone, sinusoids, whisper
from test_whisper import speech as noise
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.core.batch import Batch
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.published.whisper import NAMES
from avaffect.recipes.encoding import checkpoints
from avaffect.training import checkpoint

CPU = torch.device("cpu")
LAYERS = {"last": None, "1": 1, "2": 2, "3": 3}
CONFIG = {"model_type": "whisper", "encoder_attention_heads": 4, "dropout": 0.1}
DIMS = {"n_mels": 80, "n_audio_ctx": 50, "n_audio_state": 64, "n_audio_head": 4, "n_audio_layer": 2,
        "n_vocab": 51864, "n_text_layer": 2}  # fmt: skip
DECODER = {
    "model.decoder.layers.0.encoder_attn.q_proj.weight": torch.zeros(4, 4),
    "model.decoder.embed_positions.weight": torch.zeros(8, 4),
    "proj_out.weight": torch.zeros(9, 4),
}


def theirs(writer: str, prefix: str) -> dict[str, Tensor]:
    """The golden model's weights as others name them."""
    found = {}
    for name, value in whisper("own").state_dict().items():
        for source, target in NAMES[writer]:
            number = name.split(".")[2] if name.startswith("encoder.layers.") else "N"
            module = target.replace("N", number)
            if name == module or name.startswith(f"{module}."):
                found[prefix + source.replace("N", number) + name.removeprefix(module)] = value
    assert len(found) == len(whisper("own").state_dict()) - 1
    return found


def check(path: Path, writer: str, kind: str = "own") -> None:
    """Of the golden model's weights: the same frames as the model itself."""
    encoder, header = checkpoints.load_encoder(path, CPU)
    assert header.published is not None
    assert (header.published.kind, header.published.names) == ("whisper", writer)
    assert header.objective is None
    assert encoder.configuration.transformer.heads == 4
    batch = noise(9000, 12000)
    with torch.no_grad():
        expected = whisper(kind)(batch).values
        torch.testing.assert_close(encoder(batch).values, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("prefix", ["model.encoder.", "encoder.", "", "module.whisper.encoder."])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_transformers(tmp_path, prefix, kind):
    beside = {} if prefix == "" else DECODER
    save_transformers(tmp_path / "m", {**beside, **theirs("transformers", prefix)}, CONFIG)
    options = ("--set", "padded=true") if kind == "padded" else ()
    found = invoke(tmp_path, "import", "m", *options, "-o", "x.safetensors")
    check(tmp_path / "x.safetensors", "transformers", kind)
    assert "Whisper of transformers, 2 layers of 64" in found.stderr
    assert (len(beside) > 0) is ("left out: 3 weights" in found.stderr)
    assert "warning" not in found.stderr
    shown = json.loads(invoke(tmp_path, "info", "x.safetensors", "--json").stdout)
    assert shown["model"]["name"] == "whisper"
    assert shown["model"]["configuration"]["padded"] is (kind == "padded")
    assert shown["model"]["configuration"]["transformer"]["dropout"] == 0.1


def test_the_original_file(tmp_path):
    decoder = {"decoder.blocks.0.cross_attn.query.weight": torch.zeros(4, 4)}
    weights = {**theirs("openai", "encoder."), **decoder}
    torch.save({"dims": DIMS, "model_state_dict": weights}, tmp_path / "tiny.pt")
    found = invoke(tmp_path, "import", "tiny.pt", "-o", "x.safetensors")
    assert "Whisper of openai" in found.stderr and "warning" not in found.stderr
    check(tmp_path / "x.safetensors", "openai")


def test_heads_that_nothing_says_are_guessed_aloud(tmp_path):
    torch.save(theirs("openai", ""), tmp_path / "x.pt")
    found = invoke(tmp_path, "import", "x.pt", "-o", "x.safetensors")
    assert "transformer.heads=1" in found.stderr
    invoke(tmp_path, "import", "x.pt", "--set", "transformer.heads=4", "-o", "y.safetensors")
    check(tmp_path / "y.safetensors", "openai")


def test_half_precision_in_shards(tmp_path):
    weights = {name: v.bfloat16() for name, v in theirs("transformers", "model.encoder.").items()}
    names = sorted(weights)
    parts = {"a-00001-of-00002.bin": names[::2], "a-00002-of-00002.bin": names[1::2]}
    for file, some in parts.items():
        torch.save({name: weights[name] for name in some}, tmp_path / file)
    index = {"weight_map": {name: file for file, some in parts.items() for name in some}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    invoke(tmp_path, "import", ".", "-o", "x.safetensors")
    tensors = checkpoint.load(tmp_path / "x.safetensors")[1]
    expected = whisper("own").state_dict()["conv2.weight"].bfloat16().float()
    torch.testing.assert_close(tensors["conv2.weight"], expected, atol=0, rtol=0)


# -- refused --------------------------------------------------------------------------------------


def refused(folder: Path, *arguments: object) -> str:
    found = invoke(folder, "import", *arguments, "-o", "x.safetensors", status=65)
    assert not (folder / "x.safetensors").exists()
    assert len(found.stderr.strip().splitlines()) == 1
    return found.stderr


def test_a_tokenizer_alone(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "vocab.json"):
        (folder / name).write_text("{}")
    assert "no weights" in refused(tmp_path, "m")


def test_a_download_that_is_not_finished(tmp_path):
    folder = save_transformers(tmp_path / "m", theirs("transformers", "model.encoder."), CONFIG)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in refused(tmp_path, "m")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    words = refused(tmp_path, "m")
    assert "model-00002-of-00002.safetensors" in words and "not finished" in words


def test_a_decoder_without_its_encoder(tmp_path):
    save_transformers(tmp_path / "m", DECODER, CONFIG)
    assert "decoder without its encoder" in refused(tmp_path, "m")
    torch.save(DECODER, tmp_path / "x.pt")
    assert "decoder without its encoder" in refused(tmp_path, "x.pt")


@pytest.mark.parametrize(
    ("config", "preprocessor", "dropped", "expected"),
    [
        ({"model_type": "speech_to_text"}, None, None, "speech_to_text"),
        ({"activation_function": "relu"}, None, None, "activation_function"),
        ({"encoder_attention_heads": 5}, None, None, "no model has these settings"),
        ({"encoder_layers": 3}, None, None, "15 missing: encoder.layers.2.fc1.bias"),
        ({}, {"n_fft": 512}, None, "n_fft 512"),
        ({}, {"feature_size": 128}, None, "128"),
        ({}, {"sampling_rate": 8000}, None, "8000 Hz"),
        ({}, None, "conv2.weight", "1 missing: conv2.weight"),
        ({}, None, "conv1.weight", "its settings are Whisper's"),
        ({}, None, "embed_positions.weight", "positions is missing"),
        ({}, None, "layers.0.fc1.weight", "layers.0.fc1.weight is missing"),
    ],
)
def test_other_models_and_missing_parts(tmp_path, config, preprocessor, dropped, expected):
    weights = theirs("transformers", "model.encoder.")
    weights.pop(f"model.encoder.{dropped}", None)
    save_transformers(tmp_path / "m", weights, {**CONFIG, **config}, preprocessor)
    assert expected in refused(tmp_path, "m")


def test_weights_of_another_family(tmp_path):
    save_transformers(tmp_path / "m", {"bert.embeddings.weight": torch.zeros(2)}, CONFIG)
    assert "its settings are Whisper's" in refused(tmp_path, "m")
    save_transformers(tmp_path / "n", theirs("transformers", ""), {})
    assert "Whisper" in refused(tmp_path, "n", "--as", "hubert")


# -- transformers' own, and the published weights, on real speech ---------------------------------


@pytest.mark.parametrize("model_name", ["WhisperModel", "WhisperForConditionalGeneration"])
@pytest.mark.parametrize("padded", [False, True], ids=["own", "padded"])
def test_every_layer_agrees_on_real_speech(speech, tmp_path, model_name, padded):  # noqa: F811
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    configuration = transformers.WhisperConfig(
        d_model=64, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=128,
        decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=64, vocab_size=100,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    model = getattr(transformers, model_name)(configuration).eval()
    shard = "1MB" if model_name == "WhisperModel" else "50MB"
    model.save_pretrained(tmp_path / "model", max_shard_size=shard)
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path / "model")
    options = ("--set", "padded=true") if padded else ()
    invoke(tmp_path, "import", "model", *options, "-o", "x.safetensors")
    encoder = checkpoints.load_encoder(tmp_path / "x.safetensors", CPU)[0]
    media = Store(speech / "speech.h5")
    assert media.count >= 5
    # transformers reads windows of the spectrum in pairs alone.
    waves = [media.read("waveform", row) for row in range(media.count)]
    waves = [torch.tensor(wave[: len(wave) // 320 * 320]) for wave in waves]
    lengths = torch.tensor([len(wave) for wave in waves])
    batch = Batch(media.ids, {"waveform": pad_sequence(waves, True)}, {"waveform": lengths})
    with torch.no_grad():
        found = {name: encoder(batch, layer=layer).values.numpy() for name, layer in LAYERS.items()}
    reference = getattr(model, "model", model).encoder
    for row, wave in enumerate(waves):
        for name, frames in _hidden(
            reference, wave.numpy() / 32768.0, padded, transformers
        ).items():
            count = len(wave) // 320
            np.testing.assert_allclose(found[name][row, :count], frames[:count], atol=1e-4, rtol=0)


@torch.no_grad()
def _hidden(encoder, wave: np.ndarray, padded: bool, transformers) -> dict[str, np.ndarray]:
    """(T, dim) of each layer by transformers; of an utterance that is not padded in a window of
    its own length."""
    extractor = transformers.WhisperFeatureExtractor()
    padding = "max_length" if padded else "do_not_pad"
    spectrum = extractor(wave, sampling_rate=16000, padding=padding, return_tensors="pt")
    positions, whole = encoder.embed_positions, encoder.config.max_source_positions
    if not padded:
        steps = len(wave) // 320
        encoder.config.max_source_positions = steps
        encoder.embed_positions = torch.nn.Embedding(steps, 64, _weight=positions.weight[:steps])
    found: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _, __, out, n=n: found.__setitem__(
                str(n + 1), out if isinstance(out, Tensor) else out[0]
            )
        )
        for n, layer in enumerate(encoder.layers)
    ]
    try:
        found["last"] = encoder(spectrum.input_features).last_hidden_state
    finally:
        encoder.embed_positions, encoder.config.max_source_positions = positions, whole
        for hook in hooks:
            hook.remove()
    return {name: frames[0].numpy() for name, frames in found.items()}


# -- its random twin, windows, and masked prediction, on the command line -------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden model, imported, padded, and its random twin; noise of 0.5 to 2.5 s."""
    found = tmp_path_factory.mktemp("whisper")
    save_transformers(found / "m", theirs("transformers", "model.encoder."), CONFIG)
    for name, options in (
        ("own", ()), ("padded", ("--set", "padded=true")), ("twin", ("--random",)),
        ("other", ("--random", "--seed", 1)),
    ):  # fmt: skip
        invoke(found, "import", "m", *options, "-o", f"{name}.safetensors")
    batch = noise(8000, 11000, 16000, 40000, 12000, 9000)
    waves = [alone(batch, row).streams["waveform"][0].numpy() for row in range(6)]
    write_store(found / "a.h5", {"waveform": (16000.0, waves)})
    return found


def write_speakers(path: Path, prefix: str) -> None:
    """Two utterances of each of two classes by six speakers, four of them in the training split."""
    batch = noise(*[6400 + 160 * n for n in range(24)], seed=len(prefix))
    streams = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    labels = {"emotion": LabelSpec("class", ("anger", "sadness"))}
    with store_writer(path, {}, streams=streams, labels=labels) as writer:
        for row in range(24):
            speaker = row // 4
            writer.add(
                f"{prefix}{row}",
                streams={"waveform": alone(batch, row).streams["waveform"][0].numpy()},
                labels={"emotion": ("anger", "sadness")[row % 2]},
                meta={
                    "speaker": f"{prefix}{speaker}",
                    "split": "train" if speaker < 4 else ("development", "test")[speaker - 4],
                },
            )


def test_a_random_twin_is_the_same_model_untrained(folder):
    twin, other, own = (
        checkpoints.load_encoder(folder / f"{name}.safetensors", CPU)
        for name in ("twin", "other", "own")
    )
    assert twin[0].configuration == own[0].configuration
    assert twin[1].published is None
    states = [encoder.state_dict() for encoder, _ in (twin, other, own)]
    for name in ("conv1.weight", "encoder.layers.1.fc1.weight"):
        assert not any(torch.equal(states[0][name], state[name]) for state in states[1:])
    torch.testing.assert_close(states[0]["positions"], sinusoids(50, 64))
    invoke(folder, "import", "m", "--random", "-o", "again.safetensors")
    again = checkpoint.load(folder / "again.safetensors")[1]
    assert all(torch.equal(again[name], value) for name, value in states[0].items())


@pytest.mark.parametrize("kind", KINDS)
def test_longer_utterances_are_counted(folder, tmp_path, kind):
    line = ("extract", "a.h5", "--model", f"{kind}.safetensors", "-o", tmp_path / "f.h5")
    assert "1 utterance is longer than 1 s" in invoke(folder, *line).stderr
    assert Store(tmp_path / "f.h5").lengths("features").tolist() == [25, 34, 50, 125, 38, 28]


def test_masked_prediction_with_fresh_clusters(folder, tmp_path):
    units = tmp_path / "units.h5"
    invoke(folder, "cluster", "a.h5", "--model", "own.safetensors", "--layer", 1, "-k", 4,
           "-o", tmp_path / "kmeans.safetensors")  # fmt: skip
    invoke(folder, "extract", "a.h5", "--model", tmp_path / "kmeans.safetensors", "-o", units)
    line = ("pretrain-hubert", "a.h5", "--units", units, "--steps", 2)
    out = tmp_path / "on.safetensors"
    own = ("--init", "own.safetensors")
    assert "--reset-head" in invoke(folder, *line, *own, "-o", out, status=65).stderr
    padded = ("--init", "padded.safetensors", "--reset-head", "-o", out)
    assert "padded=true" in invoke(folder, *line, *padded, status=65).stderr
    invoke(folder, *line, *own, "--reset-head", "-o", out)
    header, tensors = checkpoint.load(out, expect="encoder")
    before = checkpoint.load(folder / "own.safetensors")[1]
    assert header["objective"]["name"] == "masked_prediction"
    assert header["objective"]["configuration"]["units"] == 4
    assert header["objective"]["configuration"]["features_penalty"] == 0.0
    changed = {name for name, value in before.items() if not torch.equal(value, tensors[name])}
    assert changed == before.keys() - {"positions"}


def test_the_whole_chain(folder, tmp_path):
    """Units, further pre-training, retrieval, adaptation, and classifiers in every mode."""
    write_speakers(tmp_path / "a.h5", "a")
    write_speakers(tmp_path / "b.h5", "bb")
    shutil.copy(folder / "own.safetensors", tmp_path)
    for line in (
        "cluster a.h5 b.h5 --model own.safetensors --layer 1 -k 4 -o kmeans.safetensors",
        "extract a.h5 --model kmeans.safetensors -o ua.h5",
        "extract b.h5 --model kmeans.safetensors -o ub.h5",
        "pretrain-hubert a.h5 b.h5 --units ua.h5 --units ub.h5 --init own.safetensors --reset-head "
        "--steps 2 -o further.safetensors",
        "train-projector a.h5 --encoder further.safetensors --epochs 1 -o projector.safetensors",
        "extract a.h5 --model projector.safetensors -o qa.h5",
        "extract b.h5 --model projector.safetensors -o qb.h5",
        "retrieve --query qa.h5 --pool qb.h5 -T 0.1 --draws 1 -o r.jsonl",
        "adapt r.jsonl --epochs 1 -o adapted.safetensors",
    ):
        invoke(tmp_path, *line.split())
    assert checkpoint.load(tmp_path / "adapted.safetensors")[0]["model"]["name"] == "whisper"
    for mode in ("frozen", "fine-tuned", "scratch"):
        encoder = "adapted.safetensors" if mode == "frozen" else "own.safetensors"
        invoke(tmp_path, "finetune", "a.h5", "--encoder", encoder, "--mode", mode, "--epochs", 1,
               "-o", f"{mode}.safetensors")  # fmt: skip
        invoke(tmp_path, "predict", "a.h5", "--model", f"{mode}.safetensors", "--split", "test",
               "-o", f"{mode}.jsonl")  # fmt: skip
        assert len(manifest.read(tmp_path / f"{mode}.jsonl").items) == 4
