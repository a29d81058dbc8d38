"""CAV-MAE and Social-MAE: what an utterance gives whatever it lacks and whoever is beside it, and
masked autoencoding against naive loops."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file, save_file
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models import registry
from avaffect.models.cavmae import CAVMAE, CAVMAEConfiguration
from avaffect.models.cavmae_decoder import DecoderConfiguration
from avaffect.models.patches import (
    hidden,
    picture_patches,
    pictures_of,
    sine_cosine_in_time,
    spectrum_of,
    spectrum_patches,
    visible,
)
from avaffect.objectives import masked_autoencoding
from avaffect.objectives.base import Context
from avaffect.objectives.losses.audiovisual_contrast import contrast
from avaffect.objectives.losses.patch_reconstruction import patch_errors
from avaffect.objectives.masked_autoencoding import (
    MaskedAutoencoding,
    MaskedAutoencodingConfiguration,
)
from avaffect.training.device import make_fabric
from avaffect.training.gathering import Gatherer

SMALL = CAVMAEConfiguration(
    dim=16, heads=2, ffn_dim=32, layers=2, pictures=4, face_size=32, bands=32, spectrum_frames=48
)
DECODER = DecoderConfiguration(8, 1, 2)
FORK = multiprocessing.get_context("fork")
AUDIO_TOKENS, VIDEO_TOKENS = 6, 8


def make_encoder(**changes: object) -> CAVMAE:
    torch.manual_seed(0)
    return CAVMAE(replace(SMALL, **changes)).eval()


def make_objective(**changes: object) -> MaskedAutoencoding:
    return MaskedAutoencoding(make_encoder(), MaskedAutoencodingConfiguration(DECODER, **changes))


def make_batch(sounds: list[int], pictures: list[int], seed: int = 0) -> Batch:
    """Each utterance's values are its own, whatever the others are."""
    streams = {
        WAVEFORM: torch.zeros(len(sounds), max(*sounds, 1), dtype=torch.int16),
        FACE: torch.zeros(len(pictures), max(*pictures, 1), 40, 40, 3, dtype=torch.uint8),
    }
    for row, (samples, count) in enumerate(zip(sounds, pictures)):
        random = torch.Generator().manual_seed(seed + row)
        wave = torch.randint(-9000, 9000, (9000,), generator=random).to(torch.int16)
        face = torch.randint(0, 255, (12, 40, 40, 3), generator=random).to(torch.uint8)
        streams[WAVEFORM][row, :samples] = wave[:samples]
        streams[FACE][row, :count] = face[:count]
    lengths = {WAVEFORM: torch.tensor(sounds), FACE: torch.tensor(pictures)}
    return Batch([f"u{row}" for row in range(len(sounds))], streams, lengths)


def only(batch: Batch, row: int, *names: str) -> Batch:
    """One utterance, without padding, and these of its streams."""
    lengths = {name: batch.lengths[name][row : row + 1] for name in names}
    streams = {n: batch.streams[n][row : row + 1, : int(lengths[n])] for n in names}
    return Batch([batch.ids[row]], streams, lengths)


@torch.no_grad()
@pytest.mark.parametrize("layer", [None, 1, 3])
def test_an_utterance_gives_the_same_in_any_company(layer: int | None) -> None:
    encoder = make_encoder()
    batch = make_batch([7600, 4000, 0, 399, 0], [4, 0, 2, 6, 0])
    found = encoder(batch, layer)
    heard, seen = [True, True, False, False, False], [True, False, True, True, False]
    assert found.valid[:, :AUDIO_TOKENS].all(dim=1).tolist() == heard
    assert found.valid[:, AUDIO_TOKENS:].all(dim=1).tolist() == seen
    assert found.valid.sum(dim=1).tolist() == [14, 6, 8, 8, 0]
    assert not found.values[~found.valid].any() and encoder.usable(batch.lengths).tolist() == [
        True, True, True, True, False,
    ]  # fmt: skip
    for row, names in enumerate([(WAVEFORM, FACE), (WAVEFORM,), (FACE,), (FACE,)]):
        alone = encoder(only(batch, row, *names), layer)
        own = found.values[row][found.valid[row]]
        torch.testing.assert_close(own, alone.values[alone.valid], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_short_and_long_utterances_fill_the_input() -> None:
    encoder = make_encoder(spectrum_mean=1.0, spectrum_std=2.0)
    batch = make_batch([9000, 4000], [2, 9])
    spectrum = encoder.spectrum(batch)
    assert spectrum.shape == (2, 48, 32)
    # 23 whole windows, then zeros before standardisation.
    assert (spectrum[1, 23:] == -0.5).all() and (spectrum[1, :23] != -0.5).all()
    assert encoder.heard(batch).view(2, 2, 3).tolist() == [
        [[True] * 3] * 2, [[True, True, False]] * 2,
    ]  # fmt: skip
    pictures = encoder.pictures(batch)
    assert pictures.shape == (2, 4, 32, 32, 3)
    assert torch.equal(pictures[0, 0], pictures[0, 1]) and torch.equal(
        pictures[0, 2], pictures[0, 3]
    )
    few = only(batch, 1, FACE)
    few.streams[FACE] = few.streams[FACE][:, [1, 3, 5, 7]]
    few.lengths[FACE] = torch.tensor([4])
    assert torch.equal(encoder.pictures(few)[0], pictures[1])
    other = make_encoder(colours="bgr")
    swapped = replace(batch, streams={FACE: batch.streams[FACE].flip(-1)})
    expected = make_encoder().pictures(swapped)
    torch.testing.assert_close(other.pictures(batch), expected)


def test_patches_have_a_way_back() -> None:
    spectrum, faces = torch.randn(2, 48, 32), torch.randn(2, 4, 32, 32, 3)
    sound, tubes = spectrum_patches(spectrum, 16), picture_patches(faces, 16, 2)
    assert sound.shape == (2, 6, 256) and tubes.shape == (2, 8, 1536)
    assert torch.equal(spectrum_of(sound, 16, 32), spectrum)
    assert torch.equal(pictures_of(tubes, 16, 2, 32), faces)
    # Bands before time; rows, columns, then time.
    assert torch.equal(sound[0, 1].view(16, 16), spectrum[0, 16:32, :16].T)
    tube = tubes[0, 2 * 1 + 1].view(2, 16, 16, 3)
    assert torch.equal(tube, faces[0, 2:4, :16, 16:])
    # Patches of one place differ in time, and with one step are those of the grid.
    places = sine_cosine_in_time(16, 2, 2).view(4, 2, 16)
    assert not torch.allclose(places[:, 0], places[:, 1])
    torch.testing.assert_close(
        places[:, 1] - places[:, 0], (places[0, 1] - places[0, 0]).expand(4, -1)
    )


def test_configurations_that_do_not_fit() -> None:
    good = registry.describe(make_encoder())
    for name, value in (
        ("face_size", 40), ("pictures", 3), ("heads", 3), ("positions", "none"), ("bands", 100),
    ):  # fmt: skip
        with pytest.raises(DataError):
            registry.build({**good, "configuration": {**good["configuration"], name: value}})


def test_layers_are_recomputed_with_the_same_gradients() -> None:
    gradients = []
    for recompute in (False, True):
        objective = make_objective().train()
        objective.encoder.recompute = objective.decoder.recompute = recompute
        step = objective(make_batch([7600, 7600], [4, 4]), Context(generator=seeded()))
        sum(value for value, _ in step.losses.values()).backward()
        gradients.append([p.grad for p in objective.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 20
    assert all(torch.equal(one, two) for one, two in zip(*gradients))


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_only_visible_patches_pass_the_encoders() -> None:
    """What is hidden changes no token, only the targets."""
    objective = make_objective(masked_audio=0.5, masked_video=0.75)
    patches = {WAVEFORM: torch.randn(2, 6, 256), FACE: torch.randn(2, 8, 1536)}
    noise = {WAVEFORM: torch.rand(2, 6), FACE: torch.rand(2, 8)}
    found = objective.reconstruct(patches, noise)
    assert [found.kept[s].shape[1] for s in patches] == [3, 2]
    changed = {}
    for stream, values in patches.items():
        masked = hidden(found.kept[stream], values.shape[1])
        assert masked.sum(dim=1).tolist() == [values.shape[1] - found.kept[stream].shape[1]] * 2
        changed[stream] = torch.where(masked[..., None], torch.randn_like(values), values)
    other = objective.reconstruct(changed, noise)
    for stream in patches:
        assert torch.equal(found.predicted[stream], other.predicted[stream])
        assert not torch.equal(found.wanted[stream], other.wanted[stream])
    assert visible(torch.rand(1, 784), 0.75).shape == (1, 196)
    # Nothing is reconstructed from nothing.
    assert visible(torch.rand(2, 10), 0.95).shape == (2, 1)
    step = make_objective(masked_audio=0.95, masked_video=0.95).eval()(
        make_batch([7600, 4000], [4, 4]), Context(generator=seeded())
    )
    assert all(bool(torch.isfinite(value)) for value, _ in step.losses.values())


def test_the_reconstruction_is_that_of_a_naive_loop() -> None:
    torch.manual_seed(0)
    predicted = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    patches = torch.randn(2, 3, 5, dtype=torch.float64)
    for normalise in (False, True):
        errors = patch_errors(predicted, patches, normalise)
        expected = []
        for row in range(2):
            for place in range(3):
                wanted = patches[row, place]
                if normalise:
                    mean = sum(wanted) / 5
                    variance = sum((value - mean) ** 2 for value in wanted) / 4
                    wanted = (wanted - mean) / (variance + 1e-6) ** 0.5
                expected.append(sum((predicted[row, place] - wanted) ** 2) / 5)
        naive = torch.stack(expected).view(2, 3)
        torch.testing.assert_close(errors, naive)
        own, other = (torch.autograd.grad(x.sum(), predicted)[0] for x in (errors, naive))
        torch.testing.assert_close(own, other)


def test_the_contrast_is_that_of_a_naive_loop() -> None:
    torch.manual_seed(0)
    anchors = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    candidates = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    own = torch.tensor([1, 2, 4])
    losses, found = contrast(anchors, candidates, own, 0.07)
    naive = []
    for row in range(3):
        scores = [
            (anchors[row] @ other) / anchors[row].norm() / other.norm() / 0.07
            for other in candidates
        ]
        naive.append(sum(torch.exp(s) for s in scores).log() - scores[int(own[row])])
        assert bool(found[row]) == (
            max(range(5), key=[s.item() for s in scores].__getitem__) == int(own[row])
        )
    torch.testing.assert_close(losses, torch.stack(naive))
    for leaf in (anchors, candidates):
        one, two = (torch.autograd.grad(x.sum(), leaf, retain_graph=True)[0] for x in
                    (losses, torch.stack(naive)))  # fmt: skip
        torch.testing.assert_close(one, two)


def test_utterances_without_a_stream_are_reconstructed_from_the_other() -> None:
    objective = make_objective().eval()
    batch = make_batch([7600, 4000, 0, 7600], [4, 0, 2, 4])
    step = objective(batch, Context(generator=seeded()))
    # Of 6 and 8 patches 1 and 2 are visible; the third sixth of the second sound is padding.
    counts = {name: count for name, (_, count) in step.losses.items()}
    assert counts["video"] == 3 * 6 and counts["contrast"] == 2
    assert 10 + 3 <= counts["audio"] <= 10 + 4
    assert float(step.metrics["chance"][0]) == 1.0
    assert set(step.metrics) == {
        "audio_mean", "video_mean", "reconstruction", "matched_audio", "matched_video", "chance",
    }  # fmt: skip
    alone = make_objective().eval()(make_batch([7600], [0]), Context(generator=seeded()))
    assert [count for _, count in alone.losses.values()] == [5.0, 0.0, 0.0]
    both = make_objective(both_ways=True).eval()(batch, Context(generator=seeded()))
    assert both.losses["contrast"][0].item() != step.losses["contrast"][0].item()
    none = make_objective(contrast=0.0)
    assert not none.coupled and none.needs.together == 1
    assert "contrast" not in none(batch, Context(generator=seeded())).losses


def test_whole_clips_are_matched_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those visible patches of them that the masks of a batch leave, as in training."""
    objective = make_objective()
    batch = make_batch([7600] * 3, [4] * 3)
    compared: list[tuple[Tensor, Tensor]] = []

    def spy(anchors: Tensor, candidates: Tensor, *others: object) -> tuple[Tensor, Tensor]:
        compared.append((anchors.detach(), candidates.detach()))
        # The losses of hidden patches find all, the whole clips none.
        found = torch.tensor([len(compared) % 2 == 1] * 3)
        return contrast(anchors, candidates, *others)[0], found  # type: ignore[arg-type]

    monkeypatch.setattr(masked_autoencoding, "contrast", spy)
    objective(batch, Context(generator=seeded()))
    assert len(compared) == 2
    compared.clear()
    objective.eval()
    step = objective(batch, Context(generator=seeded()))
    assert len(compared) == 4 and float(step.metrics["matched_audio"][0]) == 0
    with torch.no_grad():
        whole = [
            torch.cat(
                [objective.encoder(only(batch, row, s)).values.mean(dim=1) for row in (0, 1, 2)]
            )
            for s in (FACE, WAVEFORM)
        ]
    for masked, seen in zip(compared[0], whole):
        assert not torch.allclose(masked, seen, atol=1e-3)
    for found, expected in ((compared[1], whole), (compared[3], whole[::-1])):
        for one, other in zip(found, expected):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_the_mean_patch_is_that_of_the_sound_without_padding() -> None:
    objective = make_objective().eval()
    objective.shares[WAVEFORM] = 0.5
    # One of three columns of patches is sound; the others, with the zeros of padding, are not.
    batch = make_batch([2400] * 6, [0] * 6)
    assert objective.encoder.heard(batch).sum(dim=1).tolist() == [2] * 6
    patches = objective.encoder.patches(batch, WAVEFORM)
    kept = visible(objective.noise(batch, WAVEFORM, seeded()), 0.5)
    expected, count = 0.0, 0
    for row in range(6):
        visible_sound = [place for place in (0, 3) if place in kept[row]]
        hidden_sound = [place for place in (0, 3) if place not in kept[row]]
        # Where no sound is visible the mean is the corpus's, 0.
        mean = patches[row, visible_sound].mean(dim=0) if visible_sound else torch.zeros(256)
        for place in hidden_sound:
            expected += float((patches[row, place] - mean).square().mean())
            count += 1
    step = objective(batch, Context(generator=seeded()))
    assert step.metrics["audio_mean"][1] == count > 3
    assert float(step.metrics["audio_mean"][0]) == pytest.approx(expected, rel=1e-5)


def test_half_precision_leaves_the_spectrum_as_it_is() -> None:
    encoder, batch = make_encoder(), make_batch([7600], [0])
    with torch.autocast("cpu", torch.bfloat16):
        half = encoder.spectrum(batch)
    assert torch.equal(half, encoder.spectrum(batch))


def test_a_collapse_is_said() -> None:
    objective = make_objective()
    learned = {"audio": 0.5, "audio_mean": 1.0, "video": 0.9, "video_mean": 1.0}
    assert objective.collapse({**learned, "contrast": 1.0}) is None
    assert "video" in str(
        objective.collapse({"development_video": 1.0, "development_video_mean": 1.0})
    )


def test_a_run_without_anything_to_contrast_is_said() -> None:
    alone = {"audio": 0.5, "audio_mean": 1.0}
    assert make_objective(contrast=0.0).collapse(alone) is None
    objective = make_objective()
    assert "contrasted" in str(objective.collapse(alone))
    assert objective.collapse({}) is None
    both = str(objective.collapse({"audio": 1.0, "audio_mean": 1.0}))
    assert "contrasted" in both and "reconstructed" in both


# -- several ranks ---------------------------------------------------------------------------------

SOUNDS, PICTURES = [7600, 7600, 0, 7600, 6000], [4, 4, 4, 0, 4]


def gradients(objective: MaskedAutoencoding, batch: Batch, gather: object) -> dict[str, Tensor]:
    """Of the loss of all ranks together, by the sums of their losses; the same masks for an
    utterance in any batch."""

    def noise(batch: Batch, stream: str, generator: torch.Generator) -> Tensor:
        count = objective.encoder.configuration.patch_count(stream)
        return torch.stack([torch.rand(count, generator=seeded(int(i[1:]))) for i in batch.ids])

    objective.noise = noise  # type: ignore[method-assign]
    step = objective(batch, Context(generator=seeded(), gather=gather))  # type: ignore[arg-type]
    total = sum(value * objective.weights[name] for name, (value, _) in step.losses.items())
    total.backward()
    found = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    found |= {f"loss {name}": value.detach() for name, (value, _) in step.losses.items()}
    found |= {f"count {name}": torch.tensor(count) for name, (_, count) in step.losses.items()}
    return {name: value.double().contiguous() for name, value in found.items()}


def _on_rank(rank: int, port: int, folder: Path) -> None:
    os.environ.update(
        TORCHELASTIC_RUN_ID="x", RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    fabric = make_fabric("cpu", "32")
    whole = make_batch(SOUNDS, PICTURES)
    rows = torch.arange(len(whole))[rank::2]
    part = whole.map(lambda values: values[rows])
    part.ids = [whole.ids[int(row)] for row in rows]
    found = gradients(make_objective(contrast=1.0), part, Gatherer(fabric))
    save_file(found, folder / f"rank-{rank}.safetensors")


def test_two_ranks_have_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    ranks = [FORK.Process(target=_on_rank, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=200)
        assert process.exitcode == 0
    whole = gradients(make_objective(contrast=1.0), make_batch(SOUNDS, PICTURES), None)
    one, two = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in (0, 1))
    assert float(one["count contrast"]) == 2 and float(two["count contrast"]) == 1
    for name, expected in whole.items():
        found = one.get(name, torch.zeros_like(expected)) + two.get(
            name, torch.zeros_like(expected)
        )
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
