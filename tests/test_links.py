"""Outputs that are links, devices, pipes: what is replaced, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain import invoke, litter

from avaffect.core import claims, errors, lock
from avaffect.core.errors import LockedError, UsageError
from avaffect.core.links import followed

MFCC = ("extract", "a.h5", "--model", "mfcc", "-o")
FEW = ("select", "b.jsonl", "--limit", 3, "-o")


@pytest.fixture
def linked(chain: Path) -> Path:
    """A link in the chain's folder to a file in another, which is not there yet."""
    (chain / "elsewhere").mkdir()
    (chain / "link.h5").symlink_to("elsewhere/other.h5")
    return chain / "elsewhere" / "other.h5"


def test_the_link_stays_and_its_target_is_replaced(chain: Path, linked: Path) -> None:
    link = chain / "link.h5"
    invoke(chain, *MFCC, "plain.h5")
    for _ in range(2):
        invoke(chain, *MFCC, link)
        assert link.is_symlink() and os.readlink(link) == "elsewhere/other.h5"
        assert not linked.is_symlink()
    assert "up to date" in invoke(chain, *MFCC, linked).stderr
    before = linked.stat().st_ino
    invoke(chain, *MFCC, link, "--force")
    assert linked.stat().st_ino != before and link.is_symlink()
    assert list(linked.parent.iterdir()) == [linked] and litter(chain) == []
    # References are relative to the file, and found through the link.
    assert "a.h5" in invoke(chain, "info", link, "--lineage").stdout


def test_a_manifest_behind_a_link_finds_its_recordings(chain: Path) -> None:
    (chain / "elsewhere").mkdir()
    (chain / "link.jsonl").symlink_to("elsewhere/few.jsonl")
    invoke(chain, *FEW, "link.jsonl")
    for name in ("link", "elsewhere/few"):
        invoke(chain, "preprocess", f"{name}.jsonl", "-j", 1, "-o", f"{name}.h5")
    assert (chain / "link.h5").read_bytes()


def test_a_link_to_a_link_to_an_existing_file(chain: Path) -> None:
    invoke(chain, *FEW, "few.jsonl")
    (chain / "one.jsonl").symlink_to("few.jsonl")
    (chain / "two.jsonl").symlink_to("one.jsonl")
    assert "up to date" in invoke(chain, *FEW, "two.jsonl").stderr
    other = ("select", "b.jsonl", "--limit", 4, "-o", "two.jsonl")
    invoke(chain, *other, status=errors.OUTPUT_EXISTS)
    invoke(chain, *other, "--force")
    assert os.readlink(chain / "two.jsonl") == "one.jsonl"
    assert (chain / "few.jsonl").read_text().count('"kind":"item"') == 4


def test_links_that_lead_nowhere(chain: Path) -> None:
    (chain / "nowhere.jsonl").symlink_to("missing/few.jsonl")
    said = invoke(chain, *FEW, "nowhere.jsonl", status=errors.BAD_DATA).stderr
    assert "no such folder" in said and not (chain / "missing").exists()
    (chain / "one.jsonl").symlink_to("two.jsonl")
    (chain / "two.jsonl").symlink_to("one.jsonl")
    assert "back to itself" in invoke(chain, *FEW, "one.jsonl", status=errors.USAGE).stderr
    with pytest.raises(UsageError):
        followed(chain / "two.jsonl")
    (chain / "folder.jsonl").symlink_to("wav-b")
    invoke(chain, *FEW, "folder.jsonl", status=errors.USAGE)
    assert litter(chain) == []


def test_an_input_is_not_replaced_through_a_link(chain: Path) -> None:
    (chain / "input.jsonl").symlink_to("b.jsonl")
    before = (chain / "b.jsonl").read_bytes()
    for force in ((), ("--force",)):
        invoke(chain, *FEW, "input.jsonl", *force, status=errors.USAGE)
    assert (chain / "b.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-"])
def test_names_of_standard_output(chain: Path, name: str) -> None:
    expected = invoke(chain, *FEW[:-1]).stdout
    assert expected and invoke(chain, *FEW, name).stdout == expected
    invoke(chain, *MFCC, name, status=errors.USAGE)


@pytest.mark.parametrize("name", ["/dev/null", "fifo", "/dev/fd/3", "/dev/stderr", "wav-b"])
@pytest.mark.parametrize("command", [FEW, MFCC])
def test_what_cannot_be_replaced_is_refused(chain: Path, name: str, command: tuple) -> None:
    os.mkfifo(chain / "fifo")
    invoke(chain, *command, name, "--force", status=errors.USAGE)
    assert (chain / "fifo").is_fifo() and Path("/dev/null").is_char_device()


@pytest.fixture
def held(chain: Path) -> Iterator[Path]:
    """The chain, in which another command makes few.jsonl."""
    path = chain / "few.jsonl"
    one = lock.acquire(claims.state_folder(path) / claims.LOCK, path, print)
    yield chain
    claims.leave(one)
    assert litter(chain) == []


def test_one_writer_of_a_quick_output(held: Path) -> None:
    (held / "link.jsonl").symlink_to("few.jsonl")
    for name in ("few.jsonl", "link.jsonl"):
        said = invoke(held, *FEW, name, status=errors.OUTPUT_EXISTS).stderr
        assert f"process {os.getpid()} on {lock.host()}" in said
    # Readers, and outputs of other names, are let be.
    invoke(held, *FEW, "other.jsonl")
    invoke(held, *FEW, "few.jsonl", "--dry-run")
    (held / "few.jsonl").write_bytes((held / "other.jsonl").read_bytes())
    assert "up to date" in invoke(held, *FEW, "few.jsonl").stderr
    invoke(held, "check", "few.jsonl")


def test_a_process_that_was_killed_when_it_was_done(chain: Path, monkeypatch) -> None:
    """Its lock, and the folder that it wrote in: the next one, which has nothing to do, tidies."""
    for command in ((*FEW, "few.jsonl"), (*MFCC, "out.h5")):
        output = chain / command[-1]
        invoke(chain, *command)
        folder = claims.state_folder(output)
        folder.mkdir()
        (folder / claims.LOCK).write_text("{}")
        (chain / f".{output.name}.0123.partial").mkdir()
        monkeypatch.setattr(lock, "SETTLE_S", 0.01)
        invoke(chain, *command, "--dry-run")
        assert len(litter(chain)) == 2
        assert "up to date" in invoke(chain, *command).stderr
        assert litter(chain) == []


def test_what_another_process_made_meanwhile(chain: Path, monkeypatch) -> None:
    """Between the look and the claim: it is not overwritten."""
    claim = claims.claim

    def late(output: Path, say) -> bool:
        output.write_bytes((chain / "a.jsonl").read_bytes())
        return claim(output, say)

    monkeypatch.setattr(claims, "claim", late)
    invoke(chain, *FEW, "few.jsonl", status=errors.OUTPUT_EXISTS)
    assert (chain / "few.jsonl").read_bytes() == (chain / "a.jsonl").read_bytes()
    assert litter(chain) == []


def test_a_claim_that_was_lost_writes_nothing(chain: Path, monkeypatch) -> None:
    def check(output: Path) -> None:
        raise LockedError(f"{output} has another writer")

    monkeypatch.setattr(claims, "check", check)
    invoke(chain, *FEW, "few.jsonl", status=errors.OUTPUT_EXISTS)
    assert not (chain / "few.jsonl").exists() and litter(chain) == []
