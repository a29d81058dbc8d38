"""`doctor`: whether avaffect works here, and what mends what does not."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from avaffect.core.errors import AvaffectError
from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.diagnosis import machine, media, packages, place
from avaffect.recipes.diagnosis.findings import BROKEN, FINE, Finding
from avaffect.recipes.eval_class import eval_class
from avaffect.recipes.extract import extract
from avaffect.recipes.finetune import finetune
from avaffect.recipes.predict import predict
from avaffect.recipes.preprocess import preprocess
from avaffect.recipes.synth import synth
from avaffect.settings.doctor import DoctorSettings
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.extract import ExtractSettings
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.predict import PredictSettings
from avaffect.settings.preprocess import PreprocessSettings
from avaffect.settings.synth import SynthSettings

CHAIN = "chain"


def doctor(settings: DoctorSettings, progress: Progress = SILENT) -> Iterator[Finding]:
    """Look at the machine, the packages, media and models, the current folder and, unless it is
    left out, the whole chain; findings come as they are made."""
    yield from machine.look()
    yield from packages.look()
    yield from media.look(settings.models)
    yield from place.look(Path())
    if not settings.without_test:
        yield from _chain()


def _chain() -> Iterator[Finding]:
    """A test of the whole chain, each step until one fails: ten synthetic voices, a model, its
    scores."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, media, features = folder / "c.jsonl", folder / "m.h5", folder / "f.h5"
        model, predicted, report = folder / "c.safetensors", folder / "p.jsonl", folder / "r.json"
        steps = {
            "synth": lambda: synth(SynthSettings(
                folder=folder / "c", output=corpus, utterances=10, speakers=2, modality="audio",
                shortest=0.5, longest=0.8, jobs=1,
            )),
            "preprocess": lambda: preprocess(
                PreprocessSettings(manifest=corpus, output=media, jobs=1)
            ),
            "extract": lambda: extract(
                ExtractSettings(media=media, model="mfcc", output=features, device="cpu")
            ),
            "finetune": lambda: finetune(FinetuneSettings(
                media=(features,), output=model, steps=2, select="none", device="cpu",
            )),
            "predict": lambda: predict(
                PredictSettings(media=(features,), model=model, output=predicted, device="cpu")
            ),
            "eval-class": lambda: eval_class(
                EvalClassSettings(predictions=(predicted,), split="all", output=report)
            ),
        }  # fmt: skip
        for step, do in steps.items():
            start = time.monotonic()
            try:
                do()
            except AvaffectError as error:
                yield Finding(CHAIN, step, BROKEN, str(error))
                return
            except Exception as error:
                # A broken package may raise anything.
                yield Finding(CHAIN, step, BROKEN, f"{type(error).__name__}: {error}",
                              "mend the packages above; if all are well, report it")  # fmt: skip
                return
            yield Finding(CHAIN, step, FINE, f"{time.monotonic() - start:.1f} s")
