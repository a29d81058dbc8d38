"""The Transformer of HuBERT base in bfloat16 against float32; attention written out against fused.

    python -m benchmarks.encoder [--quick]

Forward and backward with dropout, 12 layers of 768, 4 utterances, one of them half padding. Before
any time counts, bfloat16 must give the float32 frames within 5 %; else the exit status is 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial

import torch

from avaffect.core.batch import Batch
from avaffect.models import transformer
from avaffect.models.hubert import PRESETS, Hubert
from avaffect.models.transformer import TransformerConfiguration, TransformerEncoder
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

UTTERANCES = 4
TARGET = 2.5


def has_fast_bfloat16() -> bool:
    """Whether oneDNN has bfloat16 kernels for this processor."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def precision_error(encoder: TransformerEncoder, x: torch.Tensor, valid: torch.Tensor) -> float:
    """Relative distance of the bfloat16 frames from the float32 ones, without dropout."""
    encoder.eval()
    with torch.no_grad():
        full = encoder(x, valid)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = encoder(x, valid)
    encoder.train()
    return float((half.float() - full).norm() / full.norm())


def step(
    encoder: TransformerEncoder, x: torch.Tensor, valid: torch.Tensor, half: bool, explicit: int
) -> None:
    """One forward and backward pass; `explicit`: attention is written out up to so many frames."""
    before = transformer._EXPLICIT_FRAMES
    transformer._EXPLICIT_FRAMES = explicit
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            frames = encoder(x, valid)
        frames.float().square().mean().backward()
    finally:
        transformer._EXPLICIT_FRAMES = before


def stack_rows(layers: int, frames: int, repetitions: int) -> tuple[list[Row], float]:
    """Ratios for utterances of so many frames, and bfloat16's error."""
    torch.manual_seed(0)
    encoder = TransformerEncoder(TransformerConfiguration(layers=layers, layerdrop=0.0))
    x = torch.randn(UTTERANCES, frames, encoder.configuration.dim)
    valid = torch.ones(UTTERANCES, frames, dtype=torch.bool)
    valid[1, frames // 2 :] = False
    error = precision_error(encoder, x, valid)
    limit = transformer._EXPLICIT_FRAMES
    ways: dict[str, Callable[[], None]] = {
        "float32": partial(step, encoder, x, valid, False, limit),
        "bfloat16": partial(step, encoder, x, valid, True, limit),
        "fused": partial(step, encoder, x, valid, True, 0),
    }
    seconds = interleaved(ways, repetitions=repetitions)
    shape = f"{layers} x 768, T = {frames}"
    target = TARGET if has_fast_bfloat16() else None
    note = "" if target else "no bfloat16 kernels for this processor"
    return [
        Row(f"bfloat16 over float32, {shape}", median_ratio(seconds, "float32", "bfloat16"), target,
            note=note),
        Row(f"attention written out over fused, bfloat16, {shape}",
            median_ratio(seconds, "fused", "bfloat16")),
    ], error  # fmt: skip


def nano_row(repetitions: int) -> Row:
    """Frames of the nano preset, forward and backward, in a second of one core."""
    torch.manual_seed(0)
    model = Hubert(PRESETS["nano"])
    lengths = {"waveform": torch.full((8,), 64000)}
    batch = Batch([""] * 8, {"waveform": torch.randn(8, 64000)}, lengths)

    def way() -> None:
        model(batch).values.square().mean().backward()

    count = int(model.frame_count(lengths).sum())
    seconds = interleaved({"nano": way}, {"nano": count}, repetitions)["nano"]
    return Row("nano, forward and backward", 1 / statistics.median(seconds), unit=" frames/s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 layers, T = 200, 3 repetitions")
    quick = parser.parse_args().quick
    layers, lengths, repetitions = (2, (200,), 3) if quick else (12, (200, 400), 5)
    rows: list[Row] = []
    errors = []
    with one_thread():
        for frames in lengths:
            ratios, error = stack_rows(layers, frames, repetitions)
            rows += ratios
            errors.append(error)
        rows.append(nano_row(repetitions))
    rows.append(Row("bfloat16 error, relative", max(errors), 0.05, unit="", at_least=False))
    print_rows("encoder (CPU time, one core)", rows)
    return 0 if max(errors) <= 0.05 else 1


if __name__ == "__main__":
    sys.exit(main())
