"""Channels that cancel each other when mixed: detection, and choice of a channel.

If one of two channels is inverted (a miswired cable), their mean loses the speech and keeps the
channels' own noise. The energy of a mix is compared with that of a mix of independent channels, in
cells of a quarter of a second and an octave:

    kept = |sum w x|^2 / sum |w x|^2        for two channels: 2 equal, 1 independent, 0 inverted

The value is above 1 for ordinary stereo, and about 1 if speakers sit far to the side. Channels
cancel if one of these conditions holds, for the energy or the energy after pre-emphasis:

- octaves with a share of LEAST_OCTAVES of the energy keep less than LEAST_KEPT, with cells weighted
  by their energy, as the channels' own noise is in the weaker cells;
- quarters of a second with a share of LEAST_PARTS keep less than PART_KEPT;
- cells with a share of LEAST_CELLS keep less than CELL_KEPT (channels inverted in bands).

With microphones about 0.2 m apart, single octaves cancel; therefore adjacent octaves are required.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FRAME_S = 0.064
# Sampling rate of the analysis.
ENOUGH_HZ = 16000
FRAMES = 4
# Number of quarters of a second, from the start, that are all analysed.
ALL_GROUPS = 60
# Below is hum, which channels share also if the speech cancels.
EDGES_HZ = (150, 300, 600, 1200, 2400, 4800)
EMPHASIS = 0.97
LEAST_KEPT = 0.5
LEAST_OCTAVES = 0.25
PART_KEPT = 0.25
CELL_KEPT = 0.15
LEAST_PARTS = 0.03
LEAST_CELLS = 0.15
# Cells that keep more are evidence against an inversion of the whole recording.
ALIKE = 1.25
LEAST_ALIKE = 0.05


@dataclass(frozen=True)
class Verdict:
    """cancel: whether the channels cancel; throughout: whether they are equal nowhere; energies: of
    each channel above 300 Hz, for comparison; shares: of the channel's whole energy, about."""

    cancel: bool
    throughout: bool
    energies: tuple[float, ...]
    shares: tuple[float, ...]


class Coherence:
    """Analysis of channels, block by block, in memory of constant size.

    weights: (C,) of the channels in the mix.
    """

    def __init__(self, weights: np.ndarray, rate: int) -> None:
        self.weights = weights
        self._step = max(rate // ENOUGH_HZ, 1)
        self.length = 1 << max(round(np.log2(rate / self._step * FRAME_S)), 4)
        self._window = np.hanning(self.length).astype(np.float32)
        hertz = np.fft.rfftfreq(self.length, 1 / rate)
        edges = [edge for edge in EDGES_HZ if edge < 0.45 * rate] or [0]
        self._edges = np.searchsorted(hertz, edges)
        raised = np.abs(1 - EMPHASIS * np.exp(-2j * np.pi * hertz / rate)) ** 2
        self._raised = raised.astype(np.float32)
        # A part of a long recording is analysed, a smaller one for more channels.
        self._every = len(weights)
        self._groups = 0
        self._waiting: list[np.ndarray] = []
        self._count = 0
        # Of each channel, above 300 Hz and in all.
        self._energies = np.zeros((2, len(weights)))
        # Sums over cells, by energy and with high frequencies raised; see `_analyse`.
        self._totals = np.zeros((3, 2))
        self._octaves = np.zeros((4, len(edges)))

    def look(self, block: np.ndarray) -> None:
        """Add a block (C, n) float32."""
        block = self._thinned(block)
        self._waiting.append(block)
        self._count += block.shape[1]
        group = self.length * FRAMES
        if self._count < 4 * group:
            return
        whole = np.concatenate(self._waiting, axis=1)
        ready = self._count // group * group
        self._analyse(whole[:, :ready])
        self._waiting, self._count = [whole[:, ready:]], self._count - ready

    def verdict(self) -> Verdict:
        """The verdict on all blocks, with the last, incomplete one."""
        if self._count:
            whole = np.concatenate(self._waiting, axis=1)
            self._analyse(np.pad(whole, ((0, 0), (0, -self._count % (self.length * FRAMES)))))
            self._waiting, self._count = [], 0
        parts, cells, alike = self._totals
        kept, squares, *energies = self._octaves
        whole = np.sum(energies, 1)
        above, all_ = self._energies
        energies_of = tuple(above), tuple(above / np.maximum(all_, 1e-30))
        if not whole.all():
            return Verdict(False, False, *energies_of)
        octaves = _adjacent(kept < LEAST_KEPT * squares)
        cancel = (
            (np.sum(energies, 1, where=octaves) > LEAST_OCTAVES * whole)
            | (parts > LEAST_PARTS * whole)
            | (cells > LEAST_CELLS * whole)
        )
        throughout = alike < LEAST_ALIKE * whole
        return Verdict(bool(cancel.any()), bool(throughout.all()), *energies_of)

    def _analyse(self, samples: np.ndarray) -> None:
        """samples: (C, G * FRAMES * length)."""
        groups = samples.reshape(len(samples), -1, FRAMES, self.length)
        number = self._groups + np.arange(groups.shape[1])
        self._groups += len(number)
        groups = groups[:, (number < ALL_GROUPS) | (number % self._every == 0)]
        if not groups.size:
            return
        spectra = np.fft.rfft(groups * self._window)
        mixed = sum(weight * spectrum for weight, spectrum in zip(self.weights, spectra))
        channels = [self._cells(spectrum) for spectrum in spectra]
        kept = self._cells(mixed)
        independent = sum(w**2 * cells for w, cells in zip(self.weights, channels))
        self._energies += (
            [cells[0, :, self._edges[:2].size - 1 :].sum() for cells in channels],
            # Parseval, for half of the spectrum and the energy of the window.
            (groups**2).sum((1, 2, 3), dtype=float) * (self.length * 3 / 16),
        )
        part, part_kept = independent.sum(2), kept.sum(2)
        low = _adjacent(kept < CELL_KEPT * independent)
        self._totals += (
            np.where((part_kept < PART_KEPT * part).all(0), part, 0).sum(1),
            np.where(low, independent, 0).sum((1, 2)),
            np.where(kept > ALIKE * independent, independent, 0).sum((1, 2)),
        )
        self._octaves += (
            (kept[0] * independent[0]).sum(0), (independent[0] ** 2).sum(0), *independent.sum(1)
        )  # fmt: skip

    def _cells(self, spectra: np.ndarray) -> np.ndarray:
        """Energy (2, G, octaves) of (G, FRAMES, K): plain, and with high frequencies raised."""
        power = (spectra.real**2 + spectra.imag**2).sum(1)
        return np.stack(
            [
                np.add.reduceat(p, self._edges, 1).astype(float)
                for p in (power, power * self._raised)
            ]
        )

    def _thinned(self, block: np.ndarray) -> np.ndarray:
        """The block at a lower rate, by sums of adjacent samples; aliasing is equal in all
        channels."""
        step = self._step
        if step == 1:
            return block
        whole = block[:, : block.shape[1] // step * step]
        total = whole[:, ::step]
        for first in range(1, step):
            total = total + whole[:, first::step]
        return total


def _adjacent(octaves: np.ndarray) -> np.ndarray:
    """True values with a true neighbour on the last axis."""
    padded = np.pad(octaves, [(0, 0)] * (octaves.ndim - 1) + [(1, 1)])
    return octaves & (padded[..., 2:] | padded[..., :-2])
