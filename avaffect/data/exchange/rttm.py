"""Rich Transcription Time Marked (RTTM): who speaks when; a line an utterance, all recordings in a
file.

NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A: type,
file, channel, start, duration, orthography, subtype, speaker, confidence, look-ahead. The first
label is the subtype, which readers of speakers ignore.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.data.corpora.common import Corpus
from avaffect.data.exchange import tiers
from avaffect.data.exchange.listing import PREDICTED, SCORES, Listing, Utterance
from avaffect.data.exchange.pairing import Paired
from avaffect.data.exchange.reading import EMOTION, of_channels
from avaffect.data.exchange.tiers import Annotations
from avaffect.data.tables.reader import of_part
from avaffect.data.tables.texts import read_text
from avaffect.settings.manifest import ManifestSettings

NAME = "rttm"
OPTIONS = (*tiers.OPTIONS, "encoding")
FOLDER = False
TAKEN = ""
NEEDS = ()
NOTHING = "<NA>"
_FIELDS = 9
_ID = "id of the utterance"


def write(listing: Listing, output: Path) -> None:
    """The label is the predicted class where there is one, and the confidence its score.

    Raises DataError for a name with a blank, which separates fields.
    """
    listing.lose_videos()
    listing.lose_fields("speaker")
    classes = [name for name in listing.plain_labels() if listing.labels[name].kind == "class"]
    predicted = [name for name in classes if name.endswith(PREDICTED)]
    shown = next(iter([*predicted, *classes]), None)
    used = {shown, (shown or "").removesuffix(PREDICTED) + SCORES}
    for name in listing.labels:
        if name not in used:
            listing.lost[f"label {name}"] += [o.id for o in listing if name in o.labels]
    names = listing.names()
    lines = []
    for path, own in sorted(listing.by_recording().items(), key=lambda pair: names[pair[0]]):
        for one in own:
            start, end = listing.span(one)
            fields = ["SPEAKER", names[path], "1", f"{start:.6f}", f"{end - start:.6f}", NOTHING,
                      _label(one, shown), str(one.fields.get("speaker", NOTHING)),
                      _confidence(one, shown), NOTHING]  # fmt: skip
            if any(not text or len(text.split()) != 1 for text in fields):
                raise DataError(f"{one.id}: a name has a blank, which separates fields in RTTM: "
                                f"{' | '.join(fields)}")  # fmt: skip
            lines.append(" ".join(fields) + "\n")
    listing.lost[_ID] += [one.id for one in listing]
    output.write_text("".join(lines), encoding="utf-8")


def _label(one: Utterance, shown: str | None) -> str:
    return str(one.labels.get(shown, NOTHING)) if shown else NOTHING


def _confidence(one: Utterance, shown: str | None) -> str:
    scores: dict[str, Any] = one.labels.get((shown or "").removesuffix(PREDICTED) + SCORES, {})
    score = scores.get(_label(one, shown))
    return NOTHING if score is None else f"{score:g}"


def read(settings: ManifestSettings) -> Corpus:
    """Lines of speakers, in files .rttm; the subtype, if any, is `emotion`.

    Raises DataError for a line that is not as the plan has it.
    """
    files = tiers.files_of(settings.source, (".rttm",))
    annotations = Annotations.of(settings, NAME, files)
    turns: list[_Turn] = []
    for file in files:
        for number, line in enumerate(read_text(file).split("\n"), start=1):
            fields = line.split()
            if not fields or fields[0] != "SPEAKER":
                continue
            try:
                start, duration = float(fields[3]), float(fields[4])
            except (ValueError, IndexError) as error:
                raise DataError(f"{file}, line {number}: no start and duration in s") from error
            if len(fields) < _FIELDS:
                raise DataError(f"{file}, line {number}: {count_of(len(fields), 'field')}; a line "
                                "of RTTM has "
                                f"{_FIELDS} or 10")  # fmt: skip
            paired = annotations.recordings.pair(fields[1], file)
            if paired is not None:
                end = round(start + duration, 6)
                turns.append(_Turn(paired, start, end, fields[2], fields[7], fields[6]))
    _add(annotations, turns)
    return annotations.corpus()


@dataclass(frozen=True)
class _Turn:
    paired: Paired
    start: float
    end: float
    channel: str
    speaker: str
    emotion: str

    @property
    def id(self) -> str:
        return of_part(self.paired.name, (self.start, self.end))


def _add(annotations: Annotations, turns: list[_Turn]) -> None:
    """Channels count where a recording has turns on several: 1 stands for all otherwise. Turns of
    one time have the channel and the speaker in their ids."""
    channels: dict[str, set[str]] = defaultdict(set)
    for turn in turns:
        channels[turn.paired.name].add(turn.channel)
    times = Counter(turn.id for turn in turns)
    for turn in turns:
        own = channels[turn.paired.name]
        several = len(own) > 1
        named = {"speaker": turn.speaker, EMOTION: turn.emotion}
        known = {name: text for name, text in named.items() if text != NOTHING}
        known |= of_channels(str(_place(turn.channel, own)) if several else None)
        apart = (turn.channel,) * several + (turn.speaker,) if times[turn.id] > 1 else ()
        identifier = "_".join([turn.id, *(part for part in apart if part != NOTHING)])
        annotations.found.add(identifier, turn.paired.media, turn.start, turn.end, known)


def _place(channel: str, channels: set[str]) -> int:
    """From 0: channels are numbers from 1, or A and B."""
    if all(name.isdecimal() and int(name) > 0 for name in channels):
        return int(channel) - 1
    return sorted(channels).index(channel)
