"""Retrieval by softmax sampling against NumPy's full row, softmax and `choice`.

    python -m benchmarks.retrieve [--quick] [--shards]

Pools of unit vectors, d = 32, T = 0.1: L, a tight cone of cosines like a trained projector's; C,
five clusters; U, uniform on the sphere, the hard case. Before any time counts, draws must agree
with the exact softmax by a chi-square test; where they do not, the exit status is 1.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from avaffect.core.rows import Rows
from avaffect.core.seeds import generator
from avaffect.retrieval.sampling import sample
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

DIM = 32
TEMPERATURE = 0.1
SPREAD = {"L": (1, 0.37), "C": (5, 0.9), "U": (0, 1.0)}
"""Clusters, and the length of the noise around a centre: trials per draw come to 3, 300, 4,900."""

TARGETS = {"L": 1000, "C": 200, "U": 8}
QUERIES = {"L": 20_000, "C": 4_000, "U": 300}
GATE_DRAWS = {"L": 100_000, "C": 50_000, "U": 5_000}
SHARDS = (4, 16, 64, 256)
P_VALUE = 1e-3
SLAB = 2**20


def embeddings(kind: str, count: int, name: str) -> np.ndarray:
    """`count` unit vectors of the kind, float32, made in slabs."""
    clusters, noise = SPREAD[kind]
    centres = np.zeros((1, DIM), dtype=np.float32)
    if clusters:
        centres = generator(0, kind).standard_normal((clusters, DIM), dtype=np.float32)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    random = generator(0, kind, name)
    rows = np.empty((count, DIM), dtype=np.float32)
    for start in range(0, count, SLAB):
        slab = rows[start : start + SLAB]
        random.standard_normal(out=slab, dtype=np.float32)
        slab *= np.float32(noise / DIM**0.5)
        slab += centres[random.integers(0, len(centres), size=len(slab))]
        slab /= np.linalg.norm(slab, axis=1, keepdims=True)
    return rows


def full_rows(queries: np.ndarray, pool: np.ndarray, draws: int) -> None:
    """The paper's way: a row of S, its softmax, `choice`."""
    random = np.random.default_rng(0)
    for query in queries:
        logits = (pool @ query) / np.float32(TEMPERATURE)
        probabilities = np.exp(logits - logits.max()).astype(np.float64)
        probabilities /= probabilities.sum()
        random.choice(len(pool), size=draws, p=probabilities)


def retrieve(queries: np.ndarray, pool: np.ndarray, draws: int = 1, sampler: str = "auto"):
    return sample(queries, pool, temperature=TEMPERATURE, draws=draws, sampler=sampler)


def agreement(drawn: np.ndarray, query: np.ndarray, pool: np.ndarray, warmth: float = 1) -> float:
    """p-value of draws under the softmax of `query`, over cells of equal mass and of place.

    Eight cells of the pool's order times eight of similarity, each an eighth of the mass, so that
    both a wrong weight and a wrong place show.
    """
    logits = pool.astype(np.float64) @ query / (TEMPERATURE * warmth)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    order = np.argsort(logits)
    cell = np.empty(len(pool), dtype=np.int64)
    cell[order] = np.minimum(np.cumsum(probabilities[order]) * 8, 7).astype(np.int64)
    cell = 8 * cell + np.arange(len(pool)) * 8 // len(pool)
    expected = np.bincount(cell, probabilities, minlength=64) * len(drawn)
    counts = np.bincount(cell[drawn], minlength=64)
    return float(stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue)


def gate(kind: str, queries: np.ndarray, pool: np.ndarray, draws: int) -> bool:
    """Print and judge p-values: the timed path, one draw for each of many equal queries, and the
    stream."""
    query = queries[0]
    same = np.repeat(query[None], draws, axis=0)
    got = retrieve(same, pool)
    drawn = {f"{got.sampler}, 1 draw a query": got.indices[:, 0]}
    drawn["stream, 1 query"] = retrieve(query[None], pool, 100_000, "stream").indices[0]
    passed = True
    for name, indices in drawn.items():
        value = agreement(indices, query, pool)
        passed &= value > P_VALUE
        print(f"  {kind} {name}: {len(indices):,} draws, chi-square p = {value:.3f}")
    # A temperature a quarter off must be seen, or the test above says nothing.
    wrong = agreement(drawn["stream, 1 query"], query, pool, warmth=1.25)
    return passed and wrong < P_VALUE


def speed(kind: str, pool: np.ndarray, scale: float, repetitions: int) -> list[Row]:
    queries = embeddings(kind, max(4, int(QUERIES[kind] * scale)), "query")
    ways = {
        "numpy": (lambda: full_rows(queries[:4], pool, 1), 4),
        "ours": (lambda: retrieve(queries, pool), len(queries)),
    }
    if kind == "U":
        ways["stream"] = (lambda: retrieve(queries, pool, 1, "stream"), len(queries))
        ways["numpy 50"] = (lambda: full_rows(queries[:4], pool, 50), 4)
        ways["ours 50"] = (lambda: retrieve(queries, pool, 50), len(queries))
    seconds = interleaved(
        {name: way for name, (way, _) in ways.items()},
        {name: count for name, (_, count) in ways.items()},
        repetitions,
    )
    micros = {name: statistics.median(values) * 1e6 for name, values in seconds.items()}
    drawn = retrieve(queries, pool)

    def row(name: str, slow: str, fast: str, target: float | None) -> Row:
        note = f"{micros[slow]:,.0f} against {micros[fast]:,.1f} us CPU a query"
        return Row(name, median_ratio(seconds, slow, fast), target, note=note)

    rows = [row(f"{kind}, 1 draw, auto ({drawn.sampler})", "numpy", "ours", TARGETS[kind])]
    if kind == "U":
        rows.append(row("U, 1 draw, stream", "numpy", "stream", None))
        rows.append(row("U, 50 draws, auto", "numpy 50", "ours 50", None))
    return rows


def growth(size: int, scale: float, repetitions: int) -> Row:
    """Cost of rejection at ten times the pool."""
    queries = embeddings("C", max(4, int(QUERIES["C"] * scale)), "query")
    large = embeddings("C", 10 * size, "pool")
    pools = {"1": large[:size].copy(), "10": large}
    seconds = interleaved(
        {name: lambda pool=pool: retrieve(queries, pool) for name, pool in pools.items()},
        repetitions=repetitions,
    )
    samplers = {name: retrieve(queries[:999], pool).sampler for name, pool in pools.items()}
    return Row(
        f"C, pool of {10 * size:,} against {size:,}",
        median_ratio(seconds, "10", "1"),
        1.3 if set(samplers.values()) == {"reject"} else None,
        at_least=False,
        note=" and ".join(samplers.values()),
    )


def shards(size: int, scale: float, repetitions: int) -> list[Row]:
    """Cost of a pool in many parts, which give the same draws, over that of one array."""
    pool = embeddings("C", size, "pool")
    pools = {count: Rows(np.array_split(pool, count)) for count in SHARDS}
    rows = []
    for sampler, draws, count in (("stream", 50, 256), ("reject", 1, QUERIES["C"])):
        queries = embeddings("C", max(4, int(count * scale)), "query")
        ways = {"1": lambda q=queries, s=sampler, n=draws: retrieve(q, pool, n, s)}
        for number, parts in pools.items():
            ways[str(number)] = lambda q=queries, s=sampler, n=draws, p=parts: retrieve(q, p, n, s)
        found = {name: way() for name, way in ways.items()}
        same = all(np.array_equal(of.indices, found["1"].indices) for of in found.values())
        assert same, "shards give other draws"
        seconds = interleaved(ways, repetitions=repetitions)
        rows += [
            Row(f"{sampler}, {draws} draws, {number:,} shards over one",
                median_ratio(seconds, str(number), "1"), None, at_least=False)
            for number in SHARDS
        ]  # fmt: skip
    return rows


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def peak_of_one_run(path: str) -> None:
    """In a process of its own: print the bytes that a stream adds to the program's own."""
    queries = embeddings("U", 2048, "query")
    before = peak_bytes()
    with one_thread():
        retrieve(queries, np.load(path, mmap_mode="r"), 50, "stream")
    print(peak_bytes() - before)


def memory(pool: np.ndarray) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pool.npy")
        np.save(path, pool)
        command = [sys.executable, "-m", "benchmarks.retrieve", "--peak", str(path)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
    beyond = (int(run.stdout) - pool.nbytes) / 2**20
    note = "2,048 queries, 50 draws, stream over a memory map; program and libraries aside"
    return Row("peak memory beyond the pool", beyond, 256, " MiB", at_least=False, note=note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small pools: that it runs, no figure")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--shards", action="store_true", help="pools of many parts alone")
    arguments = parser.parse_args()
    if arguments.peak:
        peak_of_one_run(arguments.peak)
        return 0
    size, scale, repetitions = (20_000, 0.02, 1) if arguments.quick else (1_000_000, 1.0, 5)
    rows, passed = [], True
    if arguments.shards:
        with one_thread():
            # A dozen ways, each alike in every repetition: three are enough, and take a minute.
            found = shards(size, scale, min(3, repetitions))
            print_rows(f"Pools of many parts, |B| = {size:,}", found)
        return 0
    with one_thread():
        print(f"Agreement with softmax(S / T), |B| = {size:,}, d = {DIM}, T = {TEMPERATURE}")
        for kind in TARGETS:
            pool = embeddings(kind, size, "pool")
            draws = int(GATE_DRAWS[kind] * (0.1 if arguments.quick else 1))
            passed &= gate(kind, embeddings(kind, 1, "gate"), pool, draws)
            rows += speed(kind, pool, scale, repetitions)
        rows.append(growth(size, scale, 2 * repetitions))
        rows.append(memory(pool))
    if arguments.quick:
        rows = [replace(row, target=None) for row in rows]
    print_rows(f"CPU of NumPy's full row against ours, one core, |B| = {size:,}", rows)
    if not passed:
        print("The draws do not follow the softmax: no figure above counts.", file=sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
