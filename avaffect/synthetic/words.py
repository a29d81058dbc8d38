"""Transcripts of synthetic people, as if what they say were English.

Their voices speak invented languages. A transcript has a word for one to three of the syllables
that are spoken, at their time: one that goes with the emotion, or one that says nothing. How much a
text tells is so known beforehand, and does not depend on the voice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avaffect.core.seeds import generator
from avaffect.synthetic.corpus import whole_file
from avaffect.synthetic.score import Syllable

OF_EMOTIONS = {
    "anger": ("furious", "hate", "damn", "outrageous", "angry", "stop"),
    "happiness": ("wonderful", "love", "great", "happy", "lucky", "laugh"),
    "sadness": ("alone", "lost", "sorry", "miss", "cry", "sad"),
    "neutral": ("table", "report", "monday", "number", "street", "usual"),
}
OF_NONE = (
    "the", "and", "we", "they", "it", "was", "is", "to", "of", "in", "then", "there", "with",
    "about", "what", "when", "had", "some", "one", "that", "this", "have", "for", "not", "but",
)  # fmt: skip
MOST_SYLLABLES = 3

Word = tuple[float, float, str]


def said(
    spoken: Sequence[Syllable], emotion: str, share: float, random: np.random.Generator
) -> list[Word]:
    """Beginning and end in seconds, and text, of the words of an utterance. share: of the words
    that go with its emotion."""
    found, first = [], 0
    while first < len(spoken):
        count = int(random.integers(1, MOST_SYLLABLES + 1))
        chosen = random.choice(OF_EMOTIONS[emotion] if random.random() < share else OF_NONE)
        last = spoken[min(first + count, len(spoken)) - 1]
        found.append((spoken[first].start_s, last.start_s + last.seconds, str(chosen)))
        first += count
    return found


def path_of(identifier: str) -> Path:
    """Where `write` puts the transcript of a recording."""
    return Path("words") / f"{identifier}.csv"


def write(words: Sequence[Word], identifier: str, folder: Path) -> None:
    """Write a transcript to `folder`/words/ID.csv: start and end (s), word."""
    rows = "".join(f"{start:.3f},{end:.3f},{word}\n" for start, end, word in words)
    with whole_file(folder / path_of(identifier)) as temporary:
        temporary.write_text("start,end,word\n" + rows, encoding="ascii")


def drawn(seed: int, identifier: str) -> np.random.Generator:
    """Draws of the words of an utterance, apart from those of its voice."""
    return generator(seed, identifier, "words")
