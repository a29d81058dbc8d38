"""VAVL against values of the released code: features, predictions, losses, names; its phases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import keyed

from avaffect.models.encoder import Frames
from avaffect.models.heads.base import HeadInput
from avaffect.models.heads.two_streams import rows_of
from avaffect.models.heads.vavl import VAVLConfiguration, VAVLHead
from avaffect.models.outline import Outlines
from avaffect.models.published.vavl_names import UNUSED, released
from avaffect.models.relative_attention import shifted, sinusoids
from avaffect.objectives.losses.concordance import concordance

FOLDER = Path(__file__).parent / "golden"
GOLDEN = np.load(FOLDER / "vavl_tiny.npz")
KEYS = json.loads((FOLDER / "vavl_keys.json").read_text())
CLASSES = 6
CLOSE = {"rtol": 0, "atol": 1e-5}


def configuration(**options: object) -> VAVLConfiguration:
    """The tiny one of the golden values."""
    inputs = HeadInput("audio", 12, 50.0), HeadInput("video", 14, 30.0)
    small = {"projection": 10, "hidden": 16, "units": 8, **options}
    return VAVLConfiguration(inputs=inputs, outputs=CLASSES, **small)


def golden_head(**options: object) -> VAVLHead:
    head = VAVLHead(configuration(**options)).eval()
    weights = {"trained": torch.ones(3, dtype=torch.bool)}
    for name, own in head.state_dict().items():
        if name not in weights:
            key = ".".join(released(name))
            value = own if key.endswith(keyed.KEPT) else keyed.weight(key, tuple(own.shape))
            weights[name] = torch.as_tensor(value)
    head.load_state_dict(weights)
    return head


def given(rows: slice = slice(None)) -> dict[str, Frames]:
    found = {}
    for name in ("audio", "video"):
        values = torch.from_numpy(GOLDEN[f"input_{name}"])[rows]
        found[name] = Frames(values, torch.full((len(values),), values.shape[1]))
    return found


def close(found: torch.Tensor, name: str) -> None:
    np.testing.assert_allclose(found.detach().numpy(), GOLDEN[name], **CLOSE)


# -- golden values --------------------------------------------------------------------------------


def test_features_predictions_and_reconstructions_are_those_of_the_released_code() -> None:
    head, frames = golden_head(), given()
    streams = head.streams_of(frames)
    shared, predicted = head.shared(streams), head.predictions(streams)
    for modality, branch in (("audio", head.audio), ("video", head.video)):
        close(branch(frames[modality]).values, f"batchfirst_enc_{modality[0]}")
        close(shared[modality], f"batchfirst_rep_{modality[0]}")
        close(predicted[modality], f"batchfirst_pred_{modality[0]}")
        assert branch.reconstruct is not None
        rebuilt = branch.reconstruct(shared[modality])
        close(rebuilt, f"batchfirst_rec_{modality[0]}")
    close(predicted["av"], "batchfirst_pred_av")
    close(head(frames).utterance, "batchfirst_pred_av")


def test_losses_are_those_of_the_released_code() -> None:
    head = golden_head()
    streams, labels = head.streams_of(given()), torch.arange(3)
    entropies, errors = [], []
    for phase in head.phases:
        lesson = head.lesson(streams, phase, torch.Generator())
        (reading,) = lesson.readings.values()
        assert reading.rows.all()
        entropies.append(float(F.cross_entropy(reading.outputs, labels).detach()))
        errors += [float(total.detach()) / count for total, count in lesson.losses.values()]
    np.testing.assert_allclose(entropies, GOLDEN["batchfirst_loss_ce_a_v_av"], **CLOSE)
    np.testing.assert_allclose(errors, GOLDEN["batchfirst_loss_rec_a_v"], **CLOSE)
    predicted, gold = (torch.from_numpy(GOLDEN[f"ccc_{name}"]) for name in ("pred", "lab"))
    for column in range(3):
        pair = predicted[:, column], gold[:, column]
        found = concordance(*pair, torch.ones(len(gold), dtype=torch.bool))
        np.testing.assert_allclose(float(found), GOLDEN["ccc"][column], **CLOSE)


def test_a_block_stage_by_stage() -> None:
    block = golden_head().audio.encoder.conformer.blocks[0]
    x = torch.from_numpy(GOLDEN["block_in"])
    lengths, valid = torch.full((len(x),), x.shape[1]), torch.ones(x.shape[:2], dtype=torch.bool)
    bias = torch.zeros(len(x), 1, 1, x.shape[1])
    relative = sinusoids(x.shape[1], x.shape[2]), lengths.tolist()
    found = [x + 0.5 * block.before(x)]
    found.append(found[-1] + block.attention(block.attention_norm(found[-1]), bias, *relative))
    found.append(found[-1] + block.convolution(found[-1], lengths, valid))
    found.append(found[-1] + 0.5 * block.after(found[-1]))
    found.append(block.norm(found[-1]))
    for stage, values in enumerate(found):
        close(values, f"block_after_{stage}")
    close(block(x, lengths, valid, bias, *relative), "block_after_4")


def test_names_and_shapes_are_those_of_the_released_model() -> None:
    sizes = KEYS["dims"]
    inputs = HeadInput("audio", sizes["a"], 50.0), HeadInput("video", sizes["v"], 30.0)
    with Outlines():
        head = VAVLHead(VAVLConfiguration(inputs=inputs, outputs=CLASSES))
    ours: dict[str, dict[str, list[int]]] = {}
    for name, value in head.state_dict().items():
        if name != "trained":
            file, theirs = released(name)
            ours.setdefault(file, {})[theirs] = list(value.shape)
    for file, shapes in KEYS["keys"].items():
        used = {n: s for n, s in shapes.items() if not any(part in n for part in UNUSED)}
        assert used.keys() == ours[file].keys()
        for name, shape in used.items():
            # Convolutions of one frame are dense layers here.
            assert ours[file][name] == shape[: len(ours[file][name])], name
            assert np.prod(ours[file][name], dtype=int) == np.prod(shape, dtype=int), name
        left = [n for n in shapes if n not in used and not n.endswith(".pe")]
        buffers = ("running_mean", "running_var", "num_batches_tracked", ".pe")
        counted = sum(
            int(np.prod(s, dtype=int)) for n, s in shapes.items() if not n.endswith(buffers)
        )
        assert counted == KEYS["params"][file]
        assert all(".conv_subsample." in name for name in left)


# -- attention ------------------------------------------------------------------------------------


def test_scores_are_shifted_by_the_length_of_each_utterance() -> None:
    scores = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    counts = [5, 3]
    expected = torch.zeros(2, 3, 5, 5, dtype=torch.float64)
    for b, n in enumerate(counts):
        for i in range(n):
            for j in range(n):
                if j <= i:
                    expected[b, :, i, j] = scores[b, :, i, n - 1 - (i - j)].detach()
                elif j > i + 1:
                    expected[b, :, i, j] = scores[b, :, i + 1, j - i - 2].detach()
    assert torch.equal(shifted(scores, counts), expected)
    assert torch.autograd.gradcheck(lambda s: shifted(s, counts), scores[:, :1])


# -- padding and batch-mates ----------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
def test_batch_mates_and_padding_change_nothing(training: bool) -> None:
    """In training, without dropout, batch norm alone ties utterances together."""
    head = golden_head(dropout=0.0, dense_dropout=0.0)
    random = torch.Generator().manual_seed(0)
    lengths = {"audio": torch.tensor([7, 4, 0]), "video": torch.tensor([5, 0, 3])}
    frames = {name: Frames(own.values, lengths[name]) for name, own in given().items()}
    frames = {n: own.with_values(own.values * own.valid[..., None]) for n, own in frames.items()}
    head.train(training)
    for module in head.modules():
        if type(module).__name__ == "ValidBatchNorm":
            module.eval()
    whole = head(frames).utterance
    for row in range(3):
        rows = torch.arange(3) == row
        alone = {name: rows_of(own, rows) for name, own in frames.items()}
        torch.testing.assert_close(head(alone).utterance[0], whole[row], rtol=0, atol=1e-6)
    noisy = {}
    for name, own in frames.items():
        more = torch.randn(3, 4, own.values.shape[2], generator=random)
        noisy[name] = Frames(torch.cat([own.values, more], dim=1), own.lengths)
    torch.testing.assert_close(head(noisy).utterance, whole, rtol=0, atol=1e-6)
