"""Synthetic films with planted highlights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from chain import invoke

from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.transcripts import reading
from avaffect.synthetic import corpus, film, words

SEGMENT_S = 0.6
FELT = ("anger", "happiness", "sadness")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments as short as tests should be."""
    monkeypatch.setattr(film, "SEGMENT_S", SEGMENT_S)


def test_highlights_are_planted_and_spoken(tmp_path: Path) -> None:
    synth = ("synth", "films", "--modality", "audio", "--segments", 8, "--utterances", 2,
             "--speakers", 2, "-j", 1, "-o", "m.jsonl")  # fmt: skip
    invoke(tmp_path, *synth)
    found = manifest.read(tmp_path / "m.jsonl")
    described = found.header.to_dict()["labels"]["highlight"]
    assert described == {"kind": "trace", "rate_hz": 1 / SEGMENT_S}
    planned = corpus.plan("A", 2, 0, speakers=2, emotions=FELT)
    for item, plan in zip(found, planned):
        made = film.of(plan, 8)
        expressed = [film.expression(segment) for segment in made.segments]
        assert item["labels"] == {
            "emotion": plan.emotion, "highlight": list(made.highlights),
            "expression": [corpus.EMOTIONS.index(name) for name in expressed for _ in range(3)],
        }  # fmt: skip
        for segment, name in zip(made.segments, expressed):
            assert name == (segment.emotion if segment.intensity >= 0.2 else "neutral")
        assert sum(made.highlights) in (1, 2) and len(made.highlights) == 8
        samples, rate = soundfile.read(tmp_path / "films" / item["media"])
        length = round(SEGMENT_S * rate)
        assert len(samples) == 8 * length
        for segment, shown in zip(made.segments, made.highlights):
            assert segment.emotion == plan.emotion or not shown
            assert segment.intensity == 1.0 if shown else segment.intensity <= 0.4
        # A segment is the recording of its utterance.
        alone, _ = corpus.render(made.segments[3])
        np.testing.assert_allclose(samples[3 * length : 4 * length], alone, atol=1e-4)
    assert "up to date" in invoke(tmp_path, *synth).stderr
    for options in (
        ("--segments", 1),
        ("--segments", 4, "--domain", "B"),
        ("--segments", 4, "--shortest", 1),
        ("--segments", 4, "--longest", 9),
        ("--segments", 4, "--trace-rate", 5),
        ("--domain", "B", "--trace-rate", 5),
    ):
        invoke(tmp_path, "synth", "no", *options, "-o", "no.jsonl", status=2)


def test_a_film_with_pictures(tmp_path: Path) -> None:
    invoke(tmp_path, "synth", "films", "--segments", 3, "--utterances", 1, "--speakers", 1,
           "-j", 1, "-o", "m.jsonl")  # fmt: skip
    invoke(tmp_path, "preprocess", "m.jsonl", "--faces", "none", "--size", 16, "-j", 1,
           "-o", "m.h5")  # fmt: skip
    store = Store(tmp_path / "m.h5")
    assert store.lengths("face").tolist() == [45] and len(store.trace("highlight", 0)) == 3


def test_films_have_transcripts(tmp_path: Path) -> None:
    synth = ("synth", "films", "--modality", "audio", "--segments", 6, "--utterances", 2,
             "--speakers", 2, "-j", 1, "-o", "m.jsonl")  # fmt: skip
    invoke(tmp_path, *synth, "--words", 1)
    found = manifest.read(tmp_path / "m.jsonl")
    for item, plan in zip(found, corpus.plan("A", 2, 0, speakers=2, emotions=FELT)):
        made = film.of(plan, 6)
        path = tmp_path / "films" / "words" / f"{item['id']}.csv"
        said = reading.find(path).of(plan.id)
        assert said.words and (said.ends <= 6 * SEGMENT_S).all()
        # Each word goes with the expression of its segment, and is as long as its syllables.
        for word, start, end in zip(said.words, said.starts, said.ends):
            segment = made.segments[int(start / SEGMENT_S)]
            assert word in words.OF_EMOTIONS[film.expression(segment)] and end > start
        syllables = [s for part in made.segments for s in corpus.perform(part).syllables]
        spoken_s = sum(syllable.seconds for syllable in syllables)
        assert (said.ends - said.starts).sum() >= 0.9 * spoken_s
    path.unlink()
    invoke(tmp_path, *synth, "--words", 1)
    assert path.exists()
    # Without such words, and of utterances there is none.
    invoke(tmp_path, *synth, "--words", 0, status=73)
    invoke(tmp_path, *synth, "--words", 0, "-f")
    assert {*reading.find(path).of(path.stem).words} <= {*words.OF_NONE}
    invoke(tmp_path, "synth", "no", "--words", 0.5, "-o", "no.jsonl", status=2)
