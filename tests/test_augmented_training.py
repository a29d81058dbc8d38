"""finetune --augment: what is trained on is changed, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import labelled_faces
import numpy as np
import pytest
import torch
from chain import invoke
from clips import check_resuming, faces, generator, tiny_encoder
from label_heads import linear, named, of_class
from labelled_features import write as write_features

from avaffect.core.batch import Batch
from avaffect.data.store.reader import Store
from avaffect.data.traces import resample
from avaffect.evaluation.concordance import ccc
from avaffect.models.avhubert import PRESETS, AVHubert
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.objectives.base import Context, Step
from avaffect.objectives.supervised import Supervised, augmented
from avaffect.recipes.encoding import checkpoints
from avaffect.signal.augmentations import augmentation
from avaffect.training import checkpoint

TRACE = ("--label", "arousal", "--epochs", 2, "--batch-utterances", 4)


class Lightness(Supervised):
    """Outputs of zero: nobody's task, but one that needs no labels."""

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        found = self.head(named(self.encoder(self.seen(batch, context)))).utterance
        return Step({"lightness": (found.square().sum(), float(len(found)))})


def lightness(name: str | None, frozen: bool = False, seed: int = 0) -> Lightness:
    encoder = tiny_encoder(seed)
    objective = Lightness(of_class(linear(encoder.dim, 1)), (), Inputs({ENCODER: encoder}), frozen)
    objective.augmentation = None if name is None else augmentation(name)
    return objective


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_faces.write(tmp_path / "f.h5")
    labelled_faces.write_encoder(tmp_path / "x.safetensors")
    return tmp_path


def trained(folder: Path, *options: object) -> tuple[dict, dict[str, torch.Tensor]]:
    invoke(folder, "finetune", "f.h5", "--encoder", "x.safetensors", *options, "-f")
    return checkpoint.load(folder / "classifier.safetensors")


# -- batches of faces -----------------------------------------------------------------------------


def test_faces_of_0_to_255_are_augmented_as_clips_of_0_to_1() -> None:
    batch = faces((7, 4), channels=1)
    for name in ("flip", "crop", "crop-out", "missing", "solarise", "salt-pepper", "flip+missing"):
        change = augmentation(name)
        found = augmented(batch, change, generator(5)).face
        clips = batch.face[..., 0].float() / 255
        expected = change(clips, batch.lengths["face"], generator(5))
        torch.testing.assert_close(found, expected[..., None] * 255)
        assert found.dtype == torch.float32 and found.max() <= 255
    assert batch.face.dtype == torch.uint8


def test_channels_are_changed_alike() -> None:
    batch = faces((7, 4), channels=3)
    grey = replace(batch, streams={"face": batch.face[..., :1].expand(-1, -1, -1, -1, 3)})
    for name in ("flip", "crop", "crop-out", "missing", "salt-pepper"):
        found = augmented(grey, augmentation(name), generator(2)).face
        assert torch.equal(found[..., 0], found[..., 1])
        assert torch.equal(found[..., 0], found[..., 2])


def test_a_batch_without_faces_stays_as_it_is() -> None:
    heard = Batch(["a"], {"waveform": torch.zeros(1, 900)}, {"waveform": torch.tensor([900])})
    assert augmented(heard, augmentation("flip"), generator()) is heard
    empty = faces((0, 0))
    assert augmented(empty, augmentation("flip"), generator()) is empty


@pytest.mark.parametrize("frozen", [False, True])
def test_only_what_is_trained_on_is_augmented(frozen: bool) -> None:
    batch = faces((5, 4))
    objective = lightness("salt-pepper", frozen)
    objective.train()
    seen = [objective.seen(batch, Context(generator=generator(seed))).face for seed in (1, 1, 2)]
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    assert objective.encoder.training != frozen
    objective.eval()
    assert objective.seen(batch, Context()) is batch
    plain = lightness(None, frozen)
    plain.train()
    assert torch.equal(plain.seen(batch, Context()).face, batch.face)


def test_faces_are_augmented_at_the_size_that_is_seen() -> None:
    """Of faces of 40 pixels that the encoder sees with 32, a crop leaves 5/6 of 32."""
    objective = lightness("crop")
    objective.train()
    assert objective.seen(faces((3,), size=40), Context()).face.shape == (1, 3, 27, 27, 1)
    colours = objective.seen(faces((3,), size=40, channels=3), Context())
    assert colours.face.shape == (1, 3, 27, 27, 1)


def test_avhubert_crops_and_flips_before_it() -> None:
    torch.manual_seed(0)
    encoder = AVHubert(PRESETS["nano"])
    objective = Lightness(of_class(linear(encoder.dim, 1)), (), Inputs({ENCODER: encoder}), False)
    objective.augmentation = augmentation("missing")
    objective.train()
    found = objective.seen(faces((10, 5), size=48), Context()).face
    assert found.shape == (2, 10, 44, 44, 1)
    assert (found.flatten(2).sum(2) == 0).sum(1)[0] == 2
    assert encoder(replace(faces((10, 5), size=48), streams={"face": found})).lengths.tolist() == [
        10, 5
    ]  # fmt: skip


def test_a_resumed_run_draws_the_same(tmp_path: Path) -> None:
    whole = check_resuming(lambda seed: lightness("flip+salt-pepper", seed=seed), tmp_path, 5)
    assert whole.augmentation is not None


# -- on the command line --------------------------------------------------------------------------


def test_training_differs_and_prediction_sees_faces_as_they_are(folder: Path) -> None:
    plain = trained(folder, *TRACE)[1]
    header, tensors = trained(folder, *TRACE, "--augment", "missing+solarise")
    assert header["provenance"]["settings"]["augment"] == "missing+solarise"
    name = "runs.0.head.head.layers.1.weight"
    assert not torch.equal(plain[name], tensors[name])
    again = trained(folder, *TRACE, "--augment", "missing+solarise")[1]
    assert all(torch.equal(tensors[n], again[n]) for n in tensors)
    # What chose the epoch is what predict gives: both of faces as they are.
    invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", "--split",
           "development", "-o", "p.h5")  # fmt: skip
    made, given = Store(folder / "p.h5"), Store(folder / "f.h5")
    values = made.trace("arousal", 0)[:, 0]
    gold = resample(given.trace("arousal", given.rows["u8"]), 5.0, 25.0, len(values))
    best = header["runs"][0]["metrics"]["development"]
    assert best["ccc"] == pytest.approx(ccc(values, gold), abs=1e-5)


def test_a_frozen_encoder_sees_augmented_faces_in_each_epoch(folder: Path) -> None:
    """A linear head on classes else trains on means that are computed once."""
    options = ("--mode", "frozen", "--epochs", 3)
    plain, changed = (
        trained(folder, *options, *more)[1] for more in ((), ("--augment", "crop-out"))
    )
    name = "runs.0.head.head.standardisation.mean"
    assert torch.equal(plain[name], changed[name])
    assert not torch.equal(plain["runs.0.head.head.layers.1.weight"],
                           changed["runs.0.head.head.layers.1.weight"])  # fmt: skip


def test_crops_of_so_many_pixels(folder: Path) -> None:
    found = [
        trained(folder, *TRACE, "--augment", "crop", "--crop-pixels", pixels)[1]
        for pixels in (32, 24)
    ]
    # The whole picture is a crop of itself.
    plain = trained(folder, *TRACE)[1]
    weight = "runs.0.encoder.resnet.frontend3D.0.weight"
    np.testing.assert_allclose(plain[weight], found[0][weight], atol=1e-6)
    assert not torch.equal(plain[weight], found[1][weight])


def test_mistakes(folder: Path) -> None:
    def refused(*options: object) -> str:
        return invoke(folder, "finetune", "f.h5", *options, *TRACE, "-o", "y.safetensors",
                      status=2).stderr  # fmt: skip

    seen = ("--encoder", "x.safetensors", "--augment")
    assert "unknown augmentation 'blur'" in refused(*seen, "flip+blur")
    found = refused(*seen, "crop", "--crop-pixels", 33)
    assert "33 x 33" in found and "32 x 32" in found
    assert "--crop-pixels goes with --augment crop" in refused(*seen, "flip", "--crop-pixels", 9)
    assert not list(folder.glob("y.safetensors*"))
    write_features(folder / "f.h5")
    found = refused("--augment", "flip")
    assert "--augment flip changes faces, and the input is features alone" in found


def test_crops_of_what_avhubert_sees(folder: Path) -> None:
    torch.manual_seed(0)
    checkpoints.save_encoder(folder / "av.safetensors", AVHubert(PRESETS["nano"]), None,
                          provenance={"command": "test", "inputs": []})  # fmt: skip
    found = invoke(folder, "finetune", "f.h5", "--encoder", "av.safetensors", *TRACE,
                   "--modality", "video", "--augment", "crop", "--crop-pixels", 45,
                   "-o", "y.safetensors", status=2).stderr  # fmt: skip
    # It sees 44 of the pixels that faces are resized to.
    assert "45 x 45" in found and "44 x 44" in found
