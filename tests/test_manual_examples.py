"""Every example of every manual is run, on small data."""

from __future__ import annotations

from pathlib import Path

import kitchen
import pytest

PAGES = sorted((kitchen.ROOT / "man").iterdir())
# With commands of avaffect in them.
WITH_EXAMPLES = [page for page in PAGES if kitchen.parts_of(page)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kitchen")
    kitchen.build(folder)
    return folder


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_examples_run(page: Path, made: Path, tmp_path: Path) -> None:
    assert kitchen.run(page, made, tmp_path / "run") is None


def test_every_manual_of_a_command_has_examples() -> None:
    assert {page for page in PAGES if page.suffix == ".1"} <= {*WITH_EXAMPLES}


def test_a_failing_example_is_seen(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "avaffect-info.1"
    page.write_text(".EX\navaffect info A.h5 > /dev/null\n.EE\n.EX\navaffect info none.h5\n.EE\n")
    found = kitchen.run(page, made, tmp_path / "run")
    assert found is not None and found.startswith("status 65: ") and "none.h5" in found
