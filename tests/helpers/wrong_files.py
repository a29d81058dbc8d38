"""Every command given files of other kinds than it reads: prints what each said, as JSON.

    python tests/wrong_files.py FOLDER

In one process of its own, so that what was imported by the end tells that nothing heavy was.
"""

from __future__ import annotations

import gzip
import json
import sys
import zipfile
from pathlib import Path

from chain import invoke
from stores import make

from avaffect.core import filekind
from avaffect.core.checkpoint_header import FORMAT, METADATA_KEY
from avaffect.data import manifest

CHECKPOINTS = ("encoder", "quantiser", "projector", "classifier")
STORE, ENCODER, CLASSIFIER = "store.h5", "encoder.safetensors", "classifier.safetensors"
MANIFESTS = {
    "corpus": {"id": "a", "media": "a.wav"},
    "retrieval": {"query": "a", "pool": ["b"]},
    "predictions": {"id": "a", "prediction": "anger"},
}
# The place of the wrong file is X; what may stand there; the command.
SLOTS = {
    "split": (["corpus.jsonl"], "split X"),
    "select": (["corpus.jsonl", "retrieval.jsonl", "predictions.jsonl"], "select X"),
    "select --ids": (["table.csv", "empty.jsonl"], "select corpus.jsonl --ids X"),
    "seal": (["corpus.jsonl", "retrieval.jsonl", "predictions.jsonl", "empty.jsonl"], "seal X"),
    "preprocess": (["corpus.jsonl"], "preprocess X -o new.h5"),
    "augment-noise": ([STORE], "augment-noise X --noise sound.wav --snr 5 -o new.h5"),
    "augment-noise --noise": (
        [STORE, "sound.wav", "noise.dat", "folder"],
        "augment-noise store.h5 --noise X --snr 5 -o new.h5",
    ),
    "info": ([STORE, *(f"{kind}.safetensors" for kind in CHECKPOINTS), *MANIFESTS], "info X"),
    "cluster": ([STORE], "cluster X -o new.safetensors"),
    "cluster --model": ([ENCODER], "cluster store.h5 --model X -o new.safetensors"),
    "pretrain-apc": ([STORE], "pretrain-apc X -o new.safetensors"),
    "pretrain-apc --init": ([ENCODER], "pretrain-apc store.h5 --init X -o new.safetensors"),
    "pretrain-apc --only": (["corpus.jsonl"], "pretrain-apc store.h5 --only X"),
    "pretrain-hubert --units": ([STORE], "pretrain-hubert store.h5 --units X"),
    "import": (["weights.pt", "foreign.safetensors", "noise.dat"], "import X -o new.safetensors"),
    "import-features --annotations": (
        [STORE, "corpus.jsonl"], "import-features table.csv --annotations X -o new.h5"
    ),
    "extract": ([STORE], "extract X --model mfcc -o new.h5"),
    "extract --model": (
        [f"{kind}.safetensors" for kind in CHECKPOINTS[:3]], "extract store.h5 --model X -o new.h5"
    ),
    "train-projector": ([STORE], f"train-projector X --encoder {ENCODER}"),
    "train-projector --encoder": ([ENCODER], "train-projector store.h5 --encoder X"),
    "similarity": ([STORE], "similarity --query X --pool store.h5 -o new.h5"),
    "retrieve": ([STORE], "retrieve --query X --pool store.h5"),
    "adapt": (["retrieval.jsonl"], "adapt X -o new.safetensors"),
    "gallery": (["retrieval.jsonl"], "gallery X -o new.png"),
    "finetune": ([STORE], "finetune X -o new.safetensors"),
    "finetune --encoder": ([ENCODER], "finetune store.h5 --encoder X -o new.safetensors"),
    "finetune --annotations": (["corpus.jsonl"], "finetune store.h5 --annotations X"),
    "predict": ([STORE, "sound.wav", "noise.dat", "folder"], f"predict X --model {CLASSIFIER}"),
    "predict --model": ([CLASSIFIER], "predict store.h5 --model X"),
    "compare": (["report.json", "predictions.jsonl"], "compare X report.json"),
}  # fmt: skip


def prepare(folder: Path) -> list[str]:
    """Files of all kinds; their names."""
    (folder / "folder").mkdir()
    (folder / "folder" / "a.wav").write_bytes(b"RIFF")
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "table.csv").write_text("path,emotion\na.wav,anger\n", encoding="utf-8")
    (folder / "sound.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(40))
    (folder / "noise.dat").write_bytes(bytes(range(1, 256)))
    (folder / "report.json").write_text('{"content":"report"}\n', encoding="utf-8")
    with zipfile.ZipFile(folder / "weights.pt", "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}.")
    with gzip.open(folder / "packed.jsonl.gz", "wb") as stream:
        stream.write(b'{"kind":"header"}')
    make(folder / STORE)
    _safetensors(folder / "foreign.safetensors", {})
    for kind in CHECKPOINTS:
        header = {
            "format": FORMAT, "version": "1.0", "kind": kind, "content_id": "sha256:" + "0" * 64,
            "model": {"name": "hubert", "configuration": {}}, "provenance": {"inputs": []},
        }  # fmt: skip
        if kind == "classifier":
            header |= {"encoder": header["model"], "mode": "frozen", "classes": None, "runs": [],
                       "preprocessing": {"rate_hz": 50.0}}  # fmt: skip
        _safetensors(folder / f"{kind}.safetensors", {METADATA_KEY: json.dumps(header)})
    for content, item in MANIFESTS.items():
        manifest.write(folder / f"{content}.jsonl", manifest.new_header(content), [item])
    return sorted(path.name for path in folder.iterdir())


def _safetensors(path: Path, metadata: dict[str, str]) -> None:
    table = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps({"__metadata__": metadata, **table}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))


def main(folder: Path) -> dict[str, object]:
    names = prepare(folder)
    kinds = {name: filekind.kind_of(folder / name) for name in names}
    said: dict[str, dict[str, str]] = {}
    for slot, (right, line) in SLOTS.items():
        for name in (name for name in [*names, "missing.x"] if name not in right):
            if slot == "info" and name.removesuffix(".jsonl") in MANIFESTS:
                continue
            arguments = [name if part == "X" else part for part in line.split()]
            found = invoke(folder, *arguments, status=65)
            said.setdefault(slot, {})[name] = found.stderr
    made = sorted(path.name for path in folder.iterdir() if path.name not in names)
    heavy = [name for name in ("torch", "sklearn") if name in sys.modules]
    return {"kinds": kinds, "said": said, "made": made, "heavy": heavy}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
