"""Damaged stores, manifests, checkpoints and training states: what `check` and each reader said.

A damage is survived where the command refuses the file by its name with status 65, or does what it
does with the whole file. Otherwise it is told what went wrong: another status (`unexpected`), a
message without the file's name (`unnamed`), another result in silence (`silent`), a dead process.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.damages import Damage, damages
from benchmarks.faults.reading import header_of, judged, meaning
from benchmarks.faults.table import Line
from benchmarks.faults.trying import Said, built, command, digest_of, each

POSITIONS = 208
QUICK = 16
SEED = 18
OUT = Path("out")


@dataclass(frozen=True)
class Reader:
    """A command that reads the file X. makes: what it writes, within OUT."""

    line: str
    makes: str = ""

    @property
    def name(self) -> str:
        return self.line.split()[0] + " --as model" * ("--model X" in self.line)

    def arguments(self, file: str) -> list[str]:
        parts = [file if part == "X" else part for part in self.line.split()]
        return [*parts, "-o", str(OUT / self.makes)] if self.makes else parts


CHECK, INFO = Reader("check X"), Reader("info X")
STEPS = "--steps 1 --select none"
# Format of another program -> a file of it, of one recording or of all.
LISTS = {
    "elan": "synthA_000001.eaf", "textgrid": "synthA_000001.TextGrid", "rttm": "turns.rttm",
    "vtt": "synthA_000001.vtt", "lhotse": "cuts.jsonl.gz",
    "huggingface": "train-00000-of-00001.parquet",
}  # fmt: skip
OTHER = "file of others"
# Of each kind: files of the chain, and who reads them.
READERS: dict[str, dict[str, tuple[Reader, ...]]] = {
    "store": {
        "a.h5": (
            CHECK, INFO, Reader("merge X", "m.h5"), Reader("extract X --model mfcc", "x.h5"),
            Reader("cluster X -k 3 --initialisations 1", "q.safetensors"),
            Reader("augment-noise X --noise wav/wav/synthA_000001.wav --snr 5", "n.h5"),
            Reader("finetune X --encoder hubert.safetensors " + STEPS, "er.safetensors"),
        ),
        "mfcc.h5": (
            CHECK, INFO, Reader("merge X", "m.h5"), Reader("finetune X " + STEPS, "er.safetensors"),
            Reader("predict X --model er.safetensors", "p.jsonl"),
        ),
        "e.h5": (
            CHECK, INFO, Reader("merge X", "m.h5"),
            Reader("retrieve --query X --pool X --draws 2", "r.jsonl"),
            Reader("similarity --query X --pool X", "s.h5"),
        ),
    },
    "manifest": {
        "c.jsonl": (
            CHECK, INFO, Reader("select X --limit 3", "f.jsonl"),
            Reader("split X --ratios 34 33 33", "f.jsonl"), Reader("preprocess X -j 1", "a.h5"),
            Reader("merge X", "m.jsonl"),
            Reader("finetune mfcc.h5 --annotations X " + STEPS, "er.safetensors"),
        ),
        "r.jsonl": (
            CHECK, INFO, Reader("gallery X", "g.png"), Reader("select X --limit 3", "f.jsonl"),
            Reader("adapt X --steps 1", "ad.safetensors"),
        ),
        "p.jsonl": (CHECK, INFO, Reader("eval-class X", "s.json"),
                    Reader("select X --limit 3", "f.jsonl")),
    },
    "checkpoint": {
        "hubert.safetensors": (
            CHECK, INFO, Reader("extract a.h5 --model X", "x.h5"),
            Reader("finetune a.h5 --encoder X " + STEPS, "er.safetensors"),
            Reader("pretrain-hubert a.h5 --units units.h5 --init X --steps 0", "h.safetensors"),
        ),
        "kmeans.safetensors": (CHECK, INFO, Reader("extract a.h5 --model X", "u.h5")),
        "projector.safetensors": (CHECK, INFO, Reader("extract a.h5 --model X", "e.h5")),
        "er.safetensors": (
            CHECK, INFO, Reader("predict mfcc.h5 --model X", "p.jsonl"),
            Reader("bundle X", "b.safetensors"),
        ),
        "lora.safetensors": (CHECK, INFO, Reader("merge-lora X", "m.safetensors"),
                             Reader("predict a.h5 --model X", "p.jsonl")),
    },
    # Without digests: other content has another result, and nobody can know.
    OTHER: {
        "features.csv": (Reader("import-features X --annotations a.h5", "i.h5"),),
        "table.csv": (Reader("manifest table X --media path", "t.jsonl"),),
        "vectors.npz": (Reader("import-features X --embedding", "v.h5"),),
        "scores.json": (Reader("compare X"),),
        "weights.pt": (Reader("import X", "w.safetensors"),),
        "packed.pt": (Reader("import X", "w.safetensors"),),
        **{
            name: (Reader(f"manifest {form} X --root wav/wav", "t.jsonl"),)
            for form, name in LISTS.items()
        },
    },
}  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """What a reader said of the undamaged file, and a hash of what it made."""

    said: Said
    made: str


def tries(folder: Path, quick: bool) -> list[Line]:
    """Every reader of every kind of file on POSITIONS damages of it. folder: an empty one."""
    built(folder)
    count = QUICK if quick else POSITIONS
    before = Path.cwd()
    os.chdir(folder)
    try:
        OUT.mkdir()
        _make_others()
        return [line for kind, files in READERS.items() for line in _of_kind(kind, files, count)]
    finally:
        os.chdir(before)


def _make_others() -> None:
    """Files that other programs write."""
    import numpy as np
    import torch

    random = np.random.default_rng(SEED)
    vectors = {f"synthA_{n:06}": random.standard_normal(8).astype("f4") for n in range(1, 10)}
    np.savez_compressed("vectors.npz", **vectors)
    state = {f"layer.{n}.weight": torch.ones(5, 7) for n in range(9)}
    torch.save({"model": state, "cfg": {"name": "x"}}, "weights.pt")
    torch.save(state, "packed.pt", _use_new_zipfile_serialization=False)
    for form, name in LISTS.items():
        out = Path(name if form == "rttm" else f"as-{form}")
        said = command(["export", "c.jsonl", "--to", form, "-o", str(out)])
        if said.status:
            raise RuntimeError(f"export --to {form}: {said.err}")
        for path in out.rglob(name):
            Path(name).write_bytes(path.read_bytes())


def _of_kind(kind: str, files: dict[str, tuple[Reader, ...]], count: int) -> list[Line]:
    lines: dict[str, Line] = defaultdict(Line)
    for number, (name, readers) in enumerate(files.items()):
        # The damages of a kind are shared by its files.
        share = count // len(files) + (number < count % len(files))
        for reader, damage, found in _of_file(Path(name), kind, readers, share):
            title = f"damaged {kind}: {reader.name}"
            line = lines.setdefault(title, Line(title))
            if kind == OTHER:
                found["same"] = True
                # A column of another name may as well be a wrong option.
                found["status"] = 65 if found.get("status") == 2 else found.get("status")
            line.add(*_judged(found, reader, damage, name))
    return list(lines.values())


def _of_file(
    path: Path, kind: str, readers: tuple[Reader, ...], count: int
) -> list[tuple[Reader, Damage, dict[str, Any]]]:
    content, right = path.read_bytes(), None if kind == OTHER else meaning(path, kind)
    whole = {reader: _of_whole(reader, path) for reader in readers}
    header = [range(len(content) // 3)] if kind == OTHER else header_of(path, kind)
    drawn = list(damages(content, header, count, SEED))
    pairs = [(reader, damage) for damage in drawn for reader in readers]

    def attempt(number: int) -> dict[str, Any]:
        reader, damage = pairs[number]
        path.write_bytes(damage.content)
        _clear()
        said = command(reader.arguments(path.name))
        same = _same(said, reader, whole[reader])
        if reader == CHECK and said.status == 0:
            same = meaning(path, kind) == right
        return {**asdict(said), "same": same}

    try:
        found = [result for _, result in each(len(pairs), attempt)]
    finally:
        path.write_bytes(content)
    return [(reader, damage, result) for (reader, damage), result in zip(pairs, found)]


def _of_whole(reader: Reader, path: Path) -> Whole:
    _clear()
    said = command(reader.arguments(path.name))
    # The weights are of no family that is known.
    if said.status not in (0, 65 * path.name.endswith(".pt")):
        raise RuntimeError(f"{reader.line}: {said.err}")
    return Whole(said, digest_of([OUT / reader.makes]))


def _same(said: Said, reader: Reader, whole: Whole) -> bool:
    made = digest_of([OUT / reader.makes]) if reader.makes else ""
    return said.out == whole.said.out and made == whole.made


def _clear() -> None:
    for path in sorted(OUT.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def _judged(
    found: dict[str, Any], reader: Reader, damage: Damage, name: str
) -> tuple[str | None, str]:
    """What went wrong, and an example of it."""
    example = f"{damage}: {' '.join(reader.arguments(name))}: {found.get('err', found)}".strip()
    return judged(found, name), example
