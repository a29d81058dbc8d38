from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from small_encoders import check_feature_grad_mult

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.models import registry
from avaffect.models.avhubert import PRESETS, AVHubert
from avaffect.models.encoder import Corruption, Frames
from avaffect.models.heads.units import PredictionHead, PredictionHeadConfiguration

NANO = PRESETS["nano"]
SMALL = replace(NANO.transformer, layers=2, dim=32, ffn_dim=32)
# Those of the published models, and those of nano, small enough for many passes.
KINDS = {
    "published": replace(PRESETS["tiny"], width=8, feature_grad_mult=1.0),
    "nano": replace(NANO, transformer=SMALL),
    "colour": replace(
        NANO,
        transformer=SMALL,
        channels=3,
        face_mean=(0.4, 0.5, 0.6),
        face_std=(0.2, 0.2, 0.3),
        masking="feature",
    ),
}


def model_of(kind: str, **changes) -> AVHubert:
    """In evaluation mode, its batch norms as after some training."""
    torch.manual_seed(0)
    model = AVHubert(replace(KINDS[kind], **changes))
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            buffer.normal_(std=0.3)
    return model.eval()


def recordings(
    samples: list[int], faces: list[int], size: int = 48, channels: int = 1, seed: int = 0
) -> Batch:
    """int16 sounds and uint8 faces; noise past their ends, which no result may depend on."""
    draw = torch.Generator().manual_seed(seed)
    count = len(samples)
    lengths = {"waveform": torch.tensor(samples), "face": torch.tensor(faces)}
    return Batch(
        ids=[str(i) for i in range(count)],
        streams={
            "waveform": torch.randint(
                -9000, 9000, (count, max(samples)), generator=draw, dtype=torch.int16
            ),
            "face": torch.randint(
                0, 256, (count, max(faces), size, size, channels), generator=draw, dtype=torch.uint8
            ),
        },
        lengths=lengths,
        present={name: length > 0 for name, length in lengths.items()},
        rates={"waveform": 16000.0, "face": 25.0},
    )


def alone(batch: Batch, row: int) -> Batch:
    """One utterance without its padding and without the streams that it lacks."""
    lengths = {name: values[row : row + 1] for name, values in batch.lengths.items()}
    lengths = {name: value for name, value in lengths.items() if value > 0}
    return Batch(
        ids=[batch.ids[row]],
        streams={n: batch.streams[n][row : row + 1, : int(value)] for n, value in lengths.items()},
        lengths=lengths,
        present={name: value > 0 for name, value in lengths.items()},
    )


def frames_apart(frames: Frames) -> list[torch.Tensor]:
    return [row[:n] for row, n in zip(frames.values, frames.lengths.tolist())]


#        both  sound alone  faces alone  short sound  long sound  a picture  a sample  nothing
SAMPLES = [9000, 16100, 0, 1500, 9000, 640, 1, 0]
FACES = [14, 0, 9, 11, 5, 1, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padding_and_batch_mates_never_change_frames(kind):
    model = model_of(kind)
    batch = recordings(SAMPLES, FACES, channels=KINDS[kind].channels)
    together = model(batch)
    assert together.lengths.tolist() == [14, 25, 9, 11, 5, 1, 1, 0]
    assert torch.equal(model.frame_count(batch.lengths), together.lengths)
    for row, found in enumerate(frames_apart(together)):
        expected = model(alone(batch, row))
        assert expected.lengths.tolist() == [len(found)]
        torch.testing.assert_close(found, expected.values[0, : len(found)], atol=1e-5, rtol=0)
        assert not together.values[row, len(found) :].any()


@pytest.mark.parametrize(("stream", "other"), [("face", "waveform"), ("waveform", "face")])
@torch.no_grad()
def test_a_stream_that_nobody_has_may_be_absent_or_empty(stream, other):
    model = model_of("nano")
    batch = recordings([9000, 6400], [10, 10])
    nobody = torch.tensor([True, True])
    found = {
        "lengths": model(batch.without(stream, nobody)),
        "absent": model(Batch(batch.ids, {other: batch.streams[other]},
                              {other: batch.lengths[other]})),
        "empty": model(replace(
            batch.without(stream, nobody),
            streams={**batch.streams, stream: batch.streams[stream][:, :0]},
        )),
    }  # fmt: skip
    for frames in found.values():
        assert frames.lengths.tolist() == ([14, 10] if other == "waveform" else [10, 10])
        torch.testing.assert_close(frames.values, found["lengths"].values)
    both = model(batch).values
    assert (both[:, :10] - found["lengths"].values[:, :10]).abs().max() > 1e-2


def test_utterances_without_anything_train_without_nan():
    model = model_of("nano").train()
    frames = model(recordings([0, 0], [0, 0]))
    assert frames.lengths.tolist() == [0, 0]
    assert not frames.values.any()
    frames.values.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@torch.no_grad()
def test_a_missing_modality_is_zero_before_the_fusion():
    model = model_of("nano")
    values = model.features(recordings([6400, 6400, 0], [10, 0, 10])).values
    sound, faces = values.split(model.dim, dim=2)
    assert sound[:2].abs().amin(dim=(1, 2)).gt(0).all() and not sound[2].any()
    assert faces[[0, 2]].abs().amax(dim=(1, 2)).gt(0).all() and not faces[1].any()


@torch.no_grad()
def test_silence_and_black_pictures_are_finite():
    model = model_of("nano")
    batch = recordings([9000], [10])
    for stream in batch.streams.values():
        stream.zero_()
    assert model(batch).values.isfinite().all()


@torch.no_grad()
def test_int16_and_unit_floats_are_the_same_sound():
    model = model_of("nano")
    batch = recordings([9000], [10])
    floats = alone(batch, 0)
    floats.streams["waveform"] = floats.streams["waveform"].float() / 32768.0
    torch.testing.assert_close(model(batch).values, model(floats).values)


@torch.no_grad()
def test_faces_of_other_sizes_and_colours_are_brought_to_its_own():
    model = model_of("nano")
    batch = recordings([9000], [10])
    grey = batch.streams["face"]

    def seen(faces: torch.Tensor) -> torch.Tensor:
        return model(replace(batch, streams={**batch.streams, "face": faces})).values

    expected = seen(grey)
    # Already cropped; in colours that are grey; in floating point; twice as large, pixel for pixel.
    torch.testing.assert_close(seen(grey[:, :, 2:46, 2:46]), expected)
    torch.testing.assert_close(seen(grey.expand(-1, -1, -1, -1, 3)), expected)
    torch.testing.assert_close(seen(grey.float()), expected)
    smooth = torch.linspace(0, 255, 96).view(1, 1, 96, 1, 1).expand(1, 10, 96, 96, 1)
    half = smooth.unflatten(2, (48, 2)).mean(3)[:, :, :, ::2]
    torch.testing.assert_close(seen(smooth), seen(half), atol=1e-3, rtol=0)
    assert (seen(grey.flip(3)) - expected).abs().max() > 1e-2


def test_faces_at_another_rate_are_refused():
    batch = replace(recordings([9000], [10]), rates={"face": 30.0})
    with pytest.raises(UsageError, match=r"25 faces a second.* 30: preprocess it with --fps 25"):
        model_of("nano")(batch)


@torch.no_grad()
def test_hidden_sound_is_behind_the_mask_embedding():
    model = model_of("nano")
    batch = recordings([6400], [10])
    # Shorter than the utterance: the rest is not hidden.
    hidden = torch.zeros(1, 8, dtype=torch.bool)
    hidden[0, 3:6] = True
    plain = model.features(batch).values
    found = model.features(batch, Corruption(audio=hidden)).values
    changed = (found != plain).any(dim=2)[0].nonzero()[:, 0].tolist()
    assert changed == [3, 4, 5]
    expected = model.feature_extractor_audio.proj(model.mask_emb)
    torch.testing.assert_close(found[0, 3:6, : model.dim], expected.expand(3, -1))


@torch.no_grad()
def test_other_pictures_of_the_clip_stand_in():
    model = model_of("nano")
    batch = recordings([6400, 6400], [10, 7])
    source = torch.arange(9).repeat(2, 1)
    source[0, 2:4] = torch.tensor([6, 7])
    source[1, 4] = -1
    found = model.features(batch, Corruption(video_source=source)).values
    mean = KINDS["nano"].face_mean[0] * 255.0
    faces = batch.streams["face"].float()
    faces[0, 2:4] = batch.streams["face"][0, 6:8].float()
    faces[1, 4] = mean
    replaced = replace(batch, streams={**batch.streams, "face": faces})
    torch.testing.assert_close(found, model.features(replaced).values, atol=1e-5, rtol=0)
    assert (found - model.features(batch).values).abs().max() > 1e-2


@torch.no_grad()
def test_features_are_hidden_only_where_the_mask_embedding_is_one():
    batch = recordings([6400], [10], channels=3)
    mask = torch.zeros(1, 10, dtype=torch.bool)
    mask[0, 4:7] = True
    model = model_of("colour")
    features = model.features(batch)
    hidden = model.contextualise(features, mask).values
    features.values[0, 4:7] += 1.0
    torch.testing.assert_close(model.contextualise(features, mask).values, hidden)
    assert (model.contextualise(features).values - hidden).abs().max() > 1e-2
    with pytest.raises(ValueError, match="masks its inputs"):
        model_of("nano").contextualise(features, mask)


@torch.no_grad()
def test_views_move_and_mirror_the_faces():
    model = model_of("nano")
    batch = recordings([6400] * 8, [10] * 8)
    view = model.view(batch, torch.Generator().manual_seed(3))
    again = model.view(batch, torch.Generator().manual_seed(3))
    assert view.streams["face"].shape == (8, 10, 44, 44, 1)
    assert torch.equal(view.streams["face"], again.streams["face"])
    assert view.streams["waveform"] is batch.streams["waveform"]
    assert view.lengths is batch.lengths and batch.streams["face"].shape[2] == 48
    assert model(view).lengths.tolist() == [10] * 8
    assert (model(view).values - model(batch).values).abs().max() > 1e-2
    # What is cropped already is mirrored at most, larger faces are made smaller first.
    cropped = model.view(view, torch.Generator().manual_seed(4)).streams["face"]
    same = (cropped == view.streams["face"]).flatten(1).all(1)
    mirrored = (cropped == view.streams["face"].flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all() and same.any() and mirrored.any()
    large = recordings([6400], [10], size=96)
    assert model.view(large, torch.Generator()).streams["face"].shape == (1, 10, 44, 44, 1)


def test_batches_without_faces_have_no_other_view():
    batch = alone(recordings([6400], [0]), 0)
    assert model_of("nano").view(batch, torch.Generator()) is batch


def test_padding_never_enters_the_statistics_of_batch_norm():
    batch = recordings([0, 0], [12, 5])
    noisier = replace(batch, streams={**batch.streams, "face": batch.streams["face"].clone()})
    noisier.streams["face"][1, 5:] = 255
    statistics = []
    for one in (batch, noisier):
        model = model_of("nano").train()
        model.features(one)
        statistics.append({n: b for n, b in model.named_buffers() if "running" in n})
    fresh = dict(model_of("nano").named_buffers())
    for name, value in statistics[0].items():
        assert torch.equal(value, statistics[1][name])
        assert not torch.equal(value, fresh[name])


def test_feature_grad_mult_scales_both_front_ends_alone():
    check_feature_grad_mult(
        lambda factor: model_of("nano", feature_grad_mult=factor), recordings([6400], [10])
    )


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_autocast_stays_close(kind):
    model = model_of(kind)
    batch = recordings([6400, 6400, 0], [10, 0, 7], channels=KINDS[kind].channels)
    full = model(batch).values
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(batch).values
    assert half.dtype == torch.float32
    assert (half - full).norm() / full.norm() < 0.05
    half.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_nano_has_at_most_a_million_parameters_with_its_head():
    head = PredictionHead(PredictionHeadConfiguration(128, 500, NANO.final_dim))
    count = sum(p.numel() for module in (AVHubert(NANO), head) for p in module.parameters())
    assert count <= 1_000_000


@torch.no_grad()
def test_descriptions_build_its_like():
    model = model_of("colour")
    twin = registry.build(json.loads(json.dumps(registry.describe(model))))
    twin.load_state_dict(model.state_dict())
    batch = recordings([6400], [10], channels=3)
    torch.testing.assert_close(twin.eval()(batch).values, model(batch).values)


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [
        ("masking", "both", "expected 'feature' or 'input'"),
        ("face_mean", [0.4, 0.5, 0.6], "1 numbers each"),
        ("activation", "gelu", "expected 'prelu' or 'relu'"),
        ("unheard_of", 1, "unexpected keyword"),
    ],
)
def test_configurations_that_do_not_fit_are_bad_data(setting, value, word):
    description = {"name": "avhubert", "configuration": {**asdict(NANO), setting: value}}
    with pytest.raises(DataError, match=f"configuration of this avhubert does not fit: .*{word}"):
        registry.build(description)
