"""Small things under the names that the examples of the manuals use, so that each can be run.

An example's media.h5 or cremad.h5 is a store of a dozen synthetic utterances, its trainings take a
step, and what is no part of a machine for tests (Slurm, downloads) has stand-ins.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pantry
from chain import invoke
from forked import client
from pantry import YUNET

from avaffect.cli import roff
from avaffect.training.state import METRICS_SUFFIX

ROOT = Path(__file__).resolve().parents[2]
FACES = ("--speakers", 8, "--shortest", 0.6, "--longest", 0.8, "-j", 1)
QUICK = ("--steps", 1, "--batch-utterances", 4)
NEW = ("--preset", "nano", "--steps", 0)
TRACES = ("--label", "arousal", "--label", "valence")

LONG = ("--segments", 2, "--modality", "audio", "--utterances", 8, "--speakers", 4, "-j", 1)
TEST = ("--split", "test")

# Each in the folder that those before it have filled.
MADE: tuple[tuple[object, ...], ...] = (
    ("synth", "films", "--utterances", 24, *FACES, "-o", "all.jsonl"),
    ("split", "all.jsonl", "--ratios", 50, 25, 25, "-o", "a.jsonl"),
    ("split", "all.jsonl", "--folds", 4, "-o", "folds.jsonl"),
    ("preprocess", "a.jsonl", "--size", 48, "-j", 1, "-o", "a.h5"),
    ("select", "a.jsonl", "--limit", 2, "-o", "two.jsonl"),
    ("synth", "pool", "--domain", "B", "--utterances", 8, *FACES, "-o", "b.jsonl"),
    ("preprocess", "b.jsonl", "--size", 48, "-j", 1, "-o", "b.h5"),
    ("synth", "long", *LONG, "--words", 0.5, "-o", "all-long.jsonl"),
    ("split", "all-long.jsonl", "--ratios", 50, 25, 25, "-o", "long.jsonl"),
    ("preprocess", "long.jsonl", "-j", 1, "-o", "long.h5"),
    ("synth", "talks", "--domain", "U", "--modality", "audio", "--utterances", 8, "--speakers", 8,
     "--shortest", 4, "--longest", 5, "-j", 1, "-o", "all-talks.jsonl"),
    ("split", "all-talks.jsonl", "--ratios", 50, 25, 25, "-o", "talks.jsonl"),
    ("preprocess", "talks.jsonl", "-j", 1, "-o", "talks.h5"),
    ("cluster", "a.h5", "b.h5", "-k", 4, "--initialisations", 1, "-o", "kmeans.safetensors"),
    ("extract", "a.h5", "--model", "kmeans.safetensors", "-o", "units.h5"),
    ("pretrain-hubert", "a.h5", "--units", "units.h5", "--modality", "av", *NEW,
     "-o", "hubert.safetensors"),
    ("pretrain-apc", "a.h5", *NEW, "-o", "apc.safetensors"),
    ("train-projector", "a.h5", "--encoder", "hubert.safetensors", *QUICK,
     "-o", "projector.safetensors"),
    ("extract", "a.h5", "--model", "projector.safetensors", "-o", "msp.h5"),
    ("extract", "b.h5", "--model", "projector.safetensors", "-o", "vox.h5"),
    ("extract", "a.h5", "--model", "hubert.safetensors", "--pooled-only", "-o", "mean.h5"),
    ("retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--draws", 2, "-o", "retrieval.jsonl"),
    ("finetune", "a.h5", "--encoder", "hubert.safetensors", *QUICK, "-o", "er.safetensors"),
    ("bundle", "er.safetensors", "-o", "emotion.safetensors"),
    ("predict", "a.h5", "--model", "er.safetensors", *TEST, "-o", "p.jsonl"),
    ("predict", "a.h5", "--model", "er.safetensors", "--split", "train", "-o", "train.jsonl"),
    ("eval-class", "p.jsonl", "-o", "r.json"),
    ("pretrain-hubert", "a.h5", "--units", "units.h5", "--modality", "audio", *NEW,
     "-o", "audio.safetensors"),
    ("finetune", "a.h5", "--encoder", "audio.safetensors", *QUICK, "-o", "heard.safetensors"),
    ("finetune", "a.h5", "--encoder", "apc.safetensors", *TRACES, *QUICK, "-o", "va.safetensors"),
    ("predict", "a.h5", "--model", "va.safetensors", *TEST, "-o", "traces.h5"),
    ("finetune", "a.h5", "--encoder", "apc.safetensors", "--label", "arousal_mean", *QUICK,
     "-o", "arousal.safetensors"),
    ("finetune", "a.h5", "--encoder", "hubert.safetensors", "--mode", "lora", *QUICK,
     "-o", "lora.safetensors"),
    ("finetune", "a.h5", "--encoder", "hubert.safetensors", "--mode", "lora", "--runs", 2,
     "--annotations", "folds.jsonl", "--folds", 4, *QUICK, "-o", "folds.safetensors"),
    ("extract", "long.h5", "--model", "apc.safetensors", "--segment", 5, "-o", "segments.h5"),
    *(("extract", "a.h5", "--model", "mfcc", "--shard", f"{part}/4", "-o", f"part-{part}.h5")
      for part in range(4)),
    ("finetune", "segments.h5", "--head", "highlight", "--label", "highlight", *QUICK,
     "-o", "highlight.safetensors"),
    ("predict", "segments.h5", "--model", "highlight.safetensors", "-o", "before.h5"),
    ("extract", "long.h5", "--model", "hubert.safetensors", "--frames-of", "expression", "--every",
     5, "-o", "frames.h5"),
    ("finetune", "frames.h5", "--label", "expression", *QUICK, "-o", "expression.safetensors"),
)  # fmt: skip

# Base -> the names that it has in examples.
NAMES = {
    "a.h5": "media.h5 A.h5 U.h5 cremad.h5 lrw.h5 lrs3.h5 sewa.h5 emodb.h5 film.h5",
    "b.h5": "B.h5",
    "a.jsonl": "A.jsonl M.jsonl split.jsonl sewa.jsonl cremad.jsonl "
               "emodb-split.jsonl lrw.jsonl",
    "two.jsonl": "films.jsonl",
    "hubert.safetensors": "hubert1.safetensors fav.safetensors adapted.safetensors "
                          "pretrained.safetensors wavlm.safetensors",
    "apc.safetensors": "lira.safetensors",
    "b.jsonl": "vox.jsonl",
    "p.jsonl": "predictions.jsonl P.jsonl scratch.jsonl seed0.jsonl adapted.jsonl",
    "r.json": "scratch.json frozen.json apc.json s0.json s10.json l0.json l10.json",
    "er.safetensors": "tuned.safetensors",
    "long.h5": "aff-wild2.h5",
    "traces.h5": "tuned.h5",
}  # fmt: skip
# Page -> names that mean something else in it, or (None) what it makes itself.
PARTICULAR: dict[str, dict[str, str | None]] = {
    "avaffect": {
        "MEDIA.h5": "a.h5",
        "ER.safetensors": "er.safetensors",
        "A.h5": None,
        "B.h5": None,
        "adapted.safetensors": None,
    },
    "import": {"hubert.safetensors": None},
    "adapt": {"A.h5": "msp.h5", "B.h5": "vox.h5"},
    "pretrain-mae": {"vox.h5": "a.h5"},
    "preprocess": {"vox.jsonl": "two.jsonl"},
    "export": {"er.safetensors": "heard.safetensors"},
    "eval-class": {"vox.jsonl": "vox-labels.jsonl"},
    "eval-rank": {"films.h5": "segments.h5", "after.h5": "before.h5"},
    "merge-lora": {"er.safetensors": "lora.safetensors"},
    "split": {"cremad.jsonl": "all.jsonl"},
    "finetune": {"sewa.h5": "talks.h5"},
    "select": {"lrw.h5": "faces.h5"},
    "eval-ccc": {"frozen.h5": "traces.h5", "theirs.csv": "their-ratings.csv"},
}

# Appended to a command of an example: the last value of an option counts.
SHORTER = """
case $1 in
    synth) set -- "$@" --utterances 8 --speakers 4 --shortest 0.6 --longest 0.7 -j 1 ;;
    preprocess) [[ " $* " == *" --size "* ]] || set -- "$@" --size 48; set -- "$@" -j 1 ;;
    cluster) set -- "$@" -k 4 --initialisations 1 ;;
    pretrain-patches) set -- "$@" --steps 1 ;;
    pretrain-*)
        [[ " $* " == *" --init "* ]] || set -- "$@" --preset nano
        if [[ " $* " == *" --epochs "* ]]; then set -- "$@" --epochs 1
        elif [[ " $* " != *" --steps "* ]]; then set -- "$@" --steps 1; fi ;;
    train-projector|adapt|finetune)
        if [[ " $* " == *" --epochs "* ]]; then set -- "$@" --epochs 1
        else set -- "$@" --steps 1; fi ;;
    import)
        case $2 in
            cav-mae*) set -- "$@" --set heads=4 ;;
            *fairseq*.pth) set -- "$@" --set transformer.heads=4 ;;
        esac ;;
    extract) [[ " $* " != *" -j "* ]] || set -- "$@" -j 2 ;;
    train) set -- "$@" --epochs 1 -j 1 ;;
    doctor) set -- "$@" --without-test ;;
esac
"""
STAND_INS = {
    # A package that was installed is seen by a process of its own.
    "avaffect": f'#!/bin/bash\n{SHORTER}compgen -G "*.dist-info" > /dev/null &&\n'
                'exec python -m avaffect "$@"\nexec {client} "$@"\n',
    # The first task of the array.
    "sbatch": "#!/bin/bash\n"
              "export SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_COUNT=1\n"
              "while [ $# -gt 0 ]; do case $1 in\n"
              '    --wrap) exec bash -c "$2" ;;\n'
              '    *.sbatch) shift; exec "$@" ;;\n'
              "esac; shift; done\n",
    "srun": '#!/bin/bash\nexec "$@"\n',
    "tensorboard": "#!/bin/bash\n",
    "python": f'#!/bin/bash\nexec {sys.executable} "$@"\n',
    # pip install -e . of a package: its entry points.
    "pip": r"""#!/bin/bash
name=$(sed -n 's/^name = "\(.*\)"/\1/p' pyproject.toml)
mkdir -p "$name-1.0.dist-info"
printf 'Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n' "$name" > "$name-1.0.dist-info/METADATA"
sed -n '/entry-points/,$p' pyproject.toml |
    sed 's/^.project.entry-points."\(.*\)".$/[\1]/; s/"//g' > "$name-1.0.dist-info/entry_points.txt"
""",
    "hf": '#!/bin/bash\n[ "$1" = download ]\n',
}  # fmt: skip


def build(folder: Path) -> None:
    """Make everything, under every name."""
    for arguments in MADE:
        invoke(folder, *arguments)
    # They are appended to, which hard links would share.
    for path in folder.glob(f"*{METRICS_SUFFIX}"):
        path.unlink()
    pantry.fill(folder)
    for base, names in NAMES.items():
        for name in names.split():
            if (folder / base).exists():
                os.link(folder / base, folder / name)
    commands = folder / "bin"
    commands.mkdir()
    for name, text in STAND_INS.items():
        (commands / name).write_text(text.replace("{client}", str(client())))
        (commands / name).chmod(0o755)


def parts_of(page: Path) -> list[str]:
    """The parts of a page that have commands of avaffect, or write files, as they are typed."""
    text = page.read_text("utf-8")
    found = re.findall(r"^\.EX\n(.*?)^\.EE\n", text, flags=re.M | re.S)
    parts = [roff.plain(f".EX\n{part}.EE\n", verbatim_indent=0) for part in found]
    return [part for part in parts if re.search(r"\bavaffect [a-z]|<<'END'", part)]


# Parts that other tests run: what is stopped half way, and all of VAVL's weights.
ELSEWHERE = ("# 75: stopped", "avaffect import vavl/")


def left_out(part: str) -> bool:
    """Whether a part needs what is not on this machine, or is run by another test."""
    missing = [*ELSEWHERE]
    missing += [] if YUNET.is_file() else ["yunet", "--poses"]
    if importlib.util.find_spec("transformers") is None:
        missing += ["roberta-base", "facebook/", "openai/", "google/"]
    return any(word in part for word in missing)


def run(page: Path, kitchen: Path, folder: Path) -> str | None:
    """Run the parts of a page one after the other in a new folder with hard links to all that is in
    the kitchen, each without the files that it makes itself. What the first that fails says."""
    name = page.stem.removeprefix("avaffect-")
    shutil.copytree(kitchen, folder, copy_function=os.link, symlinks=True)
    for there, base in PARTICULAR.get(name, {}).items():
        (folder / there).unlink(missing_ok=True)
        if base is not None and (kitchen / base).exists():
            os.link(kitchen / base, folder / there)
    environment = {
        **os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "SLURM_TMPDIR": str(folder),
    }  # fmt: skip
    for part in parts_of(page):
        if left_out(part):
            continue
        outputs = re.findall(r"(?:-o|--output|--plot) ([\w.-]+)", part)
        outputs += ["adapted.safetensors"] * bool(re.search(r"avaffect adapt(?!.* -o )", part))
        for output in outputs:
            path = folder / output
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        found = subprocess.run(
            ["bash", "-e", "-x", "-o", "pipefail", "-c", part], cwd=folder, env=environment,
            capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if found.returncode:
            return f"status {found.returncode}: {found.stderr}"
    return None
