"""L1: a still face moved by sound, and its pre-training command."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from chain import invoke
from stores import write_store

from avaffect.core.batch import Batch
from avaffect.models.encoder import Frames
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.models.talking_face import TalkingFace, TalkingFaceConfiguration, at_rate
from avaffect.objectives.base import Context
from avaffect.objectives.face_reconstruction import (
    FaceReconstruction,
    FaceReconstructionConfiguration,
)
from avaffect.training import checkpoint

TINY = TalkingFaceConfiguration(speech_dim=10, height=16, channels=1, width=4, identity=6, noise=3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(samples=(16000, 12000, 8000, 0), faces=(25, 30, 1, 20)) -> Batch:
    sound = torch.randint(-9000, 9000, (len(samples), max(samples)), generator=generator())
    pictures = torch.randint(0, 256, (len(faces), max(faces), 20, 20, 1), generator=generator())
    lengths = {"waveform": torch.tensor(samples), "face": torch.tensor(faces)}
    return Batch(
        [str(n) for n in range(len(samples))],
        {"waveform": sound.to(torch.int16), "face": pictures.to(torch.uint8)},
        lengths, {name: value > 0 for name, value in lengths.items()},
        {"waveform": 16000.0, "face": 25.0},
    )  # fmt: skip


@pytest.fixture
def encoder() -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(RecurrentConfiguration(layers=1, hidden=12, dim=10))


@pytest.fixture
def face() -> TalkingFace:
    torch.manual_seed(1)
    return TalkingFace(TINY)


# -- the generator --------------------------------------------------------------------------------


def test_the_published_shapes():
    """586 numbers drive the decoder; the identity encoder goes from 64 x 128 to 4 x 2."""
    torch.manual_seed(0)
    model = TalkingFace(TalkingFaceConfiguration()).eval()
    assert model.decoder.start[0].in_channels == 586
    code, seen = model.identity(torch.zeros(1, 3, 128, 64))
    assert code.shape == (1, 64)
    assert [tuple(level.shape[1:]) for level in seen] == [
        (64, 64, 32), (128, 32, 16), (256, 16, 8), (512, 8, 4), (1024, 4, 2),
    ]  # fmt: skip
    made = model(torch.zeros(1, 3, 128, 64), torch.zeros(1, 5, 512), torch.tensor([[1, 4]]),
                 generator())  # fmt: skip
    assert made.shape == (1, 2, 3, 128, 64)
    assert made.abs().max() <= 1.0


def test_the_published_number_of_parameters():
    def batch_norm(channels: int) -> int:
        return 2 * channels

    sizes = [3, 64, 128, 256, 512, 1024]
    identity = sum(16 * a * b + batch_norm(b) for a, b in pairwise(sizes))
    identity += 1024 * 64 * 8 + 64
    decoder = 586 * 1024 * 8 + batch_norm(1024)
    for channels in (1024, 512, 256, 128):
        decoder += 2 * channels * channels * 9 + batch_norm(channels)
        decoder += channels * channels // 2 * 16 + batch_norm(channels // 2)
    decoder += 64 * 3 * 16 + 3
    noise = 3 * 10 * (10 + 10 + 2)
    with torch.device("meta"):
        model = TalkingFace(TalkingFaceConfiguration())
    assert sum(p.numel() for p in model.parameters()) == identity + decoder + noise


def test_only_chosen_frames_are_decoded_and_each_is_its_own(face):
    face.eval()
    stills = torch.rand(2, 1, 16, 8)
    speech = torch.rand(2, 7, 10)
    everything = face(stills, speech, torch.arange(7).repeat(2, 1), generator())
    some = face(stills, speech, torch.tensor([[3], [6]]), generator())
    torch.testing.assert_close(some[0, 0], everything[0, 3])
    torch.testing.assert_close(some[1, 0], everything[1, 6])
    decoded = []
    face.decoder.register_forward_hook(lambda module, given, made: decoded.append(len(made)))
    face(stills, speech, torch.tensor([[3], [6]]), generator())
    assert decoded == [2]


def test_noise_is_coherent_in_training_and_absent_afterwards(face):
    torch.testing.assert_close(face.eval().noise(2, 5, generator()), torch.zeros(2, 5, 3))
    face.train()
    torch.testing.assert_close(face.noise(2, 5, generator(4)), face.noise(2, 5, generator(4)))
    assert face.noise(2, 5, generator(4)).abs().min() > 0
    silent = TalkingFace(replace(TINY, noise_deviation=0.0)).train()
    assert not silent.noise(2, 5, generator()).any()


def test_heights_that_cannot_be_halved_are_refused():
    for height in (0, 4, 24, 100):
        with pytest.raises(ValueError, match="height"):
            TalkingFace(replace(TINY, height=height))


def test_sound_at_the_rate_of_pictures():
    values = torch.arange(11.0).view(1, 11, 1)
    found = at_rate(Frames(values, torch.tensor([11])), 100.0, 25.0)
    assert found.values.flatten().tolist() == [1.5, 5.5]
    assert found.lengths.tolist() == [2]
    short = at_rate(Frames(values[:, :3], torch.tensor([3])), 100.0, 25.0)
    assert short.values.shape == (1, 0, 1)
    # 30 pictures a second, by their time stamps: 0, 33.3, 66.7, 100 ms.
    found = at_rate(Frames(values, torch.tensor([11])), 100.0, 30.0)
    assert found.values.flatten().tolist() == [1.5, 5.0, 8.0]
    whole = at_rate(Frames(torch.ones(1, 3000, 2), torch.tensor([3000])), 100.0, 30.0)
    assert whole.lengths.tolist() == [900]
    torch.testing.assert_close(whole.values, torch.ones(1, 900, 2))


# -- the objective --------------------------------------------------------------------------------


def reconstruction(encoder, face: TalkingFace, **options) -> FaceReconstruction:
    """That draws with this face."""
    configuration = FaceReconstructionConfiguration(face=face.configuration, **options)
    objective = FaceReconstruction(encoder, configuration)
    assert objective.configuration == configuration
    objective.face = face
    return objective


def test_its_loss_by_hand(encoder, face):
    objective = reconstruction(encoder, face).eval()
    batch = clips()
    # Two pictures of the second clip, one of them its first, have no face.
    batch.streams["face"][1, [0, 7]] = 0
    step = objective(batch, Context(generator=generator()))
    # 16000 samples give 98 frames of sound, 24 of pictures; 12000 give 73, 18. In evaluation the
    # pictures are spread over 23 and 15 that are not the first with a face.
    firsts = [0, 1]
    times = [[2, 5, 8, 11, 13, 16, 19, 22], [2, 4, 6, 9, 11, 13, 15, 17]]
    total, still = 0.0, 0.0
    speech = at_rate(encoder(batch), 100.0, 25.0).values
    with torch.no_grad():
        for row in range(2):
            pictures = objective.prepare(batch.face[row])
            shown = pictures[firsts[row]]
            for time in times[row]:
                made = face(shown[None], speech[row : row + 1], torch.tensor([[time]]),
                            generator())[0, 0]  # fmt: skip
                total += float((made - pictures[time]).abs().mean())
                still += float((shown - pictures[time]).abs().mean())
    value, count = step.losses["video"]
    assert (float(value.detach()), count) == (pytest.approx(total, rel=1e-5), 16)
    assert float(step.metrics["still"][0]) == pytest.approx(still, rel=1e-5)
    assert objective.counts(batch, Context()) == {"video": 16.0}
    objective.train().pictures = 3
    assert objective.counts(batch, Context()) == {"video": 6.0}


def test_the_first_face_is_never_asked_for_and_all_others_are(encoder, face):
    objective = reconstruction(encoder, face, pictures=400)
    seen = torch.tensor([[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 0, 1]]).bool()
    first, times = objective.draw(seen, generator())
    assert first.tolist() == [0, 0, 1]
    assert [set(row.tolist()) for row in times] == [{1}, {1, 2, 3, 4, 5}, {2, 5}]


def test_pictures_lie_between_minus_one_and_one(encoder, face):
    objective = reconstruction(encoder, face)
    faces = torch.zeros(2, 16, 8, 3, dtype=torch.uint8)
    faces[1] = 255
    prepared = objective.prepare(faces)
    assert prepared.shape == (2, 1, 16, 8)
    assert prepared.flatten(1).unique(dim=1).flatten().tolist() == [-1.0, 1.0]


@torch.no_grad()
def test_what_is_gained_by_hearing(encoder, face):
    """With the sound of others the loss is another; a face that does not hear has the same."""
    objective = reconstruction(encoder, face).eval()
    step = objective(clips(), Context(generator=generator()))
    (loss, count), (other, others) = step.losses["video"], step.metrics["swapped"]
    assert count == others == 16
    assert abs(float(other) - float(loss)) > 1e-5
    found = {"development_video": 0.05, "development_swapped": 0.0501}
    assert "0.0500 is that with the audio of other clips" in objective.collapse(found)
    assert objective.collapse({**found, "development_swapped": 0.06}) is None
    assert objective.collapse({"video": 0.05}) is None
    face.decoder.start[0].weight[:10] = 0
    step = objective(clips(), Context(generator=generator()))
    assert float(step.metrics["swapped"][0]) == pytest.approx(
        float(step.losses["video"][0]), rel=1e-7
    )
    alone = objective(clips((16000,), (25,)), Context(generator=generator()))
    assert alone.metrics["swapped"] == (0.0, 0)


def test_both_tasks_are_weighed_as_in_equation_1(encoder, face):
    objective = reconstruction(encoder, face, alpha=0.67)
    assert objective.weights == {"video": 0.67, "odd": pytest.approx(0.33)}
    step = objective(clips(), Context(generator=generator()))
    assert step.losses.keys() == {"video", "odd"}
    assert float(step.losses["odd"][1]) == 3
    total = sum(value / max(float(count), 1.0) for value, count in step.losses.values())
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())


def test_a_batch_without_faces_or_sound_weighs_nothing(encoder, face):
    objective = reconstruction(encoder, face)
    step = objective(clips((400, 0), (5, 5)), Context(generator=generator()))
    value, count = step.losses["video"]
    assert (float(value.detach()), count) == (0.0, 0.0)
    value.backward()


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(films, tmp_path_factory):
    found = tmp_path_factory.mktemp("l1")
    invoke(found, "preprocess", films / "a.jsonl", "--size", 64, "-o", "a.h5")
    return found


def test_pre_training_with_films_to_look_at(folder, tmp_path):
    found = invoke(folder, "pretrain-l1", "a.h5", "--preset", "nano", "--epochs", 2,
                   "--batch-seconds", 10, "--learning-rate", 1e-3, "--alpha", 0.67,
                   "--preview", tmp_path / "films", "-o", tmp_path / "l1.safetensors")  # fmt: skip
    assert "video loss" in found.stderr
    assert "8 videos" in found.stderr
    header, tensors = checkpoint.load(tmp_path / "l1.safetensors", expect="encoder")
    assert header["model"]["name"] == "recurrent"
    assert header["objective"]["name"] == "face_reconstruction"
    assert header["metrics"]["last"].keys() >= {"video", "still", "odd", "recall_jumbled"}
    assert "objective.face.decoder.picture.weight" in tensors
    films = sorted((tmp_path / "films").glob("*.mp4"))
    assert len(films) == 8
    for path in films:
        with av.open(str(path)) as film:
            shown = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
        assert 13 <= len(shown) <= 21
        assert shown[0].shape == (256, 256)
        with av.open(str(path)) as film:
            assert sum(frame.samples for frame in film.decode(audio=0)) > 10000
    invoke(folder, "extract", "a.h5", "--model", tmp_path / "l1.safetensors",
           "-o", tmp_path / "f.h5")  # fmt: skip


def test_it_learns(folder, tmp_path):
    """A minute of training does not beat a face that does not move; it comes near."""
    invoke(folder, "pretrain-l1", "a.h5", "--preset", "nano", "--epochs", 30, "--batch-seconds", 5,
           "--learning-rate", 3e-3, "--pictures", 4, "-o", tmp_path / "l1.safetensors")  # fmt: skip
    metrics = checkpoint.load(tmp_path / "l1.safetensors")[0]["metrics"]
    assert metrics["last"]["video"] < 0.5 * metrics["first"]["video"]
    assert metrics["last"]["video"] < 3 * metrics["last"]["still"]


def test_clips_without_faces_are_said(folder, tmp_path):
    sound = [np.ones(16000, np.int16)] * 2
    blank = [np.zeros((0, 64, 64, 1), np.uint8), np.ones((25, 64, 64, 1), np.uint8)]
    write_store(tmp_path / "m.h5", {"waveform": (16000.0, sound), "face": (25.0, blank)})
    line = ("pretrain-l1", "--preset", "nano", "--steps", 1, "-o", "l1.safetensors")
    words = invoke(tmp_path, *line, "m.h5").stderr
    assert "1 of 2 utterances are left out" in words
    write_store(tmp_path / "s.h5", {"waveform": (16000.0, sound)})
    assert "no stream 'face'" in invoke(tmp_path, *line, "s.h5", "-f", status=65).stderr
    for wrong in (("--alpha", 0), ("--odd-weight", 1), ("--pictures", 0),
                  ("--alpha", 0.5, "--odd-weight", 0.4)):  # fmt: skip
        invoke(tmp_path, *line, "m.h5", *wrong, "-f", status=2)
