"""Talking faces as files: H.264 and AAC in mp4, audio and video of one performance."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from avaffect.core.seeds import generator
from avaffect.data.video_files import write_video
from avaffect.synthetic import camera, corpus, expression, identity
from avaffect.synthetic.corpus import Performance, Utterance
from avaffect.synthetic.speaker import VOICES

# Halfway between the two kinds of voice.
LOW_VOICE_HZ = float(np.sqrt(VOICES[0][0] * VOICES[1][0]))


def mishap(utterance: Utterance) -> str:
    """The mishap of a clip: see `camera.mishap`."""
    return camera.mishap(utterance.seed, utterance.id, camera.CAMERAS[utterance.domain])


def face_of(utterance: Utterance, performance: Performance) -> identity.Face:
    low_voice = performance.voice.pitch_hz < LOW_VOICE_HZ
    return identity.face(utterance.seed, utterance.speaker, low_voice)


def scene_of(utterance: Utterance) -> camera.Scene:
    recorder = camera.CAMERAS[utterance.domain]
    return camera.scene(
        utterance.seed, utterance.id, utterance.session, recorder, utterance.duration_s
    )


def frame_times(utterance: Utterance, rate_hz: Fraction) -> np.ndarray:
    """Times of frames in seconds; their number is the rounded duration times the rate."""
    count = max(1, round(utterance.duration_s * rate_hz))
    return np.arange(count) / float(rate_hz)


def acting_of(
    utterance: Utterance, performance: Performance, times: np.ndarray
) -> expression.Acting:
    return expression.acting(
        utterance.seed, utterance.id, utterance.speaker, utterance.emotion, utterance.intensity,
        corpus.EXPRESSIVENESS[utterance.domain], times, performance.course,
        performance.parameters, performance.voice, performance.syllables,
    )  # fmt: skip


def write(utterance: Utterance, folder: Path) -> Path:
    """Render into `folder`/video/ID.mp4; the path relative to `folder`."""
    performance = corpus.perform(utterance)
    view = scene_of(utterance)
    times = frame_times(utterance, view.rate_hz)
    acts = acting_of(utterance, performance, times)
    random = generator(utterance.seed, utterance.id, "film")
    frames = camera.render_frames(view, face_of(utterance, performance), acts, random)
    audio, sample_rate = corpus.record(utterance, performance)
    with corpus.whole_file(folder / path_of(utterance)) as temporary:
        write_video(
            temporary, frames, view.size, view.rate_hz, audio, sample_rate, quality=view.quality
        )
    return path_of(utterance)


def path_of(utterance: Utterance) -> Path:
    """The path at which `write` writes an utterance."""
    return Path("video") / f"{utterance.id}.mp4"
