"""`avaffect retrieve` as a command, on pools of stores: time and memory by the number of shards.

    python -m benchmarks.pools [--quick] [--size N] [--shards 1 4 16 64 256] [--kinds L C]
                               [--queries N] [--samplers auto] [--folder DIR]

Makes stores of embeddings (benchmarks.retrieve's kinds of pools) with ids, speakers and durations,
and runs the command in a process of its own. Draws from shards must be those from one store, or the
exit status is 1. The pool is mapped: its pages count as resident, and the system may drop them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from avaffect.data import manifest
from avaffect.data.store.layout import Contents, write_store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from benchmarks.processes import Cost, avaffect, measured
from benchmarks.retrieve import DIM, embeddings
from benchmarks.timing import Row, print_rows

MADE = {"version": "1", "settings": {}, "inputs": []}
EMOTIONS = ("anger", "happiness", "neutral", "sadness")
BLOCK_ROWS = 2**17


def write_embeddings(path: Path, vectors: np.ndarray, first: int, labels: bool = False) -> None:
    """A store of embeddings whose ids are as long as those of VoxCeleb2's recordings."""
    numbers = range(first, first + len(vectors))
    texts = [f"voxceleb2_id{n // 170:05d}_{n * 2654435761 % 2**44:011x}_{n:08d}" for n in numbers]

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(vectors), BLOCK_ROWS):
            yield vectors[start : start + BLOCK_ROWS]

    rows = np.arange(first, first + len(vectors))
    emotion = LabelSpec("class", EMOTIONS), (rows % len(EMOTIONS)).astype("<i4")
    contents = Contents(
        texts,
        meta={
            "speaker": [f"voxceleb2_id{n // 170:05d}" for n in numbers],
            "duration_s": 4 + (rows % 100) / 10,
        },
        labels={"emotion": emotion} if labels else {},
        pooled={"embedding": (PooledSpec(DIM), blocks)},
    )
    write_store(path, contents, MADE)


def write_pool(folder: Path, vectors: np.ndarray, count: int) -> str:
    """A pool in `count` stores; the pattern that names them."""
    pattern = folder / f"pool-{len(vectors)}-{count}-*.h5"
    edges = np.linspace(0, len(vectors), count + 1).astype(int)
    for number, (start, stop) in enumerate(pairwise(edges)):
        path = Path(str(pattern).replace("*", f"{number:04}"))
        if not path.exists():
            write_embeddings(path, vectors[start:stop], start)
    return str(pattern)


def retrieve(query: Path, pool: str, output: Path, sampler: str) -> Cost:
    return measured(
        avaffect("retrieve", "--query", query, "--pool", pool, "--sampler", sampler, "-o", output,
                 "-f", "-q")
    )  # fmt: skip


def compare(folder: Path, kind: str, sampler: str, options: argparse.Namespace) -> bool:
    """Print what the command costs by the number of shards; whether all draw the same."""
    vectors = embeddings(kind, options.size, "pool")
    query = folder / f"query-{kind}.h5"
    write_embeddings(query, embeddings(kind, options.queries, "query"), 2**30, labels=True)
    pools = {count: write_pool(folder, vectors, count) for count in options.shards}
    pool_bytes, few = vectors.nbytes, write_pool(folder, vectors[:256].copy(), 1)
    del vectors
    small = folder / "query-small.h5"
    write_embeddings(small, embeddings(kind, 8, "query"), 2**30, labels=True)
    program = retrieve(small, few, folder / "program.jsonl", sampler)
    rows, drawn = [], {}
    for count, pool in pools.items():
        output = folder / f"{kind}-{sampler}-{count}.jsonl"
        cost = retrieve(query, pool, output, sampler)
        found = manifest.read(output)
        drawn[count] = [item["pool"] for item in found.items]
        beyond = (cost.peak - program.peak - pool_bytes) / 2**20
        note = (
            f"{found.header.made_with.sampler}; CPU {cost.cpu_s:,.1f} s; resident at most "
            f"{cost.peak / 2**20:,.0f} MiB: own {cost.own / 2**20:,.0f} (the program "
            f"{program.own / 2**20:,.0f}), mapped {cost.mapped / 2**20:,.0f}"
        )
        rows.append(Row(f"{count} stores, wall", cost.wall_s, None, " s", note=note))
        rows.append(Row("  peak beyond program and pool", beyond, 256, " MiB", at_least=False))
    print_rows(
        f"{kind}, --sampler {sampler}: {options.queries:,} queries, 50 draws, pool of "
        f"{options.size:,} ({pool_bytes / 2**20:,.0f} MiB)", rows,
    )  # fmt: skip
    return all(each == drawn[options.shards[0]] for each in drawn.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small pools: that it runs, no figure")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--kinds", nargs="+", default=["L", "C"], choices=["L", "C", "U"])
    parser.add_argument("--samplers", nargs="+", default=["reject", "stream"])
    parser.add_argument("--folder", type=Path, help="where to make the stores, and keep them")
    options = parser.parse_args()
    if options.quick:
        options.size, options.queries, options.shards = 20_000, 20, [1, 4]
        options.kinds = ["C"]
    same = True
    if options.folder:
        options.folder.mkdir(exist_ok=True, parents=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        for kind in options.kinds:
            folder = options.folder / kind if options.folder else Path(temporary, kind)
            folder.mkdir(exist_ok=True, parents=True)
            for sampler in options.samplers:
                same &= compare(folder, kind, sampler, options)
    if not same:
        print("Shards give other draws than one store: no figure above counts.", file=sys.stderr)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
