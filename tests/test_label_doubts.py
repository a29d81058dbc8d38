"""finetune on votes and numbers that cannot be right, and features of another width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import invoke
from two_stores import CLASSES, features, store

from avaffect.data.store.schema import LabelSpec

COUNT = 12
SPECS = {"votes": LabelSpec("distribution", CLASSES), "arousal": LabelSpec("scalar")}


def write(folder: Path, label: str, value: Callable[[int], Any], width: int = 2) -> None:
    rows = [
        {"identifier": f"u{row:02}", "labels": {label: value(row)},
         "meta": {"speaker": f"s{row % 3}", "split": ("train", "development", "test")[row % 3]},
         "streams": {"features": np.full((3, width), row, "float32")}}
        for row in range(COUNT)
    ]  # fmt: skip
    store(folder / "f.h5", features(20.0, width, "audio"), {label: SPECS[label]}, rows)


def words(folder: Path, label: str, status: int = 0) -> str:
    finetune = ("finetune", "f.h5", "--label", label, "--steps", 1, "-f", "-o", "x.safetensors")
    found = invoke(folder, *finetune, status=status)
    assert (folder / "x.safetensors").exists() == (status == 0)
    return found.stderr


@pytest.mark.parametrize("wrong", [(-1.0, 0.5, 1.5), (float("inf"), 1.0, 0.0)])
def test_votes_are_no_negative_numbers(tmp_path: Path, wrong: tuple[float, ...]) -> None:
    write(tmp_path, "votes", lambda row: np.array(wrong if row == 5 else (row, 1, 2)))
    assert "1 utterance: u05" in words(tmp_path, "votes", 65)


def test_shares_that_do_not_sum_to_one_are_named(tmp_path: Path) -> None:
    def shares(row: int) -> np.ndarray:
        return np.array((0.2, 0.5, 0.3) if row % 2 else (0.5, 0.2, 0.3))

    write(tmp_path, "votes", lambda row: shares(row) - (0, 0, 0.2 * (row in (4, 7))))
    found = words(tmp_path, "votes")
    assert "2 utterances: u04, u07" in found and "0.8" in found
    # Rounded shares, and numbers of raters, whatever these sum to.
    for value in (lambda row: shares(row) - 0.003, lambda row: np.array((row, 2, 3))):
        write(tmp_path, "votes", value)
        assert "sum to 1" not in words(tmp_path, "votes")


def test_numbers_outside_of_their_scale(tmp_path: Path) -> None:
    write(tmp_path, "arousal", lambda row: 1.0 + row % 7)
    assert "scale" not in words(tmp_path, "arousal")
    write(tmp_path, "arousal", lambda row: -999.0 if row == 3 else 1.0 + row % 7)
    assert "1 utterance: u03; the first is -999" in words(tmp_path, "arousal")
    (tmp_path / "x.safetensors").unlink()
    write(tmp_path, "arousal", lambda row: float("inf") if row == 3 else 1.0 + row % 7)
    assert "1 utterance: u03" in words(tmp_path, "arousal", 65)


def test_the_widths_of_features_are_named(tmp_path: Path) -> None:
    write(tmp_path, "arousal", lambda row: 1.0 + row % 7)
    named = ("--features", "audio=f.h5")
    begin = ("finetune", "f.h5", *named, "--label", "arousal", "--steps", 1)
    invoke(tmp_path, *begin, "-o", "x.safetensors")
    write(tmp_path, "arousal", lambda row: 1.0 + row % 7, width=3)
    found = invoke(tmp_path, "predict", "f.h5", *named, "--model", "x.safetensors", status=65)
    assert "3 numbers a frame" in found.stderr and "on 2" in found.stderr
