"""Outputs that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avaffect.core import atomic


class Stopped(BaseException):
    """A signal's, say."""


def test_what_stops_it_at_any_moment_leaves_nothing(tmp_path, monkeypatch):
    make, lock = Path.mkdir, atomic._lock

    def stopped_after(function):
        def stopped(*arguments, **options):
            function(*arguments, **options)
            raise Stopped

        return stopped

    for owner, name, function in ((Path, "mkdir", make), (atomic, "_lock", lock)):
        with monkeypatch.context() as patched, pytest.raises(Stopped):
            patched.setattr(owner, name, stopped_after(function))
            atomic.write_text(tmp_path / "a.txt", "whole")
        assert not list(tmp_path.iterdir())
    atomic.write_text(tmp_path / "a.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("moment", ["made", "opened"])
@pytest.mark.parametrize("other", ["a.h5", "a"])
def test_one_that_begins_leaves_another_its_folder(
    other: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same output and of one beside it, between the making of a folder and its lock."""
    owner, name = (Path, "mkdir") if moment == "made" else (os, "open")
    function = getattr(owner, name)

    def and_another_begins(*arguments, **options):
        found = function(*arguments, **options)
        monkeypatch.setattr(owner, name, function)
        with atomic.workspace(tmp_path / other):
            return found

    monkeypatch.setattr(owner, name, and_another_begins)
    with atomic.workspace(tmp_path / "a.h5") as folder:
        monkeypatch.setattr(owner, name, function)
        assert folder.is_dir()
        with atomic.workspace(tmp_path / other):
            assert folder.is_dir()
        (folder / "a.h5").write_text("whole", encoding="utf-8")
        atomic.publish(folder / "a.h5", tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_what_a_killed_writer_left_goes_with_the_next_of_its_name(tmp_path: Path) -> None:
    left = tmp_path / ".a.h5.0123456789abcdef.partial"
    left.mkdir()
    atomic.write_text(tmp_path / "a.h5", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
