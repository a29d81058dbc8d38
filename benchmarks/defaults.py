"""Defaults of finetune beside those before, and beside logistic regression on the same means.

    python -m benchmarks.defaults [--quick] [--rows TEXT] [--now-only] [--data DIR] [--work DIR]

UA, mean and standard deviation of three seeds, on speakers that are not trained on: EmoDB (leave
one speaker out; whole, and with a tenth of the labels), ten samples of CREMA-D, synthetic faces.
Descriptors are those of eGeMAPS where openSMILE is there, else MFCC. Encoders are of size nano, as
they were initialised (random) and pre-trained on the corpus itself. Everything is made in --work (a
temporary one), and what is there is not made again. Rows are printed as they are done: all of them
take hours of one core, `--rows "linear"` minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from avaffect.cli.main import run
from avaffect.data.store.reader import Store
from avaffect.evaluation.classification import confusion_matrix, unweighted_accuracy
from avaffect.recipes.eval_class import eval_class
from avaffect.recipes.finetune import finetune
from avaffect.recipes.predict import predict
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.predict import PredictSettings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS = 3
# Of version 1.0, by what is trained.
BEFORE = {
    "linear": {"epochs": 50, "head_learning_rate": 1e-3, "head_penalty": 0.0, "select": "ua"},
    "bgru": {"epochs": 100, "head_learning_rate": 1e-4, "frames_per_step": 1, "select": "ua"},
    "fine-tuned": {"epochs": 5, "head_learning_rate": 1e-3, "learning_rate": 1e-5, "select": "ua"},
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """corpus: emodb, cremad or faces; source: a front-end, or random or pretrained, of an encoder
    that reads what the corpus has; what: linear, bgru (both frozen) or fine-tuned."""

    corpus: str
    source: str
    what: str
    fraction: float = 1.0

    @property
    def name(self) -> str:
        share = "" if self.fraction == 1 else f", {self.fraction:.0%} of the labels"
        return f"{self.corpus}, {self.source}, {self.what}{share}"


def rows(descriptors: str) -> list[Row]:
    """Cheap ones first."""
    linear = [
        Row("emodb", descriptors, "linear"),
        Row("emodb", descriptors, "linear", 0.1),
        Row("cremad", descriptors, "linear"),
        *(Row(corpus, source, "linear") for corpus in ("faces", "emodb")
          for source in ("random", "pretrained")),
        Row("emodb", "logmel", "linear"),
    ]  # fmt: skip
    heavy = [
        *(Row(corpus, source, "fine-tuned") for corpus in ("cremad", "faces")
          for source in ("random", "pretrained")),
        Row("cremad", descriptors, "bgru"),
        *(Row("faces", source, "bgru") for source in ("random", "pretrained")),
        *(Row("emodb", source, "fine-tuned", 0.1) for source in ("random", "pretrained")),
        Row("emodb", descriptors, "bgru", 0.1),
        *(Row("emodb", source, "fine-tuned") for source in ("random", "pretrained")),
        Row("emodb", descriptors, "bgru"),
    ]  # fmt: skip
    return [*linear, *heavy]


class Bench:
    """Makes what rows need in a folder, each thing once."""

    def __init__(self, data: Path, folder: Path, quick: bool) -> None:
        self.data, self.folder, self.quick = data, folder, quick

    def command(self, name: str, *arguments: object, output: str) -> Path:
        """A command's output, made where it is not there."""
        path = self.folder / output
        if not path.exists():
            words = io.StringIO()
            with contextlib.redirect_stderr(words), contextlib.redirect_stdout(words):
                status = run([name, *map(str, arguments), "-o", str(path)])
            if status:
                raise SystemExit(f"{name} {output}: {words.getvalue()}")
        return path

    def media(self, corpus: str) -> Path:
        """A store of recordings in folds of speakers."""
        if corpus == "faces":
            count = 12 if self.quick else 96
            size = ("--utterances", count, "--speakers", 4 if self.quick else 8)
            listed = self.command("synth", self.folder / "people", *size, output="faces.jsonl")
            folds = 4
        else:
            adapter = {"emodb": "emodb", "cremad": "cremad"}[corpus]
            recordings = self.data / {"emodb": "emodb", "cremad": "cremad_samples"}[corpus]
            listed = self.command("manifest", adapter, recordings, output=f"{corpus}.jsonl")
            folds = {"emodb": 10, "cremad": 4}[corpus]
        divided = self.command("split", listed, "--by", "speaker", "--folds", folds,
                               output=f"{corpus}-folds.jsonl")  # fmt: skip
        options = () if corpus == "faces" else ("--faces", "none")
        return self.command("preprocess", divided, *options, output=f"{corpus}.h5")

    def encoder(self, corpus: str, source: str) -> Path:
        """Of voices (APC) or of faces (LiRA), of size nano; random: as it was initialised."""
        command = "pretrain-lira" if corpus == "faces" else "pretrain-apc"
        steps = 0 if source == "random" else 3 if self.quick else 300
        return self.command(command, self.media(corpus), "--preset", "nano", "--steps", steps,
                            output=f"{corpus}-{source}.safetensors")  # fmt: skip

    def features(self, row: Row) -> Path:
        """A store of what a frozen head reads, frames and their means."""
        known = row.source in ("random", "pretrained")
        model = self.encoder(row.corpus, row.source) if known else row.source
        return self.command("extract", self.media(row.corpus), "--model", model,
                            output=f"{row.corpus}-{row.source}.h5")  # fmt: skip

    def ua(self, row: Row, before: bool) -> tuple[float, float, float]:
        """Mean and standard deviation over seeds, and CPU seconds of a run of all folds."""
        frozen = row.what in ("linear", "bgru")
        store = self.features(row) if frozen else self.media(row.corpus)
        output = self.folder / "classifier.safetensors"
        settings = FinetuneSettings(
            media=(store,),
            output=output,
            encoder=None if frozen else self.encoder(row.corpus, row.source),
            head="bgru" if row.what == "bgru" else "linear",
            folds=self.folds(store),
            runs=1 if self.quick else SEEDS,
            fraction=row.fraction,
            force=True,
            fresh=True,
        )
        if before:
            settings = replace(settings, **BEFORE[row.what])
        if self.quick:
            settings = replace(settings, epochs=1)
        start = time.process_time()
        finetune(settings)
        spent = (time.process_time() - start) / settings.runs
        predictions = self.folder / "predictions.jsonl"
        predict(PredictSettings(media=(store,), model=output, output=predictions, force=True))
        (report,) = eval_class(EvalClassSettings(predictions=(predictions,)))
        return report.ua, report.std["ua"] or 0.0, spent

    def folds(self, store: Path) -> int:
        return len({str(fold) for fold in Store(store).meta["fold"]})

    def logistic(self, row: Row) -> tuple[float, float]:
        """Of scikit-learn's logistic regression, as it comes, on standardised means: trained on
        what the head trains on, and on the development part besides."""
        store = Store(self.features(row))
        means = np.stack([store.read("features", n).mean(axis=0) for n in range(store.count)])
        classes, targets = store.labels["emotion"].classes, np.asarray(store.label("emotion"))
        folds = np.array([int(fold) for fold in store.meta["fold"]])
        count = folds.max() + 1
        scores = []
        for also in (False, True):
            found = np.empty_like(targets)
            for fold in range(count):
                train = (folds != fold) & (also | (folds != (fold + 1) % count))
                mean, std = means[train].mean(axis=0), means[train].std(axis=0)
                scaled = (means - mean) / np.where(std > 0, std, 1)
                model = LogisticRegression(max_iter=10_000).fit(scaled[train], targets[train])
                found[folds == fold] = model.predict(scaled[folds == fold])
            names = [[classes[n] for n in numbers] for numbers in (targets, found)]
            scores.append(unweighted_accuracy(confusion_matrix(*names, classes)))
        return scores[0], scores[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="that all of it runs: no result")
    parser.add_argument("--rows", default="", help="those whose name has this text")
    parser.add_argument("--now-only", action="store_true", help="leave out the defaults of before")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of recordings")
    parser.add_argument("--work", type=Path, help="where stores and encoders are made and kept")
    options = parser.parse_args()
    if not (options.data / "emodb").is_dir():
        print(f"no recordings in {options.data}: name their folder with --data")
        return 0
    warnings.simplefilter("ignore")
    descriptors = "egemaps" if importlib.util.find_spec("opensmile") else "mfcc"
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(options.data, folder, options.quick)
        print(f"{'UA on unseen speakers':42}  {'before':>13}  {'now':>13}  logistic  CPU s a run")
        for row in rows(descriptors):
            if options.rows in row.name:
                print(_line(bench, row, options.now_only), flush=True)
    return 0


def _line(bench: Bench, row: Row, now_only: bool) -> str:
    measured = [None if now_only else bench.ua(row, before=True), bench.ua(row, before=False)]
    cells = [f"{found[0]:.3f} +- {found[1]:.3f}" if found else "-" for found in measured]
    spent = [f"{found[2]:.0f}" if found else "-" for found in measured]
    logistic = ""
    if row.what == "linear" and row.fraction == 1:
        logistic = "{:.3f} ({:.3f})".format(*bench.logistic(row))
    return (
        f"{row.name:42}  {cells[0]:>13}  {cells[1]:>13}  {logistic:13}  {spent[0]}, now {spent[1]}"
    )


if __name__ == "__main__":
    sys.exit(main())
