"""Recordings that declare another length than they have, and ends of Ogg files."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import soundfile

from avaffect.core.streams import SAMPLE_RATE_HZ
from cases import Case, Seen
from cases.voices import LENGTH_S, decoded, shared, speech


def _kept(path: Path) -> Seen:
    """The whole of 1.9 s, codecs' edges aside."""
    samples, words = decoded(path)
    return Seen(words, samples is not None and abs(len(samples) / SAMPLE_RATE_HZ - LENGTH_S) < 0.1)


def _truncated(path: Path) -> Seen:
    samples, words = decoded(path)
    return Seen(words, samples is None and words.startswith("truncated"))


# Where each header has the size of the sound, after which word, and how it is packed.
FIELDS = {
    "WAV": (b"data", 4, "<I"), "WAVEX": (b"data", 4, "<I"), "AU": (b".snd", 8, ">I"),
    "W64": (b"data", 16, "<Q"), "CAF": (b"data", 4, ">Q"), "RF64": (b"ds64", 16, "<Q"),
    "AIFF": (b"SSND", 4, ">I"),
}  # fmt: skip


def _sized(
    folder: Path,
    size: int,
    there_s: float = LENGTH_S,
    rate: int = SAMPLE_RATE_HZ,
    kind: str = "WAV",
) -> Path:
    """A file of 16 bits whose header declares `size` bytes of sound."""
    path = folder / f"sized.{kind.lower()}"
    soundfile.write(path, speech(there_s, rate), rate, "PCM_16", format=kind)
    raw = bytearray(path.read_bytes())
    word, after, packing = FIELDS[kind]
    struct.pack_into(packing, raw, raw.index(word) + after, size)
    if kind == "AIFF":
        struct.pack_into(">I", raw, raw.index(b"COMM") + 10, size // 2)
    path.write_bytes(raw)
    return path


def _halved(folder: Path, kind: str) -> Path:
    path = folder / f"halved.{kind.lower()}"
    soundfile.write(path, speech(2 * LENGTH_S), SAMPLE_RATE_HZ, "PCM_16", format=kind)
    return _cut(path, 0.5)


class _Pipe(io.RawIOBase):
    """Somewhere to write that one cannot go back in."""

    def __init__(self) -> None:
        self.bytes = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.bytes += bytes(data)
        return len(data)


def _piped(folder: Path, kind: str, codec: str, rate: int = SAMPLE_RATE_HZ) -> Path:
    """What FFmpeg writes into a pipe."""
    pipe, path = _Pipe(), folder / f"piped.{kind}"
    options = {"movflags": "frag_keyframe+empty_moov"} if kind == "mp4" else {}
    with av.open(pipe, "w", format=kind, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        sampler = av.AudioResampler(stream.format.name, "mono", rate, stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(speech(rate=rate)[None], "flt", "mono")
        frame.sample_rate = rate
        for part in sampler.resample(frame) + sampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    path.write_bytes(pipe.bytes)
    return path


def _cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    return path


def _ogg(folder: Path, codec: str = "libopus", marked: bool = True, pages: int = 2) -> Path:
    """An Ogg of some pages, with the mark of its last page or without."""
    path = folder / "a.ogg"
    subtype = {"libopus": "OPUS", "vorbis": "VORBIS"}[codec]
    rate = 48000 if codec == "libopus" else SAMPLE_RATE_HZ
    soundfile.write(path, speech(LENGTH_S * pages, rate), rate, format="OGG", subtype=subtype)
    raw = bytearray(path.read_bytes())
    if not marked:
        start = raw.rindex(b"OggS")
        raw[start + 5] &= ~4
        raw[start + 22 : start + 26] = bytes(4)
        raw[start + 22 : start + 26] = ogg_checksum(bytes(raw[start:])).to_bytes(4, "little")
        path.write_bytes(raw)
    return path


def ogg_checksum(page: bytes) -> int:
    """As the specification has it, bit by bit."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def _ogg_cut(folder: Path, end: int, **kind) -> Path:
    """Without the last bytes (end < 0), or up to this many bytes after the last page's start."""
    path = _ogg(folder, **kind)
    raw = path.read_bytes()
    path.write_bytes(raw[:end] if end < 0 else raw[: raw.rindex(b"OggS") + end])
    return path


PLACEHOLDERS = "arecord.wav", "intmax.wav", "intmax_less_36.wav", "pipe_ffmpeg.avi", \
    "pipe_sox.aifc", "pipe_sox.aiff", "tts.wav", "uintmax_less_36.wav"  # fmt: skip
SIZES = {"0x7FFFFF00": 0x7FFFFF00, "2^32 - 44": 2**32 - 44, "2^30": 1 << 30, "10^9": 10**9,
         "0xFFFFFF00": 0xFFFFFF00, "1234567890": 1234567890, "0": 0}  # fmt: skip
KEPT, CUT = "kept: 1.9 s", "truncated"


def _sizes() -> list[Case]:
    kind = "wav-placeholder-size"
    cases = [shared(kind, name, KEPT, _kept) for name in PLACEHOLDERS]
    for name, size in SIZES.items():
        cases.append(Case(kind, f"wav of {name}", KEPT, lambda f, s=size: _kept(_sized(f, s))))
    for name in ("AU", "W64", "CAF", "RF64", "AIFF", "WAVEX"):
        wide = FIELDS[name][2].endswith("Q")
        for size in (
            0,
            2**31 - 1,
            2**32 - 37,
            2 * 10**9,
            *([2**63 - 1, 2**64 - 1] if wide else ()),
        ):
            measure = lambda f, s=size, n=name: _kept(_sized(f, s, kind=n))  # noqa: E731
            cases.append(Case(kind, f"{name.lower()} of {size}", KEPT, measure))
        measure = lambda f, n=name: _truncated(_halved(f, n))  # noqa: E731
        cases.append(Case(kind, f"half of a {name.lower()}", CUT, measure))
    for name, codec in {"wav": "pcm_s16le", "avi": "pcm_s16le", "au": "pcm_s16be",
                        "caf": "pcm_s16be", "w64": "pcm_s16le", "aiff": "pcm_s24be",
                        "matroska": "pcm_s16le", "flac": "flac", "mp4": "aac"}.items():  # fmt: skip
        measure = lambda f, n=name, c=codec: _kept(_piped(f, n, c))  # noqa: E731
        cases.append(Case(kind, f"{name} through a pipe", KEPT, measure))
    whole = round(LENGTH_S * SAMPLE_RATE_HZ) * 2
    for name, size, rate in (("twice what is there", 2 * whole, SAMPLE_RATE_HZ),
                             ("one second more", whole + 32000, SAMPLE_RATE_HZ),
                             ("an hour", 115_200_000, SAMPLE_RATE_HZ),
                             ("an hour at 44.1 kHz", 317_520_000, 44100),
                             ("eight hours", 921_600_000, SAMPLE_RATE_HZ)):  # fmt: skip
        measure = lambda f, s=size, r=rate: _truncated(_sized(f, s, rate=r))  # noqa: E731
        cases.append(Case(kind, f"wav of {name}", CUT, measure))
    return cases


def _chained(folder: Path) -> Seen:
    """Two streams one after the other in a file, neither with a mark."""
    parts = b"".join(_ogg(folder, "vorbis", False, 1).read_bytes() for _ in range(2))
    path = folder / "chained.ogg"
    path.write_bytes(parts)
    samples, words = decoded(path)
    right = samples is not None and abs(len(samples) / SAMPLE_RATE_HZ - 2 * LENGTH_S) < 0.1
    return Seen(words, right)


def _tagged(folder: Path) -> Seen:
    """Something that is no page follows the last one."""
    path = _ogg(folder, marked=False, pages=1)
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    return _kept(path)


def _oggs() -> list[Case]:
    kind = "ogg-without-eos"
    cases = [shared(kind, name, KEPT, _kept) for name in ("opus.ogg", "opus_unmarked.ogg")]
    for codec in ("libopus", "vorbis"):
        unmarked = lambda f, c=codec: _kept(_ogg(f, c, False, 1))  # noqa: E731
        cases.append(Case(kind, f"{codec}, no mark", KEPT, unmarked))
        for name, end in (("last byte", -1), ("half of the last page", 40), ("in its head", 10),
                          ("one letter of the next page", 1)):  # fmt: skip
            measure = lambda f, e=end, c=codec: _truncated(_ogg_cut(f, e, codec=c))  # noqa: E731
            cases.append(Case(kind, f"{codec}, cut: {name}", CUT, measure))
    return [
        *cases,
        Case(kind, "two streams, no mark", "kept: 3.8 s", _chained),
        Case(kind, "a tag after the end", KEPT, _tagged),
    ]


CASES: list[Case] = [*_sizes(), *_oggs()]
