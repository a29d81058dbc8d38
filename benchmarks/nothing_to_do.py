"""Every command once, small, so that run again it has nothing to do."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

VOICES = ("--modality", "audio", "--shortest", "0.5", "--longest", "0.8", "-j", "1")
NEW = ("--preset", "nano", "--steps", "0")

# Each in the folder that those before it have filled.
CHAIN: tuple[tuple[str, ...], ...] = (
    ("synth", "wav", "--utterances", "9", "--speakers", "3", *VOICES, "-o", "c.jsonl"),
    ("split", "c.jsonl", "--ratios", "34", "33", "33", "-o", "split.jsonl"),
    ("explore", "c.jsonl", "-j", "1", "-o", "explored.json"),
    ("select", "c.jsonl", "--limit", "7", "-o", "few.jsonl"),
    ("seal", "few.jsonl", "-o", "sealed.jsonl"),
    ("export", "c.jsonl", "--to", "csv", "-o", "c.csv"),
    ("manifest", "table", "table.csv", "--media", "path", "-o", "table.jsonl"),
    ("preprocess", "c.jsonl", "-o", "a.h5", "-j", "1"),
    ("augment-noise", "a.h5", "--noise", "wav/wav/synthA_000001.wav", "--snr", "5",
     "-o", "noisy.h5"),
    ("merge", "a.h5", "-o", "merged.h5"),
    ("cluster", "a.h5", "-k", "4", "--initialisations", "1", "-o", "kmeans.safetensors"),
    ("extract", "a.h5", "--model", "kmeans.safetensors", "-o", "units.h5"),
    ("extract", "a.h5", "--model", "mfcc", "-o", "mfcc.h5"),
    ("import-features", "features.csv", "--annotations", "a.h5", "-o", "imported.h5"),
    ("pretrain-hubert", "a.h5", "--units", "units.h5", *NEW, "-o", "hubert.safetensors"),
    *(
        (f"pretrain-{task}", "a.h5", *NEW, "-o", f"{task}.safetensors")
        for task in ("l1", "odd", "apc", "cpc", "pase", "lira", "mae", "byol", "dino")
    ),
    ("train-projector", "a.h5", "--encoder", "hubert.safetensors", "--steps", "1",
     "-o", "projector.safetensors"),
    ("extract", "a.h5", "--model", "projector.safetensors", "-o", "e.h5"),
    ("similarity", "--query", "e.h5", "--pool", "e.h5", "-o", "s.h5"),
    ("retrieve", "--query", "e.h5", "--pool", "e.h5", "--draws", "2", "-o", "r.jsonl"),
    ("adapt", "r.jsonl", "--steps", "1", "-o", "adapted.safetensors"),
    ("gallery", "r.jsonl", "-o", "gallery.png"),
    ("finetune", "mfcc.h5", "--steps", "1", "--select", "none", "-o", "er.safetensors"),
    ("predict", "mfcc.h5", "--model", "er.safetensors", "-o", "p.jsonl"),
    ("eval-class", "p.jsonl", "-o", "scores.json"),
    ("report", "a.h5", "p.jsonl", "-o", "report.html"),
    ("bundle", "er.safetensors", "-o", "bundle.safetensors"),
    ("finetune", "a.h5", "--encoder", "hubert.safetensors", "--mode", "lora", "--steps", "1",
     "--select", "none", "-o", "lora.safetensors"),
    ("merge-lora", "lora.safetensors", "-o", "merged.safetensors"),
)  # fmt: skip
# The table that is drawn is made of runs; predictions of traces need an hour of training, text
# encoders a package that is optional.
ELSEWHERE = ("compare", "eval-ccc", "eval-embeddings", "eval-rank", "extract-text", "import",
             "info", "lineage", "check", "doctor", "monitor", "train")  # fmt: skip


def build(folder: Path) -> list[str]:
    """Run the chain in a folder, in this process, and give the messages of each command. Raises
    RuntimeError where a command fails."""
    from avaffect.cli.main import run

    rows = "\n".join(f"{number}.wav" for number in range(9))
    (folder / "table.csv").write_text(f"path\n{rows}\n", encoding="utf-8")
    frames = "\n".join(f"synthA_{n:06},{k / 50},{n - k}" for n in range(1, 10) for k in range(3))
    (folder / "features.csv").write_text(f"id,time,x\n{frames}\n", encoding="utf-8")
    for number in range(9):
        (folder / f"{number}.wav").write_bytes(b"RIFF")
    before = Path.cwd()
    os.chdir(folder)
    said = []
    try:
        for arguments in CHAIN:
            words, shown = io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
            with contextlib.redirect_stderr(words), contextlib.redirect_stdout(shown):
                status = run(list(arguments))
            if status:
                raise RuntimeError(f"avaffect {' '.join(arguments)}: {words.getvalue()}")
            said.append(words.getvalue())
    finally:
        os.chdir(before)
    return said
