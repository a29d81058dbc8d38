"""Decoding one picture of a clip against all of them, and the recurrent encoder in bfloat16.

    python -m benchmarks.talking_face [--quick]

The published generator of pretrain-l1 (128 x 64 RGB) on batches of clips of 75 pictures, as many as
80 s hold, forward and backward; and forward and backward passes of the recurrent encoder (3 x 512)
over clips of 3 s.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial

import torch
from torch import nn

from avaffect.models.encoder import Frames
from avaffect.models.recurrent import PRESETS, RecurrentEncoder
from avaffect.models.talking_face import TalkingFace, TalkingFaceConfiguration
from benchmarks.encoder import has_fast_bfloat16
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

PICTURES = 75
# What --batch-seconds 80 holds. Decoding all of their pictures takes 15 GB, and no less time per
# picture than those of a few clips.
CLIPS, CLIPS_WHOLE = 26, 2
ONE_PICTURE, HALF_PRECISION = 50.0, 1.8


def draw(face: TalkingFace, clips: int, count: int) -> None:
    """Forward and backward of `count` pictures of each clip; the encoder's frames are given."""
    face.zero_grad()
    c = face.configuration
    stills = torch.zeros(clips, c.channels, c.height, c.height // 2)
    speech = torch.randn(clips, PICTURES, c.speech_dim)
    times = torch.arange(count).repeat(clips, 1)
    face(stills, speech, times, torch.Generator()).abs().mean().backward()


def decode(face: TalkingFace, clips: int, count: int) -> None:
    """The decoder's part of it, from what the identity encoder saw."""
    face.zero_grad()
    c = face.configuration
    sizes = [(c.width << stage, c.height >> stage + 1) for stage in range(c.stages)]
    seen = [torch.ones(clips * count, width, high, high // 2) for width, high in sizes]
    code = torch.randn(clips * count, c.speech_dim + c.identity + c.noise)
    face.decoder(code, seen).abs().mean().backward()


def decoder_rows(clips: int, whole: int, repetitions: int) -> list[Row]:
    """One picture of each clip against all: in the decoder alone, and with all that a step does."""
    torch.manual_seed(0)
    face = TalkingFace(TalkingFaceConfiguration())
    ways, units = {}, {}
    for way in (decode, draw):
        for name, count, of in (
            ("all", PICTURES, whole), ("one", 1, clips), ("one alone", 1, 1),
        ):  # fmt: skip
            ways[f"{way.__name__} {name}"] = partial(way, face, of, count)
            units[f"{way.__name__} {name}"] = of
    seconds = interleaved(ways, units, repetitions)
    return [
        Row(f"decoding {PICTURES} pictures over decoding one",
            median_ratio(seconds, "decode all", "decode one"), ONE_PICTURE,
            note=f"{clips} clips a batch"),
        Row("the same, one clip a batch", median_ratio(seconds, "decode all", "decode one alone"),
            note="gradients of 40 million weights for a single picture"),
        Row("a whole step of the generator", median_ratio(seconds, "draw all", "draw one"),
            note=f"{clips} clips a batch, stills and noise included"),
    ]  # fmt: skip


def recurrent_rows(clips: int, repetitions: int) -> list[Row]:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(PRESETS["base"])
    frames = Frames(torch.randn(clips, 300, 80), torch.full((clips,), 300))
    theirs = RecurrentEncoder(PRESETS["base"])
    theirs.layers = nn.ModuleList(
        nn.GRU(layer.input_size, layer.hidden_size, batch_first=True) for layer in encoder.layers
    )
    theirs.load_state_dict(encoder.state_dict())

    def step(model: RecurrentEncoder, half: bool) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found = model.contextualise(frames).values
        model.zero_grad()
        found.square().mean().backward()

    seconds = interleaved(
        {
            "float32": partial(step, encoder, False),
            "bfloat16": partial(step, encoder, True),
            "torch's float32": partial(step, theirs, False),
            "torch's bfloat16": partial(step, theirs, True),
        },
        repetitions=repetitions,
    )
    fast = has_fast_bfloat16()
    heard = {name: clips * 3.0 / statistics.median(found) for name, found in seconds.items()}
    return [
        Row("recurrent encoder, bfloat16 over float32",
            median_ratio(seconds, "float32", "bfloat16"), HALF_PRECISION if fast else None,
            note="" if fast else "no bfloat16 kernels for this processor"),
        Row("torch's layers over ours, float32",
            median_ratio(seconds, "torch's float32", "float32")),
        Row("torch's layers over ours, bfloat16",
            median_ratio(seconds, "torch's bfloat16", "bfloat16")),
        Row("recurrent encoder, forward and backward", heard["float32"], unit=" s of sound/s",
            note=f"{heard['bfloat16']:.3g} in bfloat16"),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer clips, one repetition")
    quick = parser.parse_args().quick
    with one_thread():
        rows = decoder_rows(4, 1, 1) if quick else decoder_rows(CLIPS, CLIPS_WHOLE, 3)
        rows += recurrent_rows(2, 1) if quick else recurrent_rows(16, 5)
    print_rows("speech-driven faces (CPU time, one core)", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
