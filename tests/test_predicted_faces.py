"""predict marks the steps that have no face, and leaves them out when asked to."""

from __future__ import annotations

import json
from pathlib import Path

import labelled_faces
import labelled_features
import numpy as np
import pytest
import torch
from chain import invoke
from stores import write_store

from avaffect.data.dataset import dataset_of
from avaffect.data.faces.options import ABSENT, COLUMNS, INTERPOLATED
from avaffect.data.store.reader import Store
from avaffect.models.avhubert import PRESETS, AVHubert
from avaffect.recipes.downstream.face_presence import presence_of
from avaffect.recipes.encoding import checkpoints

GAPS = {"u1": slice(5, 12), "u8": slice(0, 3), "u9": slice(0, 99)}
FRAMES = (30, 41)
TRAINED = ("--encoder", "x.safetensors", "--label", "arousal", "--epochs", 1)
BGRU = ("--head", "bgru", "--hidden", 4, "--layers", 1, "--frames-per-step", 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_faces.write(tmp_path / "f.h5", FRAMES, gaps=GAPS)
    labelled_faces.write_encoder(tmp_path / "x.safetensors")
    return tmp_path


def predicted(folder: Path, *options: object, store: str = "f.h5") -> tuple[Store, str]:
    said = invoke(folder, "predict", store, "--model", "classifier.safetensors", *options, "-f",
                  "-o", "p.h5").stderr  # fmt: skip
    return Store(folder / "p.h5"), said


def expected(identifier: str, frames: int) -> np.ndarray:
    seen = np.ones(frames, dtype=bool)
    seen[GAPS.get(identifier, slice(0, 0))] = False
    return seen


def test_steps_without_a_face_are_marked_and_counted(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *TRAINED)
    made, said = predicted(folder)
    spec = made.streams["face_seen"]
    assert (spec.kind, spec.dtype, spec.shape, spec.rate_hz) == ("presence", "uint8", (), 25.0)
    for row, identifier in enumerate(made.ids):
        seen = expected(identifier, FRAMES[row % 2])
        np.testing.assert_array_equal(made.read("face_seen", row), seen)
        assert len(made.trace("arousal", row)) == len(seen)
        assert made.meta["steps_without_face"][row] == (~seen).sum()
        assert not np.isnan(made.trace("arousal", row)).any()
    assert f"10 predictions of 10 utterances; {7 + 3 + 41} of {5 * 71} steps have no face" in said
    invoke(folder, "check", "p.h5")


def test_a_step_of_several_frames_shows_a_face_where_one_does(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *TRAINED, *BGRU)
    made, _ = predicted(folder)
    row = made.rows["u1"]
    # Frames 5 to 11 are without: of steps of four frames, 8 to 11 are the whole third one.
    assert made.read("face_seen", row).tolist() == [1, 1, 0, *[1] * 8]
    assert made.read("face_seen", made.rows["u9"]).tolist() == [0] * 11
    assert made.streams["face_seen"].rate_hz == made.labels["arousal"].rate_hz == 25 / 4


def test_marks_stand_where_the_predictions_do(folder: Path) -> None:
    """Late, where what was learned early was."""
    invoke(folder, "finetune", "f.h5", *TRAINED, "--delay", 0.2)
    made, _ = predicted(folder)
    late = np.concatenate([np.ones(5, dtype=bool), expected("u1", 41)[:-5]])
    np.testing.assert_array_equal(made.read("face_seen", made.rows["u1"]), late)
    first = np.concatenate([np.zeros(5, dtype=bool), expected("u8", 30)[:-5]])
    np.testing.assert_array_equal(made.read("face_seen", made.rows["u8"]), first)


def test_masked_steps_are_nan_in_every_run(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *TRAINED, "--runs", 2)
    plain, _ = predicted(folder)
    values = [np.array(plain.trace("arousal", row)) for row in range(plain.count)]
    made, said = predicted(folder, "--mask-absent")
    for row, identifier in enumerate(made.ids):
        seen = expected(identifier, FRAMES[row % 2])
        masked = made.trace("arousal", row)
        assert masked.shape == (len(seen), 2)
        np.testing.assert_array_equal(np.isnan(masked), np.repeat(~seen[:, None], 2, axis=1))
        np.testing.assert_array_equal(masked[seen], values[row][seen])
    assert "have no face" in said
    # They can be scored: what is not known takes no part.
    found = invoke(folder, "eval-ccc", "p.h5", "--gold", "f.h5", "--split", "train", "--json")
    assert json.loads(found.stdout)["pooled"]["arousal"]["ccc"] is not None


def test_in_windows_too(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *TRAINED)
    made, _ = predicted(folder, "--window", 0.5, "--mask-absent")
    for row, identifier in enumerate(made.ids):
        seen = expected(identifier, FRAMES[row % 2])
        np.testing.assert_array_equal(np.isnan(made.trace("arousal", row)[:, 0]), ~seen)


def test_stores_without_tracks_say_nothing(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *TRAINED)
    labelled_faces.write(folder / "n.h5", tracked=False)
    made, said = predicted(folder, store="n.h5")
    assert "face_seen" not in made.streams and "steps_without_face" not in made.meta
    assert "have no face" not in said
    mask = ("predict", "n.h5", "--model", "classifier.safetensors", "--mask-absent", "-o", "x.h5")
    assert "without a record of absent faces" in invoke(folder, *mask, status=65).stderr


def test_classifiers_that_see_no_faces_or_know_no_traces(folder: Path) -> None:
    labelled_features.write(folder / "s.h5")
    invoke(folder, "finetune", "s.h5", "--label", "arousal", "--epochs", 1)
    made, _ = predicted(folder, store="s.h5")
    assert not made.streams
    model = ("--model", "classifier.safetensors", "--mask-absent", "-o", "x.h5")
    found = invoke(folder, "predict", "s.h5", *model, status=65).stderr
    assert "reads features here, without a record of absent faces" in found
    invoke(folder, "finetune", "s.h5", "--epochs", 1, "-f")
    found = invoke(folder, "predict", "s.h5", *model, status=2).stderr
    assert "--mask-absent goes with traces" in found


def test_recordings_of_sound_alone_show_no_face(tmp_path: Path) -> None:
    """Under an encoder that does with either: they are predicted, and marked."""
    labelled_faces.write(tmp_path / "f.h5", gaps=GAPS)
    torch.manual_seed(0)
    checkpoints.save_encoder(tmp_path / "x.safetensors", AVHubert(PRESETS["nano"]), None,
                          provenance={"command": "test", "inputs": []})  # fmt: skip
    track = np.zeros((50, len(COLUMNS)), dtype=np.float32)
    track[:, -1] = INTERPOLATED
    track[20:30, -1] = ABSENT
    faces = np.zeros((50, 32, 32, 1), dtype=np.uint8)
    sound = np.random.default_rng(0).integers(-9000, 9000, 32_000).astype(np.int16)
    write_store(tmp_path / "m.h5", {
        "waveform": (16000.0, [sound, sound]),
        "face": (25.0, [faces, faces[:0]]),
        "face_track": (25.0, [track, track[:0]]),
    })  # fmt: skip
    store = Store(tmp_path / "m.h5")
    presence = presence_of([store], dataset_of([store], store.ids, ["waveform", "face"]))
    seen = presence.steps(0, 50, 25.0)
    assert np.flatnonzero(~seen).tolist() == list(range(20, 30))
    assert not presence.steps(1, 50, 25.0).any()
    assert presence_of([store], dataset_of([store], store.ids, ["waveform"])) is None
    invoke(tmp_path, "finetune", "f.h5", *TRAINED, "--mode", "frozen")
    made, said = predicted(tmp_path, store="m.h5")
    assert made.meta["steps_without_face"].tolist() == [10]
    assert "m.h5" not in said
