"""Run the cases of tests/cases and print what each gave beside its right value.

    python tests/show_cases.py [SITUATION ...]

Exits with 1 where one of them is wrong.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "helpers"))

from cases import Case, Seen, all_cases


def main(situations: list[str]) -> int:
    wrong = 0
    print(f"{'situation':26} {'input':48} {'':5} {'seen':52} right")
    for case in all_cases():
        if situations and case.situation not in situations:
            continue
        seen = _measured(case)
        mark = "-" if seen is None else "ok" if seen.right else "WRONG"
        words = "input is not here" if seen is None else seen.words
        wrong += mark == "WRONG"
        print(f"{case.situation:26} {case.name:48} {mark:5} {words:52} {case.right}", flush=True)
    print(f"{wrong} wrong")
    return 1 if wrong else 0


def _measured(case: Case) -> Seen | None:
    if case.missing:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            return case.measure(Path(folder))
        except Exception as error:
            return Seen(f"{type(error).__name__}: {error}", False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
