"""Outputs that appear whole or not at all."""

from __future__ import annotations

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
