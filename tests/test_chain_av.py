"""The chain on talking faces: stores that mix sound, faces and both, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke

from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.encoding import checkpoints
from avaffect.training import checkpoint

SPEAKERS, SECONDS = ("--speakers", 6), ("--shortest", 0.8, "--longest", 1.0)
QUICK = ("-k", 10, "--initialisations", 1)
PRETRAIN = ("pretrain-hubert", "a.h5", "b.h5", "--modality", "av", "--preset", "nano")
CPU = torch.device("cpu")

# Mixed: of A a third is sound alone and a third faces alone, of B every fourth is sound alone.
COMMANDS: tuple[tuple[object, ...], ...] = (
    ("synth", "a", "--domain", "A", "--utterances", 24, *SPEAKERS, *SECONDS, "-o", "all-a.jsonl"),
    ("synth", "b", "--domain", "B", "--utterances", 24, *SPEAKERS, *SECONDS, "-o", "all-b.jsonl"),
    ("split", "all-a.jsonl", "--ratios", 34, 33, 33, "-o", "split-a.jsonl"),
    *(
        command
        for corpus, source in (("a", "split-a"), ("b", "all-b"))
        for command in (
            ("preprocess", f"{source}.jsonl", "--size", 48, "--shard", "0/3",
             "-o", f"{corpus}0.h5"),
            ("preprocess", f"{source}.jsonl", "--shard", "1/3", "--without", "video",
             "-o", f"{corpus}1.h5"),
            ("preprocess", f"{source}.jsonl", "--size", 48, "--shard", "2/3", "--without", "audio",
             "-o", f"{corpus}2.h5"),
            ("merge", *(f"{corpus}{part}.h5" for part in range(3)), "-o", f"{corpus}.h5"),
        )
    ),
    ("cluster", "a.h5", "b.h5", *QUICK, "-o", "kmeans1.safetensors"),
    *(("extract", f"{c}.h5", "--model", "kmeans1.safetensors", "-o", f"{c}-units1.h5")
      for c in "ab"),
    (*PRETRAIN, "--units", "a-units1.h5", "--units", "b-units1.h5", "--steps", 4,
     "--modality-dropout", 0.5, "-o", "fav1.safetensors"),
    ("cluster", "a.h5", "b.h5", "--model", "fav1.safetensors", "--layer", 2, *QUICK,
     "-o", "kmeans2.safetensors"),
    *(("extract", f"{c}.h5", "--model", "kmeans2.safetensors", "-o", f"{c}-units2.h5")
      for c in "ab"),
    (*PRETRAIN, "--units", "a-units2.h5", "--units", "b-units2.h5", "--steps", 4,
     "-o", "fav2.safetensors"),
    ("train-projector", "a.h5", "--encoder", "fav2.safetensors", "--epochs", 3,
     "-o", "projector.safetensors"),
    ("extract", "a.h5", "--model", "projector.safetensors", "-o", "msp.h5"),
    ("extract", "b.h5", "--model", "projector.safetensors", "-o", "vox.h5"),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("av-chain")
    for arguments in COMMANDS:
        invoke(folder, *arguments)
    return folder


def masking_in(path: Path) -> dict[str, object]:
    """What the pre-training of an encoder hid."""
    return checkpoint.load(path)[0]["objective"]["configuration"]["masking"]


def test_stores_mix_sound_faces_and_both(made: Path) -> None:
    store = Store(made / "a.h5")
    sound, faces = store.lengths("waveform") > 0, store.lengths("face") > 0
    assert [(sound & faces).sum(), (sound & ~faces).sum(), (faces & ~sound).sum()] == [8, 8, 8]
    np.testing.assert_array_equal(store.lengths("face"), store.lengths("face_track"))
    assert store.streams["face"].shape == (48, 48, 1)


def test_each_iteration_has_its_units(made: Path) -> None:
    """MFCC know sound alone; a layer of the audiovisual model knows everybody, at its own rate."""
    first, second = Store(made / "a-units1.h5"), Store(made / "a-units2.h5")
    sound = Store(made / "a.h5").lengths("waveform") > 0
    np.testing.assert_array_equal(first.lengths("units") > 0, sound)
    assert (second.lengths("units") > 0).all()
    assert (first.streams["units"].rate_hz, second.streams["units"].rate_hz) == (100.0, 25.0)
    dropouts = [
        checkpoint.load(made / f"fav{n}.safetensors")[0]["objective"]["configuration"]["masking"][
            "modality_dropout"
        ]
        for n in (1, 2)
    ]
    assert dropouts == [0.5, 0.5]


def test_the_encoder_knows_the_pixels_of_its_corpora(made: Path) -> None:
    encoder, header = checkpoints.load_encoder(made / "fav2.safetensors", CPU)
    stores = [Store(made / name) for name in ("a.h5", "b.h5")]
    pixels = np.concatenate(
        [s.read("face", row)[s.read("face_track", row)[:, 15] > 0].ravel()
         for s in stores for row in range(s.count)]
    ) / 255.0  # fmt: skip
    c = encoder.configuration
    assert c.face_mean[0] == pytest.approx(pixels.mean(), abs=1e-4)
    assert c.face_std[0] == pytest.approx(pixels.std(), abs=1e-4)
    assert header.streams == ("waveform", "face")


def test_the_literal_line(made: Path, shell) -> None:
    line = "avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 | avaffect adapt --epochs 1"
    found = shell(line, made)
    adapted = made / found.stdout.strip()
    before = checkpoint.load(made / "fav2.safetensors")
    after = checkpoint.load(adapted)
    assert after[0]["objective"] == before[0]["objective"]
    moved = {
        name.split(".")[0]
        for name, tensor in before[1].items()
        if not torch.equal(tensor, after[1][name])
    }
    # Both branches and what joins them.
    assert {"feature_extractor_audio", "feature_extractor_video", "encoder"} <= moved


@pytest.mark.parametrize(("modality", "count"), [("audio", 16), ("video", 16), (None, 24)])
def test_a_classifier_reads_what_it_is_told_to(
    made: Path, tmp_path: Path, modality: str | None, count: int
) -> None:
    chosen = () if modality is None else ("--modality", modality)
    found = invoke(
        made, "finetune", "a.h5", "--encoder", "fav2.safetensors", "--mode", "frozen", *chosen,
        "--epochs", 2, "-o", tmp_path / "er.safetensors",
    )  # fmt: skip
    if modality is not None:
        word = {"audio": "waveform", "video": "face"}[modality]
        assert f"8 utterances have no frame of {word}, left out" in found.stderr
    predicted = tmp_path / "predictions.jsonl"
    invoke(made, "predict", "a.h5", "--model", tmp_path / "er.safetensors", "-o", predicted)
    assert len(manifest.read(predicted).items) == count


def test_modalities_differ_and_are_those_of_the_stream(made: Path, tmp_path: Path) -> None:
    """Of an utterance with both, sound alone gives what the utterance without its faces gives."""
    for modality in ("audio", "video", "av"):
        invoke(made, "extract", "a0.h5", "--model", "fav2.safetensors", "--modality", modality,
               "--pooled-only", "-o", tmp_path / f"{modality}.h5")  # fmt: skip
    invoke(made, "preprocess", "split-a.jsonl", "--shard", "0/3", "--without", "video",
           "-o", tmp_path / "sound.h5")  # fmt: skip
    invoke(made, "extract", tmp_path / "sound.h5", "--model", "fav2.safetensors",
           "--pooled-only", "-o", tmp_path / "alone.h5")  # fmt: skip
    rows = {
        name: Store(tmp_path / f"{name}.h5").pooled_vectors("mean")
        for name in ("audio", "video", "av", "alone")
    }
    np.testing.assert_allclose(rows["audio"], rows["alone"], atol=1e-5)
    for first, second in (("audio", "video"), ("audio", "av"), ("video", "av")):
        assert np.abs(rows[first] - rows[second]).max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pretrain-hubert", "a.h5", "--units", "a-units1.h5", "--init", "fav1.safetensors",
          "--modality", "audio"), "fav1.safetensors reads av"),
        (("pretrain-hubert", "a.h5", "--units", "a-units1.h5", "--init", "fav1.safetensors",
          "--masking", "input"), "was made for feature masking"),
        (("pretrain-hubert", "a.h5", "--units", "a-units1.h5", "--modality-dropout", 0.5),
         "are for --modality av"),
        (("pretrain-hubert", "a.h5", "--units", "a-units1.h5", "--modality", "av",
          "--audio-dropout", 1.5), "--audio-dropout 1.5: "),
        (("pretrain-hubert", "a.h5", "--units", "a-units1.h5", "--init", "fav1.safetensors",
          "--preset", "tiny"), "--init has a size"),
        (("extract", "a.h5", "--model", "mfcc", "--modality", "video"), "mfcc reads audio"),
        (("extract", "a.h5", "--model", "kmeans1.safetensors", "--modality", "audio"),
         "a quantiser reads what it was fitted on"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(
    made: Path, tmp_path: Path, arguments: tuple[object, ...], words: str
) -> None:
    suffix = "h5" if arguments[0] == "extract" else "safetensors"
    output = ("-o", tmp_path / f"x.{suffix}")
    assert words in invoke(made, *arguments, *output, status=2).stderr


def test_faces_of_another_rate_or_size_are_refused(made: Path, tmp_path: Path) -> None:
    invoke(made, "preprocess", "split-a.jsonl", "--shard", "0/12", "--size", 48, "--fps", 30,
           "-o", tmp_path / "fast.h5")  # fmt: skip
    found = invoke(made, "extract", tmp_path / "fast.h5", "--model", "fav1.safetensors",
                   "-o", tmp_path / "x.h5", status=65)  # fmt: skip
    assert "preprocess with --fps 25" in found.stderr
    invoke(made, "preprocess", "split-a.jsonl", "--shard", "0/12", "--size", 64,
           "-o", tmp_path / "large.h5")  # fmt: skip
    found = invoke(made, "cluster", tmp_path / "large.h5", "b.h5", "--model", "fav1.safetensors",
                   "-k", 2, "-o", tmp_path / "k.safetensors", status=65)  # fmt: skip
    assert "preprocess both with one --size" in found.stderr


def test_utterances_that_nothing_can_be_learned_from_are_counted(
    made: Path, tmp_path: Path
) -> None:
    """Units of MFCC lack those who are only seen; HuBERT cannot hear them."""
    for modality, words in (
        ("av", "s of face and 1 step of units: "),
        ("audio", "s of waveform and 1 step of units: "),
    ):
        split = ("--split", "all", "--units", "a-units1.h5", "--steps", 2)
        found = invoke(made, "pretrain-hubert", "a.h5", *split, "--modality", modality,
                       "--preset", "nano", "-o", tmp_path / f"{modality}.safetensors")  # fmt: skip
        assert "8 of 24 utterances are left out" in found.stderr and words in found.stderr
        assert "16 utterances, " in found.stderr
    found = invoke(made, "extract", "a.h5", "--model", tmp_path / "audio.safetensors",
                   "-o", tmp_path / "x.h5")  # fmt: skip
    assert "8 utterances have no frame of waveform, and nothing but zeros" in found.stderr
    found = invoke(made, "extract", "a.h5", "--model", "projector.safetensors",
                   "--modality", "video", "-o", tmp_path / "e.h5")  # fmt: skip
    assert "8 utterances have no frame of face, left out" in found.stderr


def test_a_classifier_of_faces_does_not_predict_sound(made: Path, tmp_path: Path) -> None:
    invoke(made, "finetune", "a.h5", "--encoder", "fav2.safetensors", "--mode", "frozen",
           "--modality", "video", "--epochs", 1, "-o", tmp_path / "er.safetensors")  # fmt: skip
    found = invoke(made, "predict", "a1.h5", "--model", tmp_path / "er.safetensors", status=65)
    assert "no stream 'face' in" in found.stderr and "there: waveform" in found.stderr
    found = invoke(made, "predict", "a.h5", "--model", tmp_path / "er.safetensors",
                   "-o", tmp_path / "p.jsonl")  # fmt: skip
    assert "16 predictions of 16 of 24 utterances" in found.stderr


def test_input_masking_trains_and_continues(made: Path, tmp_path: Path) -> None:
    units = ("--units", "a-units2.h5", "--units", "b-units2.h5")
    first = tmp_path / "input.safetensors"
    invoke(made, *PRETRAIN, *units, "--masking", "input", "--steps", 3, "-o", first)
    invoke(made, "pretrain-hubert", "a.h5", "b.h5", *units, "--init", first, "--steps", 3,
           "-o", tmp_path / "more.safetensors")  # fmt: skip
    header = checkpoint.load(tmp_path / "more.safetensors")[0]
    assert masking_in(tmp_path / "more.safetensors")["kind"] == "input"
    assert json.loads(json.dumps(header["model"]))["configuration"]["masking"] == "input"
