"""A source-filter synthesiser: from parameters at 200 Hz to a waveform at 16 kHz.

The voiced source is a train of glottal pulses, each the impulse response of the causal-anticausal
linear model of Doval, d'Alessandro & Henrich (2003): an anticausal pole pair (the open phase) and
a causal pole (the return phase, spectral tilt). The vocal tract is a cascade of resonators (Klatt,
1980). Pulses and noise are shaped in the frequency domain, many at once, and overlap-added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from avaffect.core.streams import SAMPLE_RATE_HZ

FRAME_RATE = 200
HOP = SAMPLE_RATE_HZ // FRAME_RATE
PULSE_LENGTH = 512
# Samples of a pulse kept for its open phase, which precedes the closing of the glottis.
PULSE_LEAD = 160
NOISE_LENGTH = 256
# Bounds the memory of long utterances.
PULSES_AT_ONCE = 1024


@dataclass(frozen=True)
class Parameters:
    """The course of an utterance; arrays of T frames at FRAME_RATE.

    pitch                (T,) Hz, defined in unvoiced frames too
    voicing, aspiration, frication   (T,) linear amplitudes
    formants, bandwidths (T, K) Hz
    frication_centre, frication_width (T,) Hz
    tilt                 (T,) dB lost at 3 kHz by the return phase of the glottal pulse, > 0
    roughness            (T,) standard deviation of the period, relative
    open_quotient, asymmetry  of the glottal pulse: open phase / period, opening / open phase
    """

    pitch: np.ndarray
    voicing: np.ndarray
    aspiration: np.ndarray
    frication: np.ndarray
    formants: np.ndarray
    bandwidths: np.ndarray
    frication_centre: np.ndarray
    frication_width: np.ndarray
    tilt: np.ndarray
    roughness: np.ndarray
    open_quotient: float
    asymmetry: float


def synthesise(parameters: Parameters, random: np.random.Generator) -> np.ndarray:
    """The waveform, (T * HOP,) float64 at SAMPLE_RATE_HZ, of arbitrary level."""
    return _voiced(parameters, random) + _noise(parameters, random)


def pulse_times(parameters: Parameters, random: np.random.Generator) -> np.ndarray:
    """Instants of glottal closure in seconds, (P,), perturbed by jitter."""
    phase = np.cumsum(parameters.pitch) / FRAME_RATE
    frames = np.arange(len(phase)) / FRAME_RATE
    times = np.interp(np.arange(1, int(phase[-1]) + 1), phase, frames)
    period = 1.0 / np.interp(times, frames, parameters.pitch)
    deviation = np.interp(times, frames, parameters.roughness)
    return times + random.normal(0.0, 1.0, len(times)) * deviation * period


def resonators(frequencies: np.ndarray, bandwidths: np.ndarray) -> np.ndarray:
    """Denominators of cascades of K digital resonators with unit gain at 0 Hz.

    frequencies, bandwidths: (P, K) Hz. Returns (P, 2 K + 1) polynomials in z^-1.
    """
    radius = np.exp(-np.pi * bandwidths / SAMPLE_RATE_HZ)
    first = -2 * radius * np.cos(2 * np.pi * frequencies / SAMPLE_RATE_HZ)
    second = radius**2
    gain = 1 + first + second
    polynomial = np.ones((len(radius), 1))
    for k in range(radius.shape[1]):
        factor = np.stack([np.ones(len(radius)), first[:, k], second[:, k]], axis=1)
        polynomial = _multiply(polynomial, factor / gain[:, k, None])
    return polynomial


def _multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of polynomials row by row."""
    product = np.zeros((len(left), left.shape[1] + right.shape[1] - 1))
    for power in range(right.shape[1]):
        product[:, power : power + left.shape[1]] += left * right[:, power, None]
    return product


def _voiced(parameters: Parameters, random: np.random.Generator) -> np.ndarray:
    count = len(parameters.pitch) * HOP
    times = pulse_times(parameters, random)
    frames = np.arange(len(parameters.pitch)) / FRAME_RATE
    shimmer = (
        2 * random.normal(0.0, 1.0, len(times)) * np.interp(times, frames, parameters.roughness)
    )
    amplitude = np.interp(times, frames, parameters.voicing) * np.exp(shimmer)
    sounding = amplitude > 1e-4
    times, amplitude = times[sounding], amplitude[sounding]
    padded = np.zeros(count + 2 * PULSE_LENGTH)
    for start in range(0, len(times), PULSES_AT_ONCE):
        part = slice(start, start + PULSES_AT_ONCE)
        _add_pulses(padded, parameters, frames, times[part], amplitude[part])
    return padded[PULSE_LENGTH : PULSE_LENGTH + count]


def _add_pulses(
    padded: np.ndarray,
    parameters: Parameters,
    frames: np.ndarray,
    times: np.ndarray,
    amplitude: np.ndarray,
) -> None:
    position = times * SAMPLE_RATE_HZ
    whole = np.floor(position).astype(int)
    nearest = np.clip(np.rint(times * FRAME_RATE).astype(int), 0, len(frames) - 1)
    pitch = np.interp(times, frames, parameters.pitch)
    causal = _multiply(
        resonators(parameters.formants[nearest], parameters.bandwidths[nearest]),
        _return_phase(np.interp(times, frames, parameters.tilt)),
    )
    opening = _open_phase(pitch, parameters.open_quotient, parameters.asymmetry)
    frequency = fft.rfftfreq(PULSE_LENGTH) * 2 * np.pi
    delay = (position - whole)[:, None] + PULSE_LEAD
    spectrum = amplitude[:, None] * (1 - np.exp(-1j * frequency)) * np.exp(-1j * frequency * delay)
    spectrum /= fft.rfft(causal, PULSE_LENGTH) * np.conj(fft.rfft(opening, PULSE_LENGTH))
    pulses = fft.irfft(spectrum, PULSE_LENGTH)
    for start, pulse in zip(whole + PULSE_LENGTH - PULSE_LEAD, pulses):
        # Jitter may carry a pulse at the very end past the padding.
        room = padded[start : start + PULSE_LENGTH]
        room += pulse[: len(room)]


def _return_phase(tilt: np.ndarray) -> np.ndarray:
    """(P, 2): the pole that loses `tilt` dB at 3 kHz (Doval et al. 2003, section 3)."""
    cutoff = 3000.0 / np.sqrt(10 ** (tilt / 10) - 1)
    pole = np.exp(-2 * np.pi * cutoff / SAMPLE_RATE_HZ)
    return np.stack([np.ones_like(pole), -pole], axis=1) / (1 - pole)[:, None]


def _open_phase(pitch: np.ndarray, open_quotient: float, asymmetry: float) -> np.ndarray:
    """(P, 3): the pole pair of the open phase, to be read backwards in time.

    Poles a +- i b with b = pi / (Oq T0) and a = -b / tan(pi alpha) (Doval et al. 2003, eq. 6).
    Scaled so that the excitation at closure does not depend on pitch.
    """
    angle = np.pi * pitch / open_quotient / SAMPLE_RATE_HZ
    decay = np.exp(angle / np.tan(np.pi * asymmetry))
    return np.stack([np.ones_like(angle), -2 * decay * np.cos(angle), decay**2], axis=1)


def _noise(parameters: Parameters, random: np.random.Generator) -> np.ndarray:
    """Aspiration through the vocal tract and frication through a band, frame by frame."""
    count = len(parameters.pitch)
    bins = NOISE_LENGTH // 2 + 1
    hertz = np.arange(bins) * SAMPLE_RATE_HZ / NOISE_LENGTH
    tract = 1 / np.abs(
        fft.rfft(resonators(parameters.formants, parameters.bandwidths), NOISE_LENGTH)
    )
    distance = (hertz - parameters.frication_centre[:, None]) / parameters.frication_width[:, None]
    # Radiation and turbulence tilt the aspiration towards high frequencies.
    gain = parameters.aspiration[:, None] * tract * (hertz / 1000.0) ** 0.5
    gain += parameters.frication[:, None] * np.exp(-0.5 * distance**2)
    noise = random.standard_normal((count, 2 * bins)).view(np.complex128)
    window = np.hanning(NOISE_LENGTH + 1)[:-1]
    pieces = fft.irfft(noise * gain, NOISE_LENGTH) * window
    padded = np.zeros(count * HOP + NOISE_LENGTH)
    for frame, piece in enumerate(pieces):
        padded[frame * HOP : frame * HOP + NOISE_LENGTH] += piece
    return padded[NOISE_LENGTH // 2 : NOISE_LENGTH // 2 + count * HOP]
