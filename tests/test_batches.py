"""Datasets and batches: every utterance once an epoch, little padding, aligned streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avaffect.core.errors import DataError
from avaffect.core.sampling import Sampling
from avaffect.core.seeds import generator
from avaffect.data import batches
from avaffect.data.batches import Bucketed, Paired, Vectors, plan_batches, useful_share
from avaffect.data.dataset import CROP_GRID_S, Dataset, dataset_of, unique_ids
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer

MEDIA = {
    "waveform": StreamSpec("waveform", "int16", 16000.0),
    "face": StreamSpec("face", "uint8", 25.0, (2, 2, 1)),
}
UNITS = {"units": StreamSpec("units", "int32", 50.0)}
DURATIONS = st.lists(st.one_of(st.just(0.0), st.floats(0.05, 30.0)), max_size=120).map(np.array)


def _store(path: Path, seconds: dict[str, float], streams: dict[str, StreamSpec]) -> Store:
    """Every stream counts the 25ths of a second, so that a crop of it tells its time."""
    with store_writer(path, {}, streams=streams) as writer:
        for identifier, duration in seconds.items():
            values = {}
            for name, spec in streams.items():
                time = np.arange(round(duration * spec.rate_hz)) * 25 // int(spec.rate_hz)
                whole = np.broadcast_to(
                    time.reshape(-1, *[1] * len(spec.shape)), (len(time), *spec.shape)
                )
                values[name] = (whole + 1).astype(spec.dtype)
            writer.add(identifier, streams=values)
    return Store(path)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Ten utterances, of which c has no units and e is empty, in two stores and one of units."""
    seconds = {name: 0.4 + 0.24 * index for index, name in enumerate("abcdefghij")} | {"e": 0.0}
    first = _store(tmp_path / "1.h5", {n: s for n, s in seconds.items() if n < "f"}, MEDIA)
    second = _store(tmp_path / "2.h5", {n: s for n, s in seconds.items() if n >= "f"}, MEDIA)
    units = _store(tmp_path / "u.h5", {n: s for n, s in seconds.items() if n != "c"}, UNITS)
    labels = {"emotion": np.arange(10)}
    return dataset_of(
        [first, second], list(seconds), ("waveform", "face", "units"), others=[units], labels=labels
    )


class TestPlan:
    @given(DURATIONS, st.floats(1.0, 60.0), st.integers(1, 20), st.integers(0, 3))
    def test_every_utterance_once_within_the_caps(
        self, durations: np.ndarray, seconds: float, utterances: int, seed: int
    ) -> None:
        plan = plan_batches(durations, seconds, utterances, generator(seed))
        chosen = np.concatenate(plan) if plan else np.array([], dtype=int)
        assert sorted(chosen.tolist()) == np.flatnonzero(durations > 0).tolist()
        for batch in plan:
            assert 0 < len(batch) <= utterances
            assert len(batch) == 1 or len(batch) * durations[batch].max() <= seconds

    @given(DURATIONS, st.floats(1.0, 60.0), st.integers(1, 20))
    def test_extraction_takes_each_once_too(
        self, durations: np.ndarray, seconds: float, utterances: int
    ) -> None:
        plan = batches.sequential_batches(durations, seconds, utterances)
        # Empty utterances as well: their rows are wanted.
        assert sorted(i for batch in plan for i in batch) == list(range(len(durations)))
        for batch in plan:
            assert len(batch) <= utterances
            assert len(batch) == 1 or len(batch) * durations[batch].max() <= seconds

    @pytest.mark.parametrize(("seconds", "utterances"), [(80.0, 64), (320.0, 32), (500.0, 64)])
    def test_useful_frames(self, seconds: float, utterances: int) -> None:
        """Log-normal lengths of 4 to 20 s: at least 0.96; random batches of 32 lie far below."""
        lengths = np.clip(generator(0, "lengths").lognormal(2.0, 0.5, 20_000), 4.0, 20.0)
        plan = plan_batches(lengths, seconds, utterances, generator(0, "plan"))
        assert useful_share(lengths, plan) >= 0.96
        order = generator(0, "random").permutation(len(lengths))
        assert useful_share(lengths, np.split(order, len(order) // 32)) < 0.6
        # Batches do not come sorted: long and short ones alternate.
        longest = np.array([lengths[batch].max() for batch in plan])
        assert abs(np.corrcoef(longest[1:], longest[:-1])[0, 1]) < 0.2

    def test_epochs_mix_anew(self, dataset: Dataset) -> None:
        bucketed = Bucketed(dataset, 3.0, 3, seed=5)

        def plan(epoch: int, batches: Bucketed = bucketed) -> list[list[int]]:
            return [batch.tolist() for batch in batches.plan(epoch)]

        first = plan(0)
        assert plan(1) != first
        # A pure function of the epoch: asked again, in another order, by another process.
        assert plan(0) == first == plan(0, Bucketed(dataset, 3.0, 3, seed=5))
        assert plan(0, Bucketed(dataset, 3.0, 3, seed=6)) != first
        empty = dataset.ids.index("e")
        for epoch in range(3):
            seen = sorted(index for batch in plan(epoch) for index in batch)
            assert seen == [index for index in range(10) if index != empty]


class TestDataset:
    def test_streams_of_several_stores_meet(self, dataset: Dataset) -> None:
        batch = dataset.batch([9, 2, 4, 0], epoch=3)
        assert batch.ids == ["j", "c", "e", "a"] and batch.domain is None
        assert batch.rates == {"waveform": 16000.0, "face": 25.0, "units": 50.0}
        seconds = [2.56, 0.88, 0.0, 0.4]
        for name, rate in batch.rates.items():
            known = [0.0 if (name, s) == ("units", 0.88) else s for s in seconds]
            assert batch.lengths[name].tolist() == [round(s * rate) for s in known]
            assert batch.present[name].tolist() == [s > 0 for s in known]
            steps = batch.streams[name]
            assert steps.shape[:2] == (4, round(2.56 * rate))
            assert steps.dtype == {**MEDIA, **UNITS}[name].dtype
            for row, length in zip(steps, batch.lengths[name]):
                # Values count from 1: all that is there is read, and padding is zero.
                assert (row[:length] > 0).all() and not row[length:].any()
        assert batch.labels["emotion"].tolist() == [9, 2, 4, 0]

    def test_crops_lie_on_the_grid_and_keep_streams_aligned(self, dataset: Dataset) -> None:
        dataset.crop_s, dataset.seed = 0.8, 7
        starts = set()
        for epoch in range(30):
            batch = dataset.batch(range(10), epoch)
            for row, identifier in enumerate(batch.ids):
                index = dataset.ids.index(identifier)
                whole = dataset.durations()[index]
                spans = {}
                for name, rate in batch.rates.items():
                    length = batch.lengths[name][row]
                    if length:
                        assert length == round(min(whole, 0.8) * rate)
                        values = batch.streams[name][row, :length].reshape(length, -1)[:, 0]
                        spans[name] = (int(values[0]), int(values[-1]))
                assert len(set(spans.values())) <= 1
                if identifier == "j":
                    starts.add(spans["face"][0] - 1)
        # Every start that leaves 0.8 of 2.56 s comes up some time; 30 epochs draw many of 45.
        assert max(starts) <= round((2.56 - 0.8) / CROP_GRID_S) and len(starts) > 15

    def test_crops_are_a_function_of_seed_epoch_and_id(self, dataset: Dataset) -> None:
        dataset.crop_s = 0.8
        part = dataset.subset(np.array([9, 5]))
        one, other = dataset.batch([0, 9], 4), part.batch([0, 1], 4)
        steps = one.lengths["waveform"][1]
        assert (one.streams["waveform"][1, :steps] == other.streams["waveform"][0]).all()

    def test_what_an_encoder_samples(self, dataset: Dataset) -> None:
        """The middle section where nothing is cropped, a random one where it is; evenly apart."""
        dataset.sampling = Sampling(0.8, {"face": 4})
        assert dataset.batch_durations()[[0, 9]] == pytest.approx([0.4, 0.8])
        for whole in (dataset, dataset.subset(np.arange(10))):
            batch = whole.batch([9, 0, 4])
            # j lasts 64 pictures: 20 of them from the 22nd on, by the grid; a has 10, e none.
            assert batch.streams["face"][:, :, 0, 0, 0].tolist() == [
                [25, 30, 35, 40], [2, 4, 7, 9], [0] * 4
            ]  # fmt: skip
            assert batch.lengths["face"].tolist() == [4, 4, 0] and batch.rates["face"] == 0.0
            assert batch.streams["units"][0, [0, 39]].tolist() == [23, 42]
            assert batch.lengths["units"].tolist() == [40, 20, 0]
        starts = set()
        for crop_s, longest in ((2.0, 40), (0.4, 20)):
            dataset.crop_s = crop_s
            for epoch in range(10):
                batch = dataset.batch([9], epoch)
                assert batch.lengths["units"].tolist() == [longest]
                starts.add(int(batch.streams["units"][0, 0]))
        assert len(starts) > 8

    def test_durations(self, dataset: Dataset) -> None:
        assert dataset.durations()[[0, 4, 9]] == pytest.approx([0.4, 0.0, 2.56])
        dataset.crop_s = 1.0
        assert dataset.batch_durations()[[0, 4, 9]] == pytest.approx([0.4, 0.0, 1.0])

    def test_what_does_not_fit_is_named(self, dataset: Dataset, tmp_path: Path) -> None:
        store = dataset.columns["waveform"].stores[0]
        with pytest.raises(DataError, match=r"no stream 'units' in .*1\.h5"):
            dataset_of([store], ["a"], ("units",))
        slow = _store(tmp_path / "slow.h5", {"x": 1.0}, {"units": StreamSpec("units", "int32", 25)})
        units = dataset.columns["units"].stores[0]
        with pytest.raises(DataError, match=r"int32 at 50 Hz.* and .*int32 at 25 Hz"):
            dataset_of([units, slow], ["a", "x"], ("units",))
        with pytest.raises(DataError, match=r"the id a is in .*1\.h5 and in .*u\.h5"):
            unique_ids([store, units])


class TestPairs:
    @pytest.fixture
    def paired(self, dataset: Dataset) -> Paired:
        queries = dataset.subset(np.array([0, 1, 3]))
        queries.labels = {"emotion": np.array([2, 0, 1])}
        pool = dataset.subset(np.array([5, 6, 7, 8, 9]))
        pool.labels = {}
        pairs = np.array([[0, 1], [2, 2], [4, 0]])
        return Paired(queries, pool, pairs, batch_seconds=7.0, batch_utterances=4, seed=1)

    def test_epochs_take_their_draw(self, paired: Paired) -> None:
        drawn = {"a": ["f", "g"], "b": ["h", "h"], "d": ["j", "f"]}
        label = {"a": 2, "b": 0, "d": 1}
        for epoch in range(5):
            plan = paired.plan(epoch)
            assert sorted(index for part in plan for index in part) == [0, 1, 2]
            for part in plan:
                batch = paired.batch(part, epoch)
                half = len(batch) // 2
                sources, targets = batch.ids[:half], batch.ids[half:]
                assert targets == [drawn[name][epoch % 2] for name in sources]
                assert batch.domain.tolist() == [0] * half + [1] * half
                # The label of the query is the pseudo-label of what it drew.
                assert batch.labels["emotion"].tolist() == [label[name] for name in sources] * 2
                assert len(batch) <= 4
                padded = batch.streams["waveform"].shape
                assert half == 1 or padded[0] * padded[1] <= 7.0 * 16000

    def test_joined_batches_are_padded_alike(self, paired: Paired) -> None:
        source, target = paired.queries.batch([0, 1]), paired.pool.batch([4])
        target.labels = {"emotion": np.array([3])}
        joined = batches.join(source, target)
        assert joined.labels["emotion"].tolist() == [2, 0, 3]
        for name in source.streams:
            assert joined.streams[name].shape[:2] == (3, target.streams[name].shape[1])
            assert joined.lengths[name].tolist() == [
                *source.lengths[name], *target.lengths[name]
            ]  # fmt: skip
            for row, (whole, part) in enumerate([(source, 0), (source, 1), (target, 0)]):
                length = joined.lengths[name][row]
                expected = whole.streams[name][part, :length]
                assert (joined.streams[name][row, :length] == expected).all()
                assert not joined.streams[name][row, length:].any()


def test_vectors_come_once_an_epoch() -> None:
    rows = np.arange(14.0).reshape(7, 2)
    vectors = Vectors("pooled", rows, {"emotion": np.arange(7)}, batch_utterances=3, seed=2)
    assert [len(part) for part in vectors.plan(0)] == [3, 3, 1]
    assert sorted(np.concatenate(vectors.plan(0)).tolist()) == list(range(7))
    assert [p.tolist() for p in vectors.plan(0)] != [p.tolist() for p in vectors.plan(1)]
    batch = vectors.batch(np.array([4, 0]), 0)
    assert batch.streams["pooled"].tolist() == [[8.0, 9.0], [0.0, 1.0]]
    assert batch.labels["emotion"].tolist() == [4, 0]
