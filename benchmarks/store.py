"""`python -m benchmarks.store [--quick]`: reading a store, against other ways of keeping it.

Page-cached reads of video and audio features of one utterance, in random order, copied into a batch
as training does: the store, one HDF5 group per utterance, and two raw memory maps (the limit). The
last two without the copy, too: a view that nobody reads costs a call. And the lengths of all
utterances: the store against one dataset per utterance.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from benchmarks.timing import Row, interleaved, median_ratio, print_rows

STREAMS = {
    "video": StreamSpec("features", "float32", 25.0, (64,)),
    "audio": StreamSpec("features", "float32", 25.0, (104,)),
}
# A pass of reads has to take long enough for the clock.
READS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer utterances and repetitions")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        rows = reads(Path(folder), 500 if quick else 2_000, 3 if quick else 9)
        rows += lengths(Path(folder), 20_000 if quick else 200_000, 1 if quick else 3)
    if quick:
        rows = [replace(row, target=None) for row in rows]
    print_rows("Store", rows)


def reads(folder: Path, count: int, repetitions: int) -> list[Row]:
    """Random utterances of 2-4 s of both streams."""
    random = np.random.default_rng(0)
    steps = random.integers(50, 101, count)
    offsets = np.concatenate([[0], np.cumsum(steps)])
    order = random.integers(count, size=READS).tolist()
    values = {
        name: random.standard_normal((offsets[-1], *spec.shape)).astype("float32")
        for name, spec in STREAMS.items()
    }
    with (
        store_writer(folder / "store.h5", {}, streams=STREAMS) as writer,
        h5py.File(folder / "groups.h5", "w") as groups,
    ):
        for row in range(count):
            part = {name: v[offsets[row] : offsets[row + 1]] for name, v in values.items()}
            writer.add(f"utterance_{row}", streams=part)
            for name, steps_of in part.items():
                groups.create_dataset(f"utterance_{row}/{name}", data=steps_of)
    for name, v in values.items():
        v.tofile(folder / f"{name}.raw")
    with h5py.File(folder / "groups.h5") as groups:
        ways = _readers(folder, groups, offsets, order)
        seconds = interleaved(ways, repetitions=repetitions)
    note = f"{READS / np.median(seconds['store']):,.0f} utterances per CPU second"
    return [
        Row("reads: HDF5 groups / store", median_ratio(seconds, "groups", "store"), 10, note=note),
        Row("reads: store / raw memory map", median_ratio(seconds, "store", "raw"), 1.15,
            at_least=False),
        Row("views alone: store / raw memory map",
            median_ratio(seconds, "store views", "raw views")),
    ]  # fmt: skip


def _readers(
    folder: Path, groups: h5py.File, offsets: np.ndarray, order: list[int]
) -> dict[str, Callable[[], object]]:
    store = Store(folder / "store.h5")
    maps = {
        name: np.asarray(np.memmap(folder / f"{name}.raw", "float32", "r")).reshape(-1, *s.shape)
        for name, s in STREAMS.items()
    }
    batch = {name: np.zeros((100, *spec.shape), "float32") for name, spec in STREAMS.items()}
    raw_video, raw_audio = maps["video"], maps["audio"]
    video, audio = batch["video"], batch["audio"]

    def from_store() -> None:
        for row in order:
            found = store.read("video", row)
            video[: len(found)] = found
            found = store.read("audio", row)
            audio[: len(found)] = found

    def from_groups() -> None:
        for row in order:
            group = groups[f"utterance_{row}"]
            found = group["video"][()]
            video[: len(found)] = found
            found = group["audio"][()]
            audio[: len(found)] = found

    def from_raw() -> None:
        for row in order:
            first, last = offsets[row], offsets[row + 1]
            video[: last - first] = raw_video[first:last]
            audio[: last - first] = raw_audio[first:last]

    def store_views() -> None:
        for row in order:
            store.read("video", row)
            store.read("audio", row)

    def raw_views() -> None:
        for row in order:
            raw_video[offsets[row] : offsets[row + 1]]
            raw_audio[offsets[row] : offsets[row + 1]]

    def last_batch(way: Callable[[], None]) -> bytes:
        way()
        return video.tobytes() + audio.tobytes()

    assert last_batch(from_store) == last_batch(from_groups) == last_batch(from_raw)
    return {
        "store": from_store,
        "groups": from_groups,
        "raw": from_raw,
        "store views": store_views,
        "raw views": raw_views,
    }


def lengths(folder: Path, count: int, repetitions: int) -> list[Row]:
    """The lengths of all utterances, as a sampler of batches needs them first of all."""
    steps = np.random.default_rng(1).integers(1, 4, count)
    with store_writer(
        folder / "many.h5", {}, streams={"units": StreamSpec("units", "int32", 50.0)}
    ) as writer:
        for row, size in enumerate(steps):
            writer.add(f"utterance_{row:06d}", streams={"units": np.zeros(size, "int32")})
    with h5py.File(folder / "datasets.h5", "w", libver="latest") as file:
        for row, size in enumerate(steps):
            file.create_dataset(f"utterance_{row:06d}", data=np.zeros(size, "int32"))
    opened = Store(folder / "many.h5")

    def from_datasets() -> np.ndarray:
        with h5py.File(folder / "datasets.h5") as file:
            return np.array([len(dataset) for dataset in file.values()])

    def from_store() -> np.ndarray:
        # One is too quick for the clock.
        for _ in range(100):
            found = opened.lengths("units")
        return found

    def opening() -> np.ndarray:
        return Store(folder / "many.h5").lengths("units")

    assert (from_store() == steps).all() and (np.sort(from_datasets()) == np.sort(steps)).all()
    seconds = interleaved(
        {"datasets": from_datasets, "store": from_store, "opening": opening},
        {"datasets": 1, "store": 100, "opening": 1},
        repetitions,
    )
    name = f"lengths of {count:,}: datasets"
    return [
        Row(f"{name} / store", median_ratio(seconds, "datasets", "store"), 1000),
        Row(f"{name} / store with its opening", median_ratio(seconds, "datasets", "opening"),
            note="ids and all"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
