"""Stores of features with labels that can be learned in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avaffect.core.seeds import generator
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer

CLASSES = ("rising", "falling")
SPEAKERS, EACH, DIM, RATE, LABEL_RATE = 6, 8, 6, 50.0, 10.0


FIELDS = ("speaker", "split", "fold")


def write(
    path: Path, made: str = "features", late_s: float = 0.0, fields: tuple[str, ...] = FIELDS
) -> None:
    """6 speakers of 8 utterances: features whose order in time, not their mean, tells the class;
    and the traces arousal and valence, two directions of the features, at another rate.

    late_s: how much later than the features the traces say so. Speakers 0-3 train, 4 development,
    5 test; folds are speakers modulo 3.
    """
    labels = {
        "emotion": LabelSpec("class", CLASSES),
        "arousal": LabelSpec("trace", rate_hz=LABEL_RATE),
        "valence": LabelSpec("trace", rate_hz=LABEL_RATE, raters=2),
    }
    spec = StreamSpec("features", "float32", RATE, (DIM,), made={"front_end": made})
    with store_writer(path, {}, streams={"features": spec}, labels=labels) as writer:
        for number in range(SPEAKERS * EACH):
            random = generator(0, "features", number)
            speaker, kind = number // EACH, number % 2
            steps = int(random.integers(40, 70))
            ramp = np.linspace(-1, 1, steps) * (1, -1)[kind]
            pace, phase = random.uniform(3, 6), random.uniform(0, 6)
            times = np.arange(steps) / RATE
            slow, late = (np.sin((times - s) * pace + phase) for s in (0.0, late_s))
            values = random.normal(0, 0.3, (steps, DIM))
            values[:, 0] += ramp
            values[:, 1] += 40 * slow + 100
            values[:, 2] -= 3 * slow
            traces = late[:: int(RATE / LABEL_RATE)].astype(np.float32)
            split = {4: "development", 5: "test"}.get(speaker, "train")
            meta = {"speaker": f"s{speaker}", "split": split, "fold": speaker % 3}
            writer.add(
                f"u{number:02}",
                streams={"features": values.astype(np.float32)},
                labels={
                    "emotion": CLASSES[kind],
                    "arousal": traces,
                    "valence": np.stack([-traces, np.full_like(traces, np.nan)], axis=1),
                },
                meta={name: meta[name] for name in fields},
            )
