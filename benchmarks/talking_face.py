"""Decoding one picture of a clip against all of them, and the recurrent encoder in bfloat16.

    python -m benchmarks.talking_face [--quick]

The published generator of pretrain-l1 (128 x 64 RGB) on clips of 75 pictures, forward and backward;
and forward and backward passes of the recurrent encoder (3 x 512) over clips of 3 s.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial

import torch

from avaffect.models.encoder import Frames
from avaffect.models.recurrent import PRESETS, RecurrentEncoder
from avaffect.models.talking_face import TalkingFace, TalkingFaceConfiguration
from benchmarks.encoder import has_fast_bfloat16
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

PICTURES = 75
ONE_PICTURE, HALF_PRECISION = 50.0, 1.8


def draw(face: TalkingFace, clips: int, times: torch.Tensor) -> None:
    """Forward and backward of the pictures at `times`; the encoder's frames are given."""
    c = face.configuration
    stills = torch.zeros(clips, c.channels, c.height, c.height // 2)
    speech = torch.randn(clips, PICTURES, c.speech_dim)
    made = face(stills, speech, times.repeat(clips, 1), torch.Generator())
    made.abs().mean().backward()


def decoder_rows(clips: int, repetitions: int) -> list[Row]:
    """One picture against all: of the decoder alone, and with all else that a step does."""
    torch.manual_seed(0)
    face = TalkingFace(TalkingFaceConfiguration())
    c = face.configuration
    code = c.speech_dim + c.identity + c.noise

    def decode(count: int) -> None:
        with torch.no_grad():
            seen = face.identity(torch.zeros(1, c.channels, c.height, c.height // 2))[1]
            seen = [level.repeat(count, 1, 1, 1) for level in seen]
        face.decoder(torch.randn(count, code), seen).abs().mean().backward()

    seconds = interleaved(
        {
            "all": partial(draw, face, clips, torch.arange(PICTURES)),
            "one": partial(draw, face, clips, torch.tensor([7])),
            "decode all": partial(decode, PICTURES),
            "decode one": partial(decode, 1),
        },
        repetitions=repetitions,
    )
    return [
        Row(f"decoding {PICTURES} pictures over decoding one",
            median_ratio(seconds, "decode all", "decode one"), ONE_PICTURE),
        Row("a whole step of the generator", median_ratio(seconds, "all", "one"),
            note=f"{clips} clips, still and noise included"),
    ]  # fmt: skip


def recurrent_rows(clips: int, repetitions: int) -> list[Row]:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(PRESETS["base"])
    frames = Frames(torch.randn(clips, 300, 80), torch.full((clips,), 300))

    def step(half: bool) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found = encoder.contextualise(frames).values
        found.square().mean().backward()

    seconds = interleaved(
        {"float32": partial(step, False), "bfloat16": partial(step, True)}, repetitions=repetitions
    )
    fast = has_fast_bfloat16()
    heard = clips * 3.0 / statistics.median(seconds["float32"])
    return [
        Row("recurrent encoder, bfloat16 over float32",
            median_ratio(seconds, "float32", "bfloat16"), HALF_PRECISION if fast else None,
            note="" if fast else "no bfloat16 kernels for this processor"),
        Row("recurrent encoder, forward and backward", heard, unit=" s of sound/s"),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer clips, one repetition")
    quick = parser.parse_args().quick
    with one_thread():
        rows = decoder_rows(1, 1) if quick else decoder_rows(2, 3)
        rows += recurrent_rows(2, 1) if quick else recurrent_rows(16, 5)
    print_rows("speech-driven faces (CPU time, one core)", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
