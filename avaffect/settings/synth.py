"""Settings of `synth`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Seeded, argument, given_of, option

DOMAINS = ("A", "B", "U")
MODALITIES = ("av", "audio")
# Recordings are named by it; an underscore ends it.
NAME = "[A-Za-z0-9-]+"


@dataclass(frozen=True, kw_only=True)
class SynthSettings(Seeded):
    """Talking faces rendered from a seed, as real video files, for a machine without recordings.
    A: a labelled source (a quiet studio, acted emotions). B: a pool (various rooms, cameras and
    microphones, weaker emotions, mostly neutral), with its gold label under another name,
    hidden_emotion. U: a third corpus (another language, room, camera and microphone). Speakers
    differ between domains, and between corpora of a domain that have other names.

    Writes FOLDER/video/*.mp4 (with --modality audio FOLDER/wav/*.wav), in A and U traces of arousal
    and valence as FOLDER/traces/*.csv, with --words FOLDER/words/*.csv, then the manifest."""

    examples: ClassVar[str] = """
    avaffect synth A --domain A --utterances 160 -o A.jsonl
    # A pool of voices without faces, straight into a store
    avaffect synth B --domain B --utterances 320 --speakers 16 --modality audio |
      avaffect preprocess - -o B.h5
    # Other people of the same kind
    avaffect synth others --name others -o others.jsonl
    """

    folder: Path = argument("Folder for the recordings.", metavar="FOLDER")
    domain: str = option("A", "Domain of the corpus.", "--domain", choices=DOMAINS)
    name: str | None = option(
        None,
        "Name of the corpus, with which its ids and speakers begin. Default: synth and the domain.",
        "--name", metavar="NAME", added=True,
    )  # fmt: skip
    modality: str = option(
        "av", "Modality: talking faces (av) or voices alone.", "--modality", choices=MODALITIES
    )
    utterances: int = option(96, "Number of utterances.", "--utterances", at_least=1)
    speakers: int = option(8, "Number of speakers.", "--speakers", at_least=1)
    emotions: str = option(
        "anger,happiness,neutral,sadness", "Emotion classes.", "--emotions", metavar="LIST"
    )
    neutral_fraction: float | None = option(
        None,
        "Share of neutral utterances. Default: 0.7 in B, otherwise balanced classes.",
        "--neutral-fraction",
        at_least=0,
        at_most=1,
    )
    shortest: float = option(
        1.5, "Minimum duration in seconds.", "--shortest", at_least=0.3, at_most=60
    )
    longest: float = option(
        3.0, "Maximum duration in seconds.", "--longest", at_least=0.3, at_most=60
    )
    segments: int = option(
        0, "Segments of five seconds of each recording, which is then a film of one speaker: of "
        "weak emotions, but for one or some highlights with a strong one (label highlight), and "
        "with a class over time (label expression). 0: utterances.",
        "--segments", at_least=0, at_most=720, added=True,
    )  # fmt: skip
    words: float | None = option(
        None, "Share of the words that go with the emotion, in transcripts of films that are "
        "written too. Default: no transcripts.", "--words", metavar="SHARE", at_least=0, at_most=1,
        added=True,
    )  # fmt: skip
    trace_rate: float = option(
        25.0,
        "Sampling rate of the arousal and valence traces in Hz.",
        "--trace-rate",
        metavar="HZ",
        above=0,
        at_most=1000,
    )
    jobs: int = option(
        -1, "Number of processes; -1: one per core.", "-j", "--jobs", role="runtime", at_least=-1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name is not None and re.fullmatch(NAME, self.name) is None:
            raise UsageError(f"--name {self.name!r}: letters, digits and dashes alone")
        if self.segments == 1:
            raise UsageError("--segments 1: a film of one segment has nothing to rank")
        if self.segments and self.domain == "B":
            raise UsageError("--segments goes with domains A and U; B is a pool without labels")
        if self.words is not None and not self.segments:
            raise UsageError(f"--words {self.words:g} goes with --segments: films have transcripts")
        films = given_of(self, ["shortest", "longest", "trace_rate"])
        if self.segments and films:
            raise UsageError(
                f"{films[0]} has no effect with --segments: segments last five seconds, and films "
                "have no traces of arousal and valence"
            )
        if self.domain == "B" and given_of(self, ["trace_rate"]):
            raise UsageError("--trace-rate goes with domains A and U; B is a pool without labels")
        if self.shortest > self.longest:
            raise UsageError(
                f"--shortest {self.shortest:g}: longer than --longest {self.longest:g}"
            )
