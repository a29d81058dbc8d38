"""Maps of emotions by name, `manifest --map NAME`, that make the classes of corpora comparable.

emobox: one spelling of each emotion, in all corpora; of IEMOCAP the four classes that EmoBox uses,
with excitement as happiness. emobox-4: anger, happiness with excitement, neutral and sadness, its
classes across corpora; utterances of other classes have no label.
"""

from __future__ import annotations

from avaffect.core.errors import DataError, UsageError
from avaffect.data.corpora.common import Corpus, emotion_classes
from avaffect.data.tables import spellings
from avaffect.data.vocabulary import EMOTIONS

FOUR = {"anger": "anger", "happiness": "happiness", "excitement": "happiness",
        "neutral": "neutral", "sadness": "sadness"}  # fmt: skip
MAPS = ("emobox", "emobox-4")
# Corpora of which EmoBox uses these classes alone.
OF_FOUR = ("iemocap",)
EMOTION = "emotion"


def names(texts: tuple[str, ...]) -> list[str]:
    """The maps among the values of --map: those without =. Raises UsageError for unknown ones."""
    found = [text for text in texts if "=" not in text]
    for name in found:
        if name not in MAPS:
            raise UsageError(f"--map {name}: no map of this name (there are {', '.join(MAPS)}), "
                             "and no FROM=TO")  # fmt: skip
    return found


def apply(corpus: Corpus, name: str) -> None:
    """Rename the classes of a corpus: of emotion, and of other class labels of which all are
    emotions.

    Raises DataError where the corpus has no such label.
    """
    labels = [
        label
        for label, facts in corpus.labels.items()
        if facts["kind"] == "class"
        and (label == EMOTION or {*map(spellings.common, facts["classes"])} <= {*EMOTIONS})
    ]
    if not labels:
        raise DataError(f"--map {name}: {corpus.name} has no label of emotions")
    by_four = name == "emobox-4" or corpus.name in OF_FOUR
    for label in labels:
        classes = corpus.labels[label]["classes"]
        renamed = {old: spellings.common(old) for old in classes}
        if by_four:
            renamed = {old: FOUR.get(new, "") for old, new in renamed.items()}
        for item in corpus.items:
            if label in item["labels"]:
                new = renamed[item["labels"][label]]
                item["labels"] |= {label: new}
                if not new:
                    del item["labels"][label]
        corpus.labels[label]["classes"] = emotion_classes({new for new in renamed.values() if new})
        for old, new in renamed.items():
            if old != new:
                corpus.noted[f"{label} by {name}"].append(f"{old} is {new or 'missing'}")
