"""Completion by the Tab key: what is offered, by real shells, without a long import."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chain import invoke

from avaffect.cli import completion, roff
from avaffect.cli.catalogue import COMMANDS
from avaffect.cli.main import group

ROOT = Path(__file__).resolve().parent.parent
SHELLS = {
    "bash": "bash --norc --noprofile -i",
    "zsh": "zsh -f -i",
    "fish": "fish --no-config -i",
}
# The lines of avaffect(1).
READY = {
    "bash": 'eval "$(_AVAFFECT_COMPLETE=bash_source avaffect)"',
    "zsh": 'eval "$(_AVAFFECT_COMPLETE=zsh_source avaffect)"',
    "fish": "_AVAFFECT_COMPLETE=fish_source avaffect | source",
}
# Answers completion as avaffect does, and otherwise prints its arguments between marks.
STAND_IN = """#!/bin/sh
[ -n "$_AVAFFECT_COMPLETE" ] && PYTHONPATH={root} exec {python} -m avaffect "$@"
printf '\\n<%s' "$1"; shift; printf '|%s' "$@"; echo '>'
"""


@pytest.fixture(scope="module")
def folder(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, a manifest, an encoder, a table, other files, and a folder."""
    folder = tmp_path_factory.mktemp("completed")
    for name in ("a.h5", "a.jsonl"):
        shutil.copy(voices / name, folder / name)
    invoke(folder, "pretrain-apc", "a.h5", "--preset", "nano", "--steps", 0,
           "-o", "apc.safetensors")  # fmt: skip
    (folder / "clips.csv").write_text("utt,path,emo\n")
    (folder / "excel.csv").write_text("\ufeffDatei;Gefühl\n", "utf-8")
    (folder / "notes.txt").write_text("")
    (folder / "damaged.h5").write_bytes(b"no store")
    (folder / "apc.safetensors.state").mkdir()
    (folder / "wav dir").mkdir()
    shutil.copy(voices / "a.h5", folder / "wav dir" / "in side.h5")
    return folder


def offered(folder: Path, line: str, shell: str = "zsh") -> list[str]:
    """The candidates for a line up to the cursor."""
    answering = {"bash": completion._Bash, "zsh": completion._Zsh, "fish": completion._Fish}[shell]
    before = Path.cwd()
    os.chdir(folder)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("COMP_WORDS", f"avaffect {line}")
            answer = answering(group, {}, "avaffect", "_AVAFFECT_COMPLETE").complete()
    finally:
        os.chdir(before)
    lines = answer.split("\n") if answer else []
    assert len(lines) % 3 == 0
    return lines[1::3]


STORES = ["a.h5", "damaged.h5", "wav dir/"]
LABELS = ["arousal", "arousal_mean", "emotion", "valence", "valence_mean"]
EMOTIONS = ["anger", "happiness", "neutral", "sadness"]
LINES = [
    ("pretrain-ap", ["pretrain-apc"]),
    ("hel", ["help"]),
    ("help finet", ["finetune"]),
    ("finetune --laye", ["--layer", "--layers"]),
    ("pretrain-apc ", STORES),
    ("pretrain-apc a", ["a.h5"]),
    ("pretrain-apc ./a", ["./a.h5"]),
    ("finetune --encoder ", ["apc.safetensors", "wav dir/"]),
    ("finetune --encoder=a", ["--encoder=apc.safetensors"]),
    ("finetune --features x=", [f"x={name}" for name in STORES]),
    ("finetune --features ", []),
    ("finetune a.h5 --encoder apc.safetensors --layer ", ["1", "2", "3"]),
    ("finetune a.h5 --label ", LABELS),
    ("finetune damaged.h5 --label ", []),
    ("finetune a.h5 --label emotion --classes anger,", [f"anger,{e}" for e in EMOTIONS[1:]]),
    ("finetune a.h5 --classes anger,sadness=n", ["anger,sadness=neutral"]),
    ("finetune a.h5 --classes sadness=anger+s", ["sadness=anger+sadness"]),
    ("finetune a.h5 --classes sadness=anger+a", []),
    ("manifest folder --map emob", ["emobox", "emobox-4"]),
    ("manifest folder --map happy=", []),
    ("monitor ", ["apc.safetensors", "wav dir/"]),
    ("explore a", ["a.h5", "a.jsonl"]),
    ("finetune --head bg", ["bgru"]),
    ("finetune --loss cc", ["ccc="]),
    ("finetune --augment flip+no", ["flip+noise"]),
    ("finetune --preset x", []),
    ("select a.jsonl --where em", ["emotion"]),
    ("manifest lrs", ["lrs3"]),
    ("manifest table ", ["a.jsonl", "apc.safetensors", "clips.csv", "wav dir/"]),
    ("manifest table clips.csv --media ", ["utt", "path", "emo"]),
    ("manifest table excel.csv --media ", ["Datei", "Gefühl"]),
    ("manifest table clips.csv --label emotion=", ["emotion=utt", "emotion=path", "emotion=emo"]),
    ("extract a.h5 --model m", ["mfcc"]),
    ("extract a.h5 --model ap", ["apc.safetensors"]),
    ("eval-class --split t", ["train", "test"]),
    ("retrieve --sampler s", ["stream"]),
    ("export a", ["a.h5", "a.jsonl", "apc.safetensors"]),
    ("export a.jsonl --to r", ["rttm"]),
    ("export a.h5 --to csv --stream w", ["waveform"]),
]  # fmt: skip


@pytest.mark.parametrize("line, expected", LINES, ids=[line for line, _ in LINES])
def test_what_is_offered(folder: Path, line: str, expected: list[str]) -> None:
    found = offered(folder, line)
    if line == "manifest table ":
        # Any file, but not the state of a training.
        assert {*expected} <= {*found} and "apc.safetensors.state/" not in found
        return
    assert found == expected
    for shell in ("fish", "bash"):
        words = offered(folder, line, shell)
        start = line.rpartition(" ")[2].rpartition("=")[0] + "=" if shell == "bash" else ""
        cut = [each.removeprefix(start) for each in expected]
        assert [word.rstrip("/") for word in words] == [word.rstrip("/") for word in cut]


def test_the_manual_has_the_lines() -> None:
    page = roff.plain((ROOT / "man" / "avaffect.1").read_text("utf-8"), 100)
    assert all(f"{line}\n" in page for line in READY.values())


def test_all_commands_are_offered(folder: Path) -> None:
    assert offered(folder, "") == [*COMMANDS, "help"]


@pytest.mark.parametrize(
    "line, free",
    [
        ("", ("torch", "numpy", "h5py", "rich")),
        ("finetune --", ("torch", "numpy", "h5py", "rich")),
        ("finetune a", ("torch", "numpy", "h5py", "rich")),
        ("finetune --encoder apc.safetensors --layer ", ("torch", "safetensors")),
        ("finetune a.h5 --label ", ("torch", "scipy", "rich")),
        ("manifest ", ("torch", "h5py", "scipy")),
        ("extract --model ", ("torch", "h5py", "scipy")),
    ],
)  # fmt: skip
def test_without_heavy_imports(folder: Path, line: str, free: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom avaffect.cli.main import run\n"
        "try:\n    run([])\nexcept SystemExit: pass\n"
        f"sys.exit(str([name for name in {free!r} if name in sys.modules] or 0))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COMP_WORDS": f"avaffect {line}",
             "_AVAFFECT_COMPLETE": "zsh_complete"},
    )  # fmt: skip
    assert found.stdout.count("\n") >= 3 and found.stderr.strip() == "0"


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, command: list[str], folder: Path, path: Path) -> None:
        self.process, self.end = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.environ.update(TERM="dumb", PS1="> ", HOME=str(path))
            os.environ["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}"
            os.execvp(command[0], command)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def wait_for(self, text: str) -> str:
        """What has been shown since the last call, up to this text."""
        deadline = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.end], [], [], 0.1)[0]:
                self.shown += os.read(self.end, 65536).decode(errors="replace")
        found, _, self.shown = self.shown.partition(text)
        return found

    def close(self) -> None:
        os.close(self.end)
        os.kill(self.process, 9)
        os.waitpid(self.process, 0)


TYPED = [
    ("finet\t", "finetune"),
    ("finetune a.h5 --label emo\t", "finetune|a.h5|--label|emotion"),
    ("finetune a.h5 --features x=a\t", "finetune|a.h5|--features|x=a.h5"),
    ("finetune --encoder=ap\t", "finetune|--encoder=apc.safetensors"),
    # A weight follows at once.
    ("finetune --loss cc\t0.5", "finetune|--loss|ccc=0.5"),
    ("manifest rav\tDIR", "manifest|ravdess|DIR"),
    ("synth wa\t", "synth|wav dir/"),
    ("info wav\\ dir/in\t", "info|wav dir/in side.h5"),
    ("info 'wav dir/in\t", "info|wav dir/in side.h5"),
    ('info "wav dir/in\t', "info|wav dir/in side.h5"),
    ("explore --label=emotion wav\\ dir/in\t", "explore|--label=emotion|wav dir/in side.h5"),
    ("manifest folder x --map emobox-\t", "manifest|folder|x|--map|emobox-4"),
    ("manifest folder x --map=emobox-\t", "manifest|folder|x|--map=emobox-4"),
    ("finetune a.h5 --encoder apc.safetensors --layer 2\t",
     "finetune|a.h5|--encoder|apc.safetensors|--layer|2"),
    ("finetune a.h5 --classes anger,neu\t", "finetune|a.h5|--classes|anger,neutral"),
    ("finetune a.h5 --classes anger=sad\t", "finetune|a.h5|--classes|anger=sadness"),
]  # fmt: skip


@pytest.mark.parametrize("shell", SHELLS)
def test_in_a_real_shell(shell: str, folder: Path, tmp_path: Path) -> None:
    """The completed line is run."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    stand_in = tmp_path / "avaffect"
    stand_in.write_text(STAND_IN.format(root=ROOT, python=sys.executable))
    stand_in.chmod(0o755)
    terminal = Terminal(SHELLS[shell].split(), folder, tmp_path)
    try:
        terminal.type(f"{READY[shell]}\n avaffect ready\n")
        terminal.wait_for("<ready|>")
        for typed, expected in TYPED:
            terminal.type(f"avaffect {typed}\n")
            terminal.wait_for("\n<")
            found = terminal.wait_for(">").rstrip("|").replace("\r", "")
            assert found == expected
    finally:
        terminal.close()
