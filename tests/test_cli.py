"""The face of the commands: help, manuals, exit statuses, start-up."""

from __future__ import annotations

import dataclasses
import errno
import inspect
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
import typing
from pathlib import Path
from typing import Any

import pytest
from chain import invoke

from avaffect.cli import manual, options
from avaffect.cli.catalogue import COMMANDS, imported
from avaffect.cli.command import make
from avaffect.cli.main import run
from avaffect.core import filekind
from avaffect.core.errors import DataError, UsageError
from avaffect.settings.base import Range, flags_of
from avaffect.settings.spelled import command_line

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "h5py", "sklearn", "rich", "scipy", "numpy")


@pytest.mark.parametrize("arguments", [[], *[[name] for name in COMMANDS]], ids=" ".join)
def test_help_is_there_and_light(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom avaffect.cli.main import run\n"
        f"status = run([*{arguments!r}, '--help'])\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "sys.exit(f'imports {heavy}' if heavy else status)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("Usage: avaffect")
    assert found.stderr == ""


def test_the_manual_says_what_the_settings_say() -> None:
    """`make man` writes the pages."""
    stale = [path.name for path, text in manual.pages().items() if path.read_text("utf-8") != text]
    assert stale == [], "run: make man"
    assert {path.name for path in (ROOT / "man").glob("*.1")} == {
        "avaffect.1", *(f"avaffect-{name}.1" for name in COMMANDS)
    }  # fmt: skip


def test_remarks_on_an_option_are_kept_and_never_lost() -> None:
    entry = "\\fB\\-\\-draws\\fR \\fIN\\fR\n"
    written = manual.page(COMMANDS["retrieve"])
    help = "Number of draws per query. Default: 50; at least 1.\n"
    assert entry + help in written
    remark = f"{manual.REMARKS}\nOne for each epoch.\n"
    stale = written.replace(entry + help, f"{entry}An old help.\n{remark}")
    again = manual.page(COMMANDS["retrieve"], stale + ".SH NOTES\nBy hand.\n")
    assert entry + help + remark + ".TP\n" in again
    assert again.endswith(".SH NOTES\nBy hand.\n")
    assert manual.page(COMMANDS["retrieve"], again) == again
    with pytest.raises(DataError, match="--strange"):
        manual.page(COMMANDS["retrieve"], again.replace("\\-\\-draws", "\\-\\-strange"))


def _calls(script: str) -> list[list[str]]:
    """The arguments of every `avaffect` in a shell script."""
    script = re.sub(r"^#.*$", "", script, flags=re.M).replace("\\\n", "")
    found = re.findall(r"\bavaffect ((?:'[^']*'|[^|>&;)\n'])*)", script)
    return [shlex.split(arguments) for arguments in found]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_typed(name: str, monkeypatch) -> None:
    """Two at least, in lines of at most 90 columns with the indentation; all options exist, and
    their values make sense."""
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "1")
    examples = inspect.cleandoc(imported(COMMANDS[name].settings).examples)
    calls = _calls(examples)
    assert len(calls) >= 2 and name in [called for called, *_ in calls]
    assert [line for line in examples.splitlines() if len(line) > 88] == []
    for called, *arguments in calls:
        command = make(COMMANDS[called])
        kind = imported(COMMANDS[called].settings)
        settings = options.build(kind, command.make_context(called, arguments).params)
        # And what `train` and others print of settings gives them again.
        _, again, *words = shlex.split(command_line(called, settings))
        assert again == called
        assert options.build(kind, command.make_context(called, words).params) == settings


def _example(name: str) -> Any:
    """Settings that make sense: of the first example of a command."""
    settings_class = imported(COMMANDS[name].settings)
    for called, *arguments in _calls(inspect.cleandoc(settings_class.examples)):
        if called == name:
            values = make(COMMANDS[name]).make_context(name, arguments).params
            return options.build(settings_class, values)
    raise AssertionError(f"no example of {name}")


def _outside(limits: Range) -> list[float]:
    """Numbers just out of a range."""
    found = [float("nan"), float("inf")]
    found += [] if limits.at_least is None else [limits.at_least - 1]
    found += [] if limits.above is None else [limits.above]
    found += [] if limits.at_most is None else [limits.at_most + 1]
    found += [] if limits.below is None else [limits.below]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_numbers_out_of_range_are_refused(name: str, monkeypatch) -> None:
    """By the settings themselves, whoever makes them; the option, value and range are named."""
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "1")
    settings = _example(name)
    hints = typing.get_type_hints(type(settings))
    for item in dataclasses.fields(settings):
        limits = item.metadata["range"]
        for wrong in _outside(limits) if str(limits) else ():
            value = (wrong, 1.0, 1.0) if "tuple" in str(hints[item.name]) else wrong
            with pytest.raises(UsageError) as refused:
                dataclasses.replace(settings, **{item.name: value})
            said = str(refused.value)
            assert said.startswith(f"{flags_of(item)[-1]} {wrong:g}: "), said
            assert said.endswith(str(limits) if math.isfinite(wrong) else "a finite number")


@pytest.mark.parametrize("name", COMMANDS)
def test_none_and_a_text_are_no_tuple(name: str, monkeypatch) -> None:
    """A UsageError names option and value, wherever None or one text is none of the values."""
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "1")
    settings = _example(name)
    hints = typing.get_type_hints(type(settings))
    for item in dataclasses.fields(settings):
        named = item.name if item.metadata["positional"] else flags_of(item)[-1]
        wrong = {"text": "'text'"} if "tuple[" in str(hints[item.name]) else {}
        if type(None) not in typing.get_args(hints[item.name]):
            wrong[None] = "None"
        for value, shown in wrong.items():
            with pytest.raises(UsageError, match=re.escape(f"{named} {shown}: ")):
                dataclasses.replace(settings, **{item.name: value})


def test_every_number_has_a_range() -> None:
    """Those that may be any number are listed here."""
    free = {"base", "epsilon", "delay"}
    for name, command in COMMANDS.items():
        settings_class = imported(command.settings)
        hints = typing.get_type_hints(settings_class)
        for item in dataclasses.fields(settings_class):
            kinds = {hints[item.name], *typing.get_args(hints[item.name])}
            if {int, float} & kinds and item.name not in free:
                assert str(item.metadata["range"]), f"{name} --{item.name}"


def test_help_ends_with_the_examples(avaffect) -> None:
    help = avaffect("retrieve", "--help").stdout
    script = inspect.cleandoc(imported(COMMANDS["retrieve"].settings).examples)
    last = help.rpartition("Examples:\n")[2]
    assert textwrap.indent(script, "  ") in last and last.count("\n\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_fit_a_terminal(name: str) -> None:
    """Help indents them by two."""
    script = inspect.cleandoc(getattr(imported(COMMANDS[name].settings), "examples", ""))
    assert max(map(len, script.splitlines()), default=0) <= 78


TOY = """
import dataclasses
from avaffect.cli.catalogue import Command
from avaffect.settings.base import Common, option

@dataclasses.dataclass(frozen=True, kw_only=True)
class ToySettings(Common):
    times: int = option(1, "Number of lines.", "--times")

def toy(settings, progress):
    print("toy\\n" * settings.times, end="")

COMMAND = Command("toy", "Toys", "Print toys.", "toys:ToySettings", "toys:toy")
"""


def test_another_distribution_adds_a_command(tmp_path: Path) -> None:
    """Through its entry points; it cannot replace one of ours."""
    (tmp_path / "toys.py").write_text(TOY)
    metadata = tmp_path / "toys-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[avaffect.commands]\ntoy = toys:COMMAND\ninfo = toys:COMMAND\nbroken = nowhere:COMMAND\n"
    )

    def avaffect(*arguments: str, status: int = 0) -> str:
        path = os.pathsep.join(map(str, (ROOT, tmp_path)))
        found = subprocess.run(
            [sys.executable, "-m", "avaffect", *arguments], capture_output=True, text=True,
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert found.returncode == status, found.stderr
        return found.stdout + found.stderr

    assert avaffect("toy", "--times", "2") == "toy\ntoy\n"
    listed = avaffect("--help")
    assert listed.index("Artifacts:") < listed.index("Toys:\n  toy ")
    assert COMMANDS["info"].help in listed
    assert "--times" in avaffect("toy", "--help")
    assert "--lineage" in avaffect("info", "--help")
    assert "Did you mean toy?" in avaffect("tony", status=2)
    assert "broken" not in listed
    assert "nowhere:COMMAND cannot be imported" in avaffect("broken", status=1)


def test_help_lists_every_command_under_its_group(avaffect) -> None:
    """On a line of 80 columns each."""
    lines = avaffect("--help").stdout.splitlines()
    group, listed = "", {}
    for line in lines[lines.index("To begin with:") :]:
        group = line[:-1] if line.endswith(":") and line[0] != " " else group
        name, _, text = line.strip().partition(" ")
        if line.startswith("  ") and name in COMMANDS:
            listed[name] = (group, text.strip())
    assert listed == {name: (each.group, each.help) for name, each in COMMANDS.items()}


@pytest.mark.parametrize("page", ["store", "manifest", "checkpoint"])
def test_every_artifact_has_a_manual(page: str) -> None:
    assert (ROOT / "man" / f"avaffect-{page}.5").is_file()


def test_usage_errors_exit_2(avaffect) -> None:
    assert "Did you mean" in avaffect("retreive", status=2).stderr
    assert "--query" in avaffect("retrieve", "--pool", "x.h5", status=2).stderr
    avaffect("pretrain-hubert", "x.h5", "--units", "u.h5", "--preset", "huge", status=2)


def test_missing_input_is_named(avaffect, tmp_path: Path) -> None:
    found = avaffect("info", tmp_path / "nothing.h5", status=65)
    assert "nothing.h5" in found.stderr
    assert "Traceback" not in found.stderr


def test_broken_pipe_exits_141(shell, tmp_path: Path) -> None:
    rows = "\n".join(f"u{i},u{i}.wav,s{i % 9},anger" for i in range(20_000))
    (tmp_path / "table.csv").write_text("utt,path,spk,emo\n" + rows + "\n")
    line = (
        "avaffect manifest table table.csv --id utt --media path --speaker spk "
        "--label emotion=emo -q --no-check-media | head -1 > /dev/null; echo ${PIPESTATUS[0]}"
    )
    assert shell(line, tmp_path).stdout.strip() == "141"


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT],
)
def test_a_signal_before_training_begins_means_what_it_does_later(
    number: signal.Signals, tmp_path: Path, monkeypatch, capsys
) -> None:
    """A job script starts the job anew after status 75, also where torch was just being loaded."""
    source = tmp_path / "m.jsonl"
    source.write_text("")
    heard = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = {each: signal.getsignal(each) for each in heard}
    # Under nohup it would be ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    monkeypatch.setattr(filekind, "kind_of", lambda _: signal.raise_signal(number))
    try:
        trained = run(["cluster", str(source), "-o", str(tmp_path / "k.safetensors")])
        said = capsys.readouterr().err
        read = run(["merge", str(source), "-o", str(tmp_path / "all.h5")])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if number == signal.SIGINT:
        assert (trained, read) == (130, 130)
    else:
        assert (trained, read) == (75, 75)
        assert f"stopped by {number.name}; the same command resumes" in said
    assert list(tmp_path.iterdir()) == [source]


def test_too_few_files_may_be_open_is_said_with_advice(monkeypatch, capsys) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(filekind, "kind_of", refused)
    assert run(["info", "a.h5"]) == 1
    assert "ulimit -n" in capsys.readouterr().err


def test_termination_exits_75(recordings: Path, tmp_path: Path) -> None:
    """TERM while a command works: no output, and no other files than those that resume it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    manifest = tmp_path / "emodb.jsonl"
    run = [sys.executable, "-m", "avaffect"]
    subprocess.run(
        [*run, "manifest", "emodb", str(recordings / "emodb"), "-o", str(manifest)],
        check=True, capture_output=True, env=environment,
    )  # fmt: skip
    process = subprocess.Popen(
        [*run, "preprocess", str(manifest), "-o", str(tmp_path / "media.h5"), "--jobs", "1"],
        stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    # Once the working folder is there, work is under way.
    while not list(tmp_path.glob("media.h5.state/store")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert {path.name for path in tmp_path.iterdir()} == {"emodb.jsonl", "media.h5.state"}


REQUIRED = [
    ("preprocess", "m.jsonl"),
    ("merge", "a.h5"),
    ("synth",),
    ("extract", "a.h5", "-o", "q.h5"),
    ("extract", "a.h5", "--model", "mfcc"),
    ("pretrain-hubert", "a.h5"),
    ("train-projector", "a.h5"),
    ("retrieve", "--pool", "b.h5"),
    ("similarity", "--query", "a.h5", "--pool", "b.h5"),
    ("finetune",),
    ("predict", "a.h5"),
]


@pytest.mark.parametrize("arguments", REQUIRED, ids=" ".join)
def test_what_is_required_is_asked_for(arguments: tuple[str, ...], avaffect, tmp_path) -> None:
    found = avaffect(
        *arguments, status=2, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert "Missing" in found.stderr
    assert list(tmp_path.iterdir()) == []


NONSENSE = [
    ("--learning-rate", "nan"),
    ("--learning-rate", "-1"),
    ("--batch-seconds", "0"),
    ("--batch-utterances", "0"),
    ("--crop-seconds", "-1"),
    ("--save-every", "0"),
    ("--log-every", "0"),
    ("--warmup", "2"),
    ("--seed", "-1"),
    ("--mask-probability", "2"),
    ("--epochs", "0"),
]


@pytest.mark.parametrize("option", NONSENSE, ids=" ".join)
def test_nonsense_is_refused_before_anything_is_begun(
    option: tuple[str, str], avaffect, tmp_path: Path
) -> None:
    output = tmp_path / "x.safetensors"
    found = avaffect("pretrain-hubert", "a.h5", "--units", "u.h5", *option, "-o", output, status=2)
    assert option[0] in found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "a.h5", "--model", "m", "--batch-seconds", 0),
        ("predict", "a.h5", "--model", "m", "--batch-seconds", "nan"),
        ("cluster", "a.h5", "--batch-seconds", -1),
        ("extract", "a.h5", "--model", "mfcc", "-o", "q.h5", "--batch-seconds", 0),
        ("extract", "a.h5", "--model", "mfcc", "-o", "q.h5", "--batch-utterances", 0),
        ("adapt", "a.jsonl", "--batch-seconds", 0),
        ("train-projector", "a.h5", "--encoder", "x", "--batch-seconds", 0),
        ("finetune", "a.h5", "--batch-seconds", 0),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_batches_without_length_are_refused(arguments: tuple, tmp_path: Path) -> None:
    assert f"{arguments[-2]} " in invoke(tmp_path, *arguments, status=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_is_never_its_own_input(avaffect, tmp_path: Path) -> None:
    source = tmp_path / "wav"
    manifest = tmp_path / "a.jsonl"
    few = ("--modality", "audio", "--utterances", 4, "--speakers", 2, "--shortest", 0.5,
           "--longest", 0.6)  # fmt: skip
    avaffect("synth", source, *few, "-o", manifest)
    before = manifest.read_bytes()
    assert "is an input" in avaffect("select", manifest, "-o", manifest, "-f", status=2).stderr
    assert manifest.read_bytes() == before
    avaffect("synth", source, *few, "--seed", 1, "-o", manifest, status=73)
    assert manifest.read_bytes() == before
