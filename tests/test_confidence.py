"""Confidence intervals of class scores: against loops, against theory, through the command line."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from chain import invoke

from avaffect.core.table import Style
from avaffect.data import manifest
from avaffect.evaluation import bootstrap, classification
from avaffect.recipes.eval_class import eval_class
from avaffect.recipes.reporting.sections.scores import in_words
from avaffect.recipes.scoring.reports.classes import ClassReport
from avaffect.recipes.scoring.tables.classes import tables
from avaffect.settings.eval_class import EvalClassSettings

CLASSES = ("anger", "neutral", "sadness")
SCORES = {"accuracy": classification.accuracy, "ua": classification.unweighted_accuracy}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_bounds_against_a_loop_over_utterances() -> None:
    random = generator()
    speakers = random.integers(0, 7, 60)
    gold, predicted = random.integers(0, 3, (2, 60))
    matrices = bootstrap.grouped(gold, predicted, speakers, 3, 7)
    found = bootstrap.intervals(matrices, SCORES, 90, 200, generator(1))
    drawn, scores = generator(1), []
    for _ in range(200):
        times = drawn.multinomial(7, np.full(7, 1 / 7))
        rows = [row for row, speaker in enumerate(speakers) for _ in range(times[speaker])]
        matrix = classification.confusion_matrix(
            [CLASSES[gold[row]] for row in rows], [CLASSES[predicted[row]] for row in rows], CLASSES
        )
        scores.append([score(matrix) for score in SCORES.values()])
    for place, name in enumerate(SCORES):
        low, high = np.quantile([score[place] for score in scores], [0.05, 0.95])
        assert found[name] == (pytest.approx(low), pytest.approx(high))


def test_runs_share_their_draws() -> None:
    """Runs that agree have the interval of one; independent draws would halve its square."""
    random = generator(2)
    one = bootstrap.grouped(*random.integers(0, 3, (2, 80)), random.integers(0, 9, 80), 3, 9)
    alone = bootstrap.intervals(one, SCORES, 95, 100, generator())
    assert bootstrap.intervals(one.beside(one, one, one), SCORES, 95, 100, generator()) == alone


def test_utterances_of_a_speaker_are_alike() -> None:
    """All utterances of a speaker are right or wrong: the interval is that of 20 trials, by the
    binomial distribution, not that of 2,000."""
    right = np.arange(20) % 2
    gold, speakers = np.zeros(2000, dtype=int), np.arange(2000) % 20
    predicted = 1 - right[speakers]
    over_speakers = bootstrap.grouped(gold, predicted, speakers, 2, 20)
    over_utterances = bootstrap.grouped(gold, predicted, np.arange(2000), 2, 2000)
    wide, narrow = (
        np.subtract(*bootstrap.intervals(m, SCORES, 95, 1000, generator())["accuracy"][::-1])
        for m in (over_speakers, over_utterances)
    )
    assert wide == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 20), rel=0.15)
    assert narrow == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 2000), rel=0.15)


def test_utterances_that_are_predicted_alike_are_counted() -> None:
    """As many cells as there are differ in any run, and the bounds are those of single draws."""
    random = generator(4)
    gold, predicted = random.integers(0, 3, 500), random.integers(0, 3, (2, 500))
    codes = gold * 3 + predicted
    codes[1, :40] = 9
    matrices, counts = bootstrap.distinct(codes, 3)
    assert counts.sum() == 500 and len(counts) == len({*zip(*codes.tolist())})
    total = matrices.sums(counts)
    for run in range(2):
        rows = np.flatnonzero(codes[run] < 9)
        np.testing.assert_array_equal(
            total[run],
            bootstrap.grouped(gold[rows], predicted[run, rows], [0] * len(rows), 3, 1).sums(
                np.ones(1)
            )[0],
        )
    first, second = (
        bootstrap.grouped(gold[rows], predicted[run, rows], rows, 3, 500)
        for run in range(2) for rows in [np.flatnonzero(codes[run] < 9)]
    )  # fmt: skip
    single = first.beside(second)
    one = bootstrap.intervals(matrices, SCORES, 90, 4000, generator(5), counts)["accuracy"]
    other = bootstrap.intervals(single, SCORES, 90, 4000, generator(6))["accuracy"]
    assert one == pytest.approx(other, abs=0.004)


def test_one_speaker_has_no_interval() -> None:
    with pytest.raises(ValueError):
        bootstrap.intervals(bootstrap.grouped([0], [1], [0], 2, 1), SCORES, 95, 10, generator())


def test_memory_is_that_of_the_utterances() -> None:
    """Of 200 classes and 2,000 speakers, dense matrices would take 640 MB."""
    random = generator()
    gold, predicted = random.integers(0, 200, (2, 20_000))
    tracemalloc.start()
    try:
        found = bootstrap.grouped(gold, predicted, np.arange(20_000) % 2000, 200, 2000)
        bootstrap.intervals(found, SCORES, 95, 3, generator())
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def predictions(folder: Path, speakers: int, named: bool = True, runs: int = 2) -> None:
    random = generator(3)
    items = [
        {"id": f"u{n}", "gold": CLASSES[n % 3], "run": run, "seen": None,
         "prediction": CLASSES[n % 3 if random.random() < 0.6 else random.integers(3)],
         **({"speaker": f"s{n % speakers}"} if named else {})}
        for run in range(runs) for n in range(90)
    ]  # fmt: skip
    header = manifest.new_header("predictions", target="emotion", classes=list(CLASSES), seen=True)
    manifest.write(folder / "p.jsonl", header, items)


def test_through_the_command_line(tmp_path: Path) -> None:
    predictions(tmp_path, 15)
    plain = json.loads(invoke(tmp_path, "eval-class", "p.jsonl", "--json").stdout)
    assert "intervals" not in plain
    found = invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 95, "--json")
    report = json.loads(found.stdout)
    held = report["intervals"]
    assert (held["percent"], held["over"], held["units"]) == (95, "speakers", 15)
    assert "warning" not in found.stderr
    for name, (low, high) in held["bounds"].items():
        assert low < report[name] < high < low + 0.4, name
    narrower = json.loads(
        invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 50, "--json").stdout
    )["intervals"]["bounds"]
    for name, (low, high) in narrower.items():
        assert held["bounds"][name][0] < low < high < held["bounds"][name][1]
    # In a pipe they are columns of the one table.
    head, row = invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 95).stdout.splitlines()
    cells = dict(zip(head.split("\t"), row.split("\t")))
    assert float(cells["ua_from"]) == pytest.approx(held["bounds"]["ua"][0], abs=1e-6)
    again = json.loads(
        invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 95, "--json").stdout
    )
    assert again["intervals"] == held


def test_without_names_of_speakers_and_with_few(tmp_path: Path) -> None:
    predictions(tmp_path, 15, named=False)
    found = invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 95, "--json")
    assert json.loads(found.stdout)["intervals"]["over"] == "utterances"
    assert "warning" in found.stderr
    predictions(tmp_path, 3)
    found = invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 95, "--json")
    assert json.loads(found.stdout)["intervals"]["units"] == 3 and "warning" in found.stderr
    predictions(tmp_path, 1)
    # The scores are there without them.
    found = invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 95, "--json")
    assert json.loads(found.stdout).get("intervals") is None and "warning" in found.stderr
    invoke(tmp_path, "eval-class", "p.jsonl", "--confidence", 100, status=2)


@pytest.mark.parametrize("speakers", [9, 10])
def test_tables_and_reports_say_where_speakers_are_few(tmp_path: Path, speakers: int) -> None:
    """Their readers do not see the warning of eval-class."""
    predictions(tmp_path, speakers)
    report = eval_class(EvalClassSettings(predictions=(tmp_path / "p.jsonl",), confidence=95))[0]
    assert isinstance(report, ClassReport)
    [shown] = tables([report], Style(for_people=True), ["intervals"])
    assert bool(shown.note) == (speakers < 10)
    assert ("too few" in in_words(report)) == (speakers < 10)
