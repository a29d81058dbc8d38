"""Settings of `synth`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Seeded, argument, option

DOMAINS = ("A", "B", "U")
MODALITIES = ("av", "audio")


@dataclass(frozen=True, kw_only=True)
class SynthSettings(Seeded):
    """Talking faces made from a seed, as real video files, for a machine that has no recordings.
    A: a labelled source (a quiet studio, acted emotions). B: a pool (any room, camera and
    microphone, weaker emotions, mostly neutral), whose truth is a label of another name,
    hidden_emotion. U: a third corpus (another language, room, camera and microphone). Speakers
    differ between domains.

    Writes FOLDER/video/*.mp4 (with --modality audio FOLDER/wav/*.wav), in A and U arousal and
    valence over time as FOLDER/traces/*.csv, then the manifest, which bears them too, on standard
    output or to --output."""

    folder: Path = argument("Folder for the recordings.", metavar="FOLDER")
    domain: str = option("A", "Which corpus.", "--domain", choices=DOMAINS)
    modality: str = option(
        "av", "Talking faces, or voices alone.", "--modality", choices=MODALITIES
    )
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
    trace_rate: float = option(
        25.0, "Values a second of arousal and valence over time.", "--trace-rate", metavar="HZ"
    )
    jobs: int = option(-1, "Processes; -1 for every core.", "-j", "--jobs", role="runtime")
