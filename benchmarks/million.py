"""A million utterances: time and memory of each command that reads them, and how both grow.

    python -m benchmarks.million [--quick] [--sizes 10000 100000 1000000] [--folder DIR]

Segments of recordings in a CSV, two speakers a recording, become a manifest, which is divided and
filtered; stores of vectors (32 numbers; 8 shards) are joined, shown and checked, queried, and
learned from; a classifier predicts all, and its predictions are scored. Every command is a process
of its own. Per utterance is what is beyond the same command on 100. The growth is that of a
command's time, and of its memory, from the last size but one to the last, over that of the number
of utterances: 1 is linear, and less is what the start of the process takes.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from avaffect.core.seeds import generator
from avaffect.data.store.layout import Contents, write_store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from benchmarks.processes import MIB, Cost, avaffect, measured

DIM, SHARDS, QUERIES, FEW = 32, 8, 1000, 100
SEGMENTS = 20
EMOTIONS = ("anger", "happiness", "neutral", "sadness")
MADE = {"version": "1", "settings": {}, "inputs": []}
LINEAR = 1.3

COMMANDS = {
    "manifest": ("manifest", "table", "t.csv", "--id", "id", "--media", "path", "--speaker",
                 "speaker", "--start", "start", "--end", "end", "--label", "emotion=emotion",
                 "--no-check-media", "-o", "m.jsonl"),
    "split": ("split", "m.jsonl", "--by", "speaker", "--ratios", 70, 10, 20, "-o", "s.jsonl"),
    "select": ("select", "s.jsonl", "--where", "split=test", "-o", "test.jsonl"),
    "info manifest": ("info", "s.jsonl"),
    "check manifest": ("check", "s.jsonl"),
    "merge": ("merge", *(f"part-{n}.h5" for n in range(SHARDS)), "-o", "v.h5"),
    "info store": ("info", "v.h5"),
    "check store": ("check", "v.h5"),
    "retrieve": ("retrieve", "--query", "q.h5", "--pool", "v.h5", "-o", "r.jsonl"),
    "eval-class of a retrieval": ("eval-class", "r.jsonl", "--gold", "v.h5", "-o", "r.json"),
    "finetune, 1 epoch": ("finetune", "v.h5", "--annotations", "s.jsonl", "--epochs", 1,
                          "--batch-utterances", 512, "-o", "c.safetensors"),
    "predict": ("predict", "v.h5", "--model", "c.safetensors", "-o", "p.jsonl"),
    "eval-class": ("eval-class", "p.jsonl", "--split", "all", "-o", "p.json"),
}  # fmt: skip


@dataclass(frozen=True)
class Corpus:
    """`count` utterances: 20 segments a recording, two speakers in each."""

    count: int

    @property
    def ids(self) -> list[str]:
        return [f"rec{n // SEGMENTS:07d}_{n % SEGMENTS:03d}" for n in range(self.count)]

    @property
    def speakers(self) -> list[str]:
        return [f"spk{n // SEGMENTS:07d}_{n % 2}" for n in range(self.count)]

    @property
    def classes(self) -> np.ndarray:
        return generator(0, "classes").integers(0, len(EMOTIONS), self.count).astype("<i4")

    def write(self, folder: Path) -> None:
        """t.csv, the stores part-*.h5 of vectors that show the class, and q.h5 of queries."""
        classes = self.classes
        with (folder / "t.csv").open("w", newline="") as stream:
            sink = csv.writer(stream)
            sink.writerow(["id", "path", "speaker", "start", "end", "emotion"])
            for n, (identifier, speaker) in enumerate(zip(self.ids, self.speakers)):
                first = 4 * (n % SEGMENTS)
                sink.writerow([identifier, f"rec{n // SEGMENTS:07d}.wav", speaker, first, first + 4,
                               EMOTIONS[classes[n]]])  # fmt: skip
        centres = generator(0, "centres").normal(size=(len(EMOTIONS), DIM))
        noise = generator(0, "vectors").normal(size=(self.count, DIM))
        vectors = (centres[classes] + noise).astype("<f4")
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        bounds = np.linspace(0, self.count, SHARDS + 1).astype(int)
        for number, (start, stop) in enumerate(pairwise(bounds)):
            self._store(folder / f"part-{number}.h5", vectors, range(start, stop))
        self._store(folder / "q.h5", vectors, range(min(QUERIES, self.count)), "query_")

    def _store(self, path: Path, vectors: np.ndarray, rows: range, prefix: str = "") -> None:
        own = vectors[rows.start : rows.stop]

        def blocks() -> Iterator[np.ndarray]:
            yield own

        ids, speakers = self.ids[rows.start : rows.stop], self.speakers[rows.start : rows.stop]
        classes = LabelSpec("class", EMOTIONS), self.classes[rows.start : rows.stop]
        write_store(path, Contents(
            [prefix + identifier for identifier in ids], {"speaker": speakers},
            labels={"emotion": classes}, pooled={"embedding": (PooledSpec(DIM), blocks)},
        ), MADE)  # fmt: skip


def costs(folder: Path, count: int) -> dict[str, Cost]:
    """What each command costs on so many utterances."""
    folder.mkdir(parents=True)
    Corpus(count).write(folder)
    found = {}
    for name, command in COMMANDS.items():
        found[name] = measured(avaffect(*command), folder)
        cost = found[name]
        print(
            f"  {count:>9,}  {name:26} {cost.cpu_s:8.1f} s of CPU {cost.wall_s:8.1f} s "
            f"{cost.own / MIB:7.0f} MiB own", flush=True,
        )  # fmt: skip
    return found


def table(few: dict[str, Cost], found: dict[int, dict[str, Cost]]) -> Iterator[str]:
    """Per utterance, and how time and memory grow."""
    sizes = sorted(found)
    yield f"  {'':26}" + "".join(
        f"{size:>12,}: us, bytes" for size in sizes
    ) + "   growth: time, memory"  # fmt: skip
    for name in COMMANDS:
        each = [
            (
                1e6 * max(found[size][name].cpu_s - few[name].cpu_s, 0) / size,
                max(found[size][name].own - few[name].own, 0) / size,
            )
            for size in sizes
        ]
        last, before = (found[size][name] for size in (sizes[-1], sizes[-2]))
        more = sizes[-1] / sizes[-2]
        time, memory = last.cpu_s / before.cpu_s / more, last.own / before.own / more
        verdict = "met" if max(time, memory) <= LINEAR else "MISSED"
        cells = "".join(f"{us:15.1f}{size:10,.0f}" for us, size in each)
        yield f"  {name:26}{cells}   {time:6.2f} {memory:6.2f} {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 and 2,000 utterances")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where to make the files")
    options = parser.parse_args()
    sizes = [1000, 2000] if options.quick else sorted(options.sizes)
    if len(sizes) < 2:
        parser.error("--sizes: two at least, to see the growth")
    print("million: CPU microseconds and bytes of own memory an utterance, beyond those of 100")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        few = costs(Path(name, "few"), FEW)
        found = {size: costs(Path(name, str(size)), size) for size in sizes}
    for line in table(few, found):
        print(line if not options.quick else line.replace("MISSED", "").replace("met", ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
