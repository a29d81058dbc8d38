"""Every case of tests/cases gives its right value."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import Case, all_cases


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.situation}: {case.name}")
def test_case(case: Case, tmp_path: Path) -> None:
    if case.missing:
        pytest.skip(f"the input is not at {case.missing}")
    seen = case.measure(tmp_path)
    assert seen.right, f"{seen.words}; right: {case.right}"
