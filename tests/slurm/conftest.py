"""A Slurm for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from one_node_slurm import OneNodeSlurm, lacking


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNodeSlurm]:
    if reason := lacking():
        pytest.skip(f"no Slurm: {reason}")
    with OneNodeSlurm(tmp_path_factory.mktemp("slurm") / "state") as started:
        yield started
