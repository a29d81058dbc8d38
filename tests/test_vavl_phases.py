"""Algorithm 1 of VAVL: what each phase of a step updates, from whichever utterances there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT
from avaffect.models.efficientnet import PRESETS, EfficientNet
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration, stream_of
from avaffect.models.heads.base import HeadInput
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.two_streams import TwoStreamHead
from avaffect.models.heads.uavm import UAVMConfiguration, UAVMHead
from avaffect.models.heads.vavl import VAVLConfiguration, VAVLHead
from avaffect.models.inputs import Inputs
from avaffect.objectives.base import Context
from avaffect.objectives.criteria import ClassCriterion, ScalarCriterion
from avaffect.objectives.losses.concordance import concordance
from avaffect.objectives.two_streams import TwoStreams
from avaffect.settings.training import TrainingSettings
from avaffect.training.device import make_fabric
from avaffect.training.loop import train
from avaffect.training.run import Run

DIMS, RATES = {"audio": 3, "video": 4}, {"audio": 20.0, "video": 10.0}
# Utterances by what they have.
AUDIO, VIDEO, BOTH = [0, 1, 2], [3, 4, 5], [6, 7, 8]
SMALL = {"projection": 4, "hidden": 8, "units": 6, "audio_layers": 1, "video_layers": 1,
         "shared_layers": 1, "attention_heads": 2, "kernel": 3, "dropout": 0.0,
         "dense_dropout": 0.0}  # fmt: skip


class Given:
    """The same batch in every step."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = np.array(rows)

    def plan(self, epoch: int) -> list[np.ndarray]:
        return [self.rows]

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        random = np.random.default_rng(0)
        batch = Batch([f"u{row}" for row in indices])
        for name, without, steps in (("audio", VIDEO, 6), ("video", AUDIO, 4)):
            values = random.normal(size=(9, steps, DIMS[name])).astype(np.float32)[indices]
            lengths = np.array([0 if row in without else steps - row % 3 for row in indices])
            values[np.arange(steps)[None] >= lengths[:, None]] = 0.0
            stream = stream_of(name)
            batch.streams[stream], batch.lengths[stream] = values, lengths
            batch.present[stream], batch.rates[stream] = lengths > 0, RATES[name]
        batch.labels["emotion"] = (np.arange(9) % 3)[indices]
        batch.labels["valence"] = random.normal(size=9).astype(np.float32)[indices]
        return batch


def inputs() -> tuple[HeadInput, ...]:
    return tuple(HeadInput(name, DIMS[name], RATES[name]) for name in DIMS)


def made(**options: object) -> TwoStreams:
    torch.manual_seed(0)
    return on(VAVLHead(VAVLConfiguration(inputs=inputs(), outputs=4, **{**SMALL, **options})))


def on(head: TwoStreamHead) -> TwoStreams:
    labels = Readout("emotion", "class", classes=3), Readout("valence", "scalar", value=True)
    given = {
        name: GivenFeatures(GivenFeaturesConfiguration(DIMS[name], RATES[name], stream_of(name)))
        for name in DIMS
    }
    criteria = (
        ClassCriterion("emotion", 0, {"ce": 1.0}, alone=False),
        ScalarCriterion("valence", 1, {"ccc": 1.0}),
    )
    return TwoStreams(
        LabelHead.of(head, labels), criteria, Inputs(given, either=True), True, {"heads": 0.01}
    )  # fmt: skip


class Watched:
    """Weights and buffers of the head before a step and after each of its phases."""

    def __init__(self, objective: TwoStreams) -> None:
        self.objective = objective
        self.seen = {"before": self.state()}
        after = objective.after_step

        def note(context: Context, phase: str = "main") -> None:
            self.seen.setdefault(phase, self.state())
            after(context, phase)

        objective.after_step = note  # type: ignore[method-assign]

    def state(self) -> dict[str, torch.Tensor]:
        state = self.objective.beneath.state_dict()
        return {name: value.clone() for name, value in state.items() if name != "trained"}

    def moved(self, before: str, after: str) -> set[str]:
        """Parts of the head of which anything changed."""
        pair = self.seen[before], self.seen[after]
        return {name.split(".")[0] for name in pair[0] if not torch.equal(*(s[name] for s in pair))}


def step(objective: TwoStreams, rows: Sequence[int], steps: int = 1) -> None:
    settings = TrainingSettings(steps=steps, weight_decay=0.1, warmup=0.0, schedule="constant")
    train(objective, Given(rows), settings, Run(seed=0), make_fabric("cpu", "32"), SILENT)


@pytest.mark.parametrize(
    ("rows", "moves"),
    [(AUDIO, ({"audio", "layers"}, set(), set())), (VIDEO, (set(), {"video", "layers"}, set())),
     (BOTH, ({"audio", "layers"}, {"video", "layers"}, {"av"})),
     (AUDIO + VIDEO, ({"audio", "layers"}, {"video", "layers"}, set()))],
)  # fmt: skip
def test_a_phase_moves_its_own_weights_alone(rows: list[int], moves: tuple[set, ...]) -> None:
    """Weights and running statistics; weight decay and Adam's averages move nothing either."""
    objective = made()
    watched = Watched(objective)
    step(objective, rows)
    order = ("before", "audio", "video", "av")
    assert tuple(watched.moved(*pair) for pair in pairwise(order)) == moves
    trained = objective.beneath.trained.tolist()
    assert trained == [bool(moves[0]), bool(moves[1]), bool(moves[2])]
    # All of the weights of a part that moves, but what the softmax and the norms do not feel.
    if rows == BOTH:
        still = [n for n, v in watched.state().items() if torch.equal(v, watched.seen["before"][n])]
        assert all("attention" in name or "batches" in name for name in still), still


def test_no_stale_average_moves_a_modality_that_is_not_there() -> None:
    objective = made()
    step(objective, BOTH)
    stepper = Watched(objective)
    step(objective, AUDIO, 2)
    assert stepper.moved("before", "av") == {"audio", "layers"}


@pytest.mark.parametrize(
    ("rows", "untrained"),
    [(AUDIO, ("video", "av")), (VIDEO, ("audio", "av")), (AUDIO + VIDEO, ()), (BOTH, ())],
)
def test_what_a_head_learned_from_is_what_utterances_have(
    rows: list[int], untrained: tuple[str, ...]
) -> None:
    """UAVM reads one modality of a batch, and has a reading of none of the other: neither that nor
    which it read says what utterances have. Its audiovisual prediction needs no learning."""
    configuration = UAVMConfiguration(inputs(), 4, width=4, heads=1, layers=1, shared_layers=1)
    objective = on(UAVMHead(configuration))
    step(objective, rows)
    assert objective.beneath.untrained == untrained


def test_an_encoder_reads_no_batch_that_lacks_its_streams() -> None:
    """Neither one whose utterances all lack faces, nor one without the stream, as `predict` of a
    store of sound has it."""
    encoder = EfficientNet(PRESETS["nano"])
    audio = GivenFeatures(GivenFeaturesConfiguration(3, 20.0, stream_of("audio")))
    batch = Given(AUDIO).batch(np.array(AUDIO), 0).map(torch.as_tensor)
    nothing = torch.zeros(3, dtype=torch.long)
    for streams in ({}, {"face": torch.zeros(3, 0, 8, 8, 1, dtype=torch.uint8)}):
        lengths = {**batch.lengths, **dict.fromkeys(streams, nothing)}
        given = replace(batch, streams={**batch.streams, **streams}, lengths=lengths)
        found = Inputs({"audio": audio, "encoder": encoder}, either=True)(given)
        assert found["encoder"].values.shape == (3, 0, encoder.dim)
        assert not found["encoder"].lengths.any() and found["audio"].lengths.any()


def test_losses_of_a_phase() -> None:
    """Cross-entropy, 1 - CCC and the weighted reconstruction of those that have the modality."""
    objective = made(reconstruction_weight=2.0).eval()
    rows = [*AUDIO, *BOTH, *VIDEO]
    batch = Given(rows).batch(np.array(rows), 0).map(torch.as_tensor)
    found = objective(batch, Context(), "audio")
    total = sum(
        objective.weights[name] * value / count for name, (value, count) in found.losses.items()
    )
    head, mine = objective.beneath, slice(0, 6)
    with torch.no_grad():
        frames = objective.inputs(batch)["audio"]
        rebuilt, expected = [], []
        outputs = head(objective.inputs(batch), {"audio": torch.ones(9).bool(),
                                                 "video": torch.zeros(9).bool()})  # fmt: skip
        outputs = outputs.utterance[mine]
        for row in range(6):
            own = frames.values[row, : int(frames.lengths[row])]
            alone = head.streams_of({"audio": type(frames)(own[None], frames.lengths[row, None])})
            rebuilt.append(head.audio.reconstruct(head.shared(alone)["audio"])[0])
            expected.append(own.mean(dim=0))
    gold = {name: values[mine] for name, values in batch.labels.items()}
    value = F.cross_entropy(outputs[:, :3], gold["emotion"])
    value = value + 1 - concordance(outputs[:, 3], gold["valence"], torch.ones(6).bool())
    value = value + 2 * F.mse_loss(torch.stack(rebuilt), torch.stack(expected))
    torch.testing.assert_close(total.detach(), value, rtol=1e-5, atol=1e-6)
    assert {name.rpartition("_")[2] for name in found.losses} == {"audio"}
    assert not objective(Given(VIDEO).batch(np.array(VIDEO), 0).map(torch.as_tensor),
                         Context(), "audio").losses  # fmt: skip


def test_ablations_leave_out_their_part() -> None:
    whole, bare = made(), made(residual=False, reconstruction=False, av_head=False)
    assert whole.phases == ("audio", "video", "av") and bare.phases == ("audio", "video")
    names = {name.split(".")[0] for name in bare.beneath.state_dict()}
    assert names == {"audio", "video", "layers", "trained"}
    assert not any("reconstruct" in name for name in bare.beneath.state_dict())
    batch = Given(BOTH).batch(np.array(BOTH), 0).map(torch.as_tensor)
    assert set(bare(batch, Context(), "video").losses) == {"ce_emotion_video", "ccc_valence_video"}
    streams = bare.eval().beneath.streams_of(bare.inputs(batch))
    found = bare.beneath.predictions(streams)
    torch.testing.assert_close(found["av"], (found["audio"] + found["video"]) / 2)
    # With the same weights, the residual makes a difference.
    plain = made(residual=False).eval()
    plain.load_state_dict(whole.eval().state_dict())
    assert not torch.allclose(*(o.beneath.shared(streams)["audio"] for o in (whole, plain)))


def test_an_interrupted_run_ends_as_a_whole_one(tmp_path: Path) -> None:
    """Each phase's optimiser is resumed: the end is the same, bit for bit."""
    rows, states = [*AUDIO, *VIDEO, *BOTH], []
    for stop in (None, 2):
        objective, folder = made(dropout=0.1), tmp_path / str(stop)
        folder.mkdir()
        run = Run(seed=0, folder=folder)
        if stop is not None:
            first = TrainingSettings(steps=stop, warmup=0.0, save_every=1, schedule="constant")
            train(objective, Given(rows), first, run, make_fabric("cpu", "32"), SILENT)
            objective = made(dropout=0.1)
        settings = TrainingSettings(steps=4, warmup=0.0, save_every=1, schedule="constant")
        train(objective, Given(rows), settings, run, make_fabric("cpu", "32"), SILENT)
        states.append(objective.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
