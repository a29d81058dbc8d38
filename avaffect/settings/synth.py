"""Settings of `synth`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Seeded, argument, option

DOMAINS = ("A", "B", "U")


@dataclass(frozen=True, kw_only=True)
class SynthSettings(Seeded):
    """Voices made from a seed, with real sound files, for a machine that has no recordings. A: a
    labelled source (a quiet studio, acted emotions). B: a pool (any room and microphone, weaker
    emotions, mostly neutral), whose truth is a label of another name, hidden_emotion. U: a third
    corpus (another language, room and microphone). Speakers differ between domains.

    Writes FOLDER/wav/*.wav, then the manifest on standard output or to --output."""

    folder: Path = argument("Folder for the sound files.", metavar="FOLDER")
    domain: str = option("A", "Which corpus.", "--domain", choices=DOMAINS)
    utterances: int = option(96, "How many.", "--utterances")
    speakers: int = option(8, "How many.", "--speakers")
    emotions: str = option(
        "anger,happiness,neutral,sadness", "Classes.", "--emotions", metavar="LIST"
    )
    neutral_fraction: float | None = option(
        None, "Share of neutral utterances; 0.7 in B, balanced otherwise.", "--neutral-fraction"
    )
    shortest: float = option(1.5, "Seconds of the shortest utterance.", "--shortest")
    longest: float = option(3.0, "Seconds of the longest.", "--longest")
    jobs: int = option(-1, "Processes; -1 for every core.", "-j", "--jobs", role="runtime")
