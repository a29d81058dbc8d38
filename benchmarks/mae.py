"""What masking saves in pre-training (`pretrain-mae`), its memory, and what is read of a store.

    python -m benchmarks.mae [--quick] [--repetitions N]

A step is forward and backward; with a quarter of the tokens in the encoders, or with all of them.
Memory of a base step is counted on tensors without values: weights, gradients, Adam's two moments,
and what the backward pass needs (each storage once).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from avaffect.core.streams import FACE
from avaffect.data.dataset import Column, dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models import cavmae, cavmae_decoder
from avaffect.models.cavmae import CAVMAE, LETTERS, Block
from avaffect.objectives.masked_autoencoding import (
    MaskedAutoencoding,
    MaskedAutoencodingConfiguration,
)
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

TIME, BATCH, MIB = 0.45, 8, 2**20
MASKED, WHOLE, RECOMPUTED = "masked", "all tokens", "recomputed"


def objective_of(preset: str, device: str = "cpu") -> MaskedAutoencoding:
    """As `pretrain-mae` makes it."""
    with torch.device(device):
        decoder = cavmae_decoder.PRESETS[preset]
        encoder = CAVMAE(cavmae.PRESETS[preset])
        return MaskedAutoencoding(encoder, MaskedAutoencodingConfiguration(decoder)).train()


def loss_of(objective: MaskedAutoencoding, count: int, device: str = "cpu") -> Tensor:
    """Of random patches of so many utterances; of every value that a loss reads."""
    c = objective.encoder.configuration
    patches = {s: torch.randn(count, c.patch_count(s), c.patch_values(s), device=device)
               for s in LETTERS}  # fmt: skip
    noise = {s: torch.rand(count, c.patch_count(s), device=device) for s in LETTERS}
    found = objective.reconstruct(patches, noise)
    parts = [found.predicted[s] - found.wanted[s] for s in LETTERS]
    alone = [found.embedded[s].mean(dim=1) for s in LETTERS]
    return torch.stack([x.square().mean() for x in [*parts, *alone]]).sum()


def encoders_alone(objective: MaskedAutoencoding, count: int) -> Tensor:
    """The loss of encoders without a decoder."""
    c, encoder = objective.encoder.configuration, objective.encoder
    found = []
    for stream, share in objective.shares.items():
        patches = torch.randn(count, c.patch_count(stream), c.patch_values(stream))
        places = torch.arange(int(c.patch_count(stream) * (1 - share))).expand(count, -1)
        found.append(encoder.encode(stream, patches, places))
    return encoder.join(torch.cat(found, dim=1)).square().mean()


def times(preset: str, repetitions: int) -> list[Row]:
    objective = objective_of(preset)

    def step(share: float, loss: Callable[[MaskedAutoencoding, int], Tensor]) -> None:
        objective.shares = dict.fromkeys(LETTERS, share)
        loss(objective, 1).backward()

    rows = []
    for name, loss, target in (
        ("a step", loss_of, TIME), ("encoders alone", encoders_alone, TIME)
    ):  # fmt: skip
        ways = {
            MASKED: lambda loss=loss: step(0.75, loss),
            WHOLE: lambda loss=loss: step(0.0, loss),
        }
        seconds = interleaved(ways, repetitions=repetitions)
        middle = [sorted(found)[len(found) // 2] for found in seconds.values()]
        rows.append(Row(f"{preset}: {name}, masked / all tokens",
                        median_ratio(seconds, MASKED, WHOLE), target, at_least=False,
                        note=" against ".join(f"{s:.2f}" for s in middle) + " s"))  # fmt: skip
    return rows


def recomputing(preset: str, repetitions: int) -> Row:
    """The price of --recompute in time."""
    objective = objective_of(preset)

    def step(recompute: bool) -> None:
        objective.encoder.recompute = objective.decoder.recompute = recompute
        loss_of(objective, 1).backward()

    ways = {RECOMPUTED: lambda: step(True), MASKED: lambda: step(False)}
    seconds = interleaved(ways, repetitions=repetitions)
    ratio = median_ratio(seconds, RECOMPUTED, MASKED)
    return Row(f"{preset}: a step with --recompute / without", ratio)


def saved(recompute: bool, preset: str = "base", count: int = BATCH) -> float:
    """MiB that the backward pass of a step keeps, beside the weights."""
    objective = objective_of(preset, "meta")
    objective.encoder.recompute = objective.decoder.recompute = recompute
    weights = {id(parameter) for parameter in objective.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    def keep_input(tensor: Tensor) -> None:
        keep(tensor)

    if recompute:
        # What a block reads stays, where it is computed again.
        for block in objective.modules():
            if isinstance(block, Block):
                block.register_forward_pre_hook(lambda _, given: keep_input(given[0]))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(objective, count, "meta")
    return sum(t.untyped_storage().nbytes() for t in kept.values()) / MIB


def memory() -> list[Row]:
    weights = sum(p.numel() for p in objective_of("base", "meta").parameters()) * 4 / MIB
    found = {way: saved(way) for way in (False, True)}
    return [
        Row(f"base, batch {BATCH}: weights, gradients, Adam", 4 * weights, unit=" MiB"),
        Row("  kept for the backward pass", found[False], unit=" MiB"),
        Row("  likewise with --recompute", found[True], unit=" MiB"),
    ]


def pictures_read(seconds: int) -> list[Row]:
    """Eight pictures of a long video of 224 x 224 from a store, against all of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faces.h5"
        spec = StreamSpec(FACE, "uint8", 25.0, (224, 224, 3), made={})
        video = np.random.default_rng(0).integers(0, 256, (25 * seconds, 224, 224, 3), np.uint8)
        with store_writer(path, {}, streams={FACE: spec}) as writer:
            writer.add("long", streams={FACE: video})
        sampling = CAVMAE(cavmae.PRESETS["nano"]).sampling
        dataset = dataset_of([Store(path)], ["long"], [FACE], sampling=sampling, crop_s=16.0)
        whole = dataset_of([Store(path)], ["long"], [FACE])
        read: list[np.ndarray] = []
        original = Column.read

        def watched(column: Column, name: str, index: int) -> np.ndarray:
            read.append(original(column, name, index))
            return read[-1]

        with mock.patch.object(Column, "read", watched):
            batch = dataset.batch([0])
        mapped = isinstance(read[0].base, np.memmap) or not read[0].flags.owndata
        costs = []
        for given in (dataset, whole):
            start = time.process_time()
            for _ in range(5):
                given.batch([0])
            costs.append((time.process_time() - start) / 5)
    size = batch.streams[FACE].nbytes / MIB
    how = "mapped" if mapped else "COPIED"
    return [
        Row(f"bytes of a {seconds} s video in a batch", size, unit=" MiB",
            note=f"of {video.nbytes / MIB:,.0f} MiB, {how}"),
        Row("time of its batch / of all pictures", costs[0] / costs[1], 0.2, at_least=False),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="nano, one repetition")
    parser.add_argument("--presets", default="tiny,base", help="sizes whose steps are timed")
    parser.add_argument("--repetitions", type=int, default=3, help="of each step")
    given = parser.parse_args()
    presets, repetitions = given.presets.split(","), given.repetitions
    if given.quick:
        presets, repetitions = ["nano"], 1
    with one_thread():
        rows = [row for preset in presets for row in times(preset, repetitions)]
        rows += [recomputing(presets[0], repetitions), *memory()]
        rows += pictures_read(10 if given.quick else 60)
    print_rows("masked autoencoding, one utterance a step", rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
