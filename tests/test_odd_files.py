"""Sound files that are well but odd, and odd ones that are not: what headers say wrongly, what
follows the end, and pages that were broken on the way."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from avaffect.data.decoding.audio import DecodedAudio, decode_audio
from avaffect.data.decoding.headers import read_header
from avaffect.data.decoding.ogg import LARGEST_PAGE, broken_pages
from avaffect.data.decoding.tracks import demuxed
from avaffect.data.decoding.unusable import Unusable

RATE = 16_000
SECONDS = 3.0
TONE = 0.3 * np.sin(2 * np.pi * 300 * np.arange(int(SECONDS * RATE)) / RATE)
PCM = np.rint(TONE * 32767).astype("<i2").tobytes()
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf62.12.102\0"


def _sound(path: Path) -> DecodedAudio:
    with path.with_suffix(".raw").open("wb") as file:
        return decode_audio(path, file)


def _lost(path: Path) -> str:
    with pytest.raises(Unusable) as error:
        _sound(path)
    return error.value.reason


def _encoded(path: Path, codec: str, seconds: float = SECONDS, format_: str | None = None) -> bytes:
    """A tone, beside pictures of 5 s where the file is a Flash video."""
    with av.open(str(path), "w", format=format_) as container:
        rate = 22_050 if path.suffix == ".flv" else RATE
        stream = container.add_stream(codec, rate=rate, layout="mono")
        pictures = container.add_stream("flv1", rate=10) if path.suffix == ".flv" else None
        tone = TONE[: int(seconds * RATE)].astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(stream.format.name, "mono", rate, stream.frame_size or 1024)
        packets = [
            packet
            for source in (frame, None)
            for part in resampler.resample(source)
            for packet in stream.encode(part)
        ] + stream.encode(None)
        if pictures is not None:
            pictures.width = pictures.height = 32
            for number in range(50):
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
                picture.pts, picture.time_base = number, Fraction(1, 10)
                packets += pictures.encode(picture)
            packets += pictures.encode(None)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path.read_bytes()


def _wav(data: bytes, size: int, byte_rate: int, after: bytes = b"") -> bytes:
    head = struct.pack("<IHHIIHH", 16, 1, 1, RATE, byte_rate, 2, 16)
    body = b"WAVEfmt " + head + b"data" + struct.pack("<I", size) + data + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("byte_rate", [0, RATE, 4 * RATE])
def test_the_byte_rate_of_a_header_is_not_believed(tmp_path: Path, byte_rate: int) -> None:
    """A writer that forgot channels or bits: half of the true one made whole files look cut."""
    path = tmp_path / "a.wav"
    path.write_bytes(_wav(PCM, len(PCM), byte_rate))
    assert _sound(path).samples == len(TONE)
    path.write_bytes(_wav(PCM[: len(PCM) // 2], len(PCM), byte_rate))
    assert _lost(path) == "truncated"


@pytest.mark.parametrize("codec", ["adpcm_ms", "adpcm_ima_wav"])
def test_adpcm_that_was_cut_is_told(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.wav"
    whole = _encoded(path, codec)
    assert abs(_sound(path).samples / RATE - SECONDS) < 0.1
    path.write_bytes(whole[: len(whole) // 2])
    assert _lost(path) == "truncated"


def test_text_behind_no_samples_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav(b"", 0, 2 * RATE, LIST))
    assert _lost(path) == "empty"
    path.write_bytes(_wav(PCM, 0, 2 * RATE))
    assert _sound(path).samples == len(TONE)
    path = tmp_path / "a.aiff"
    soundfile.write(path, TONE[:0], RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes() + b"ANNO" + struct.pack(">I", 16) + b"recorded by hand")
    assert _lost(path) == "empty"


@pytest.mark.parametrize("kind", ["caf", "w64"])
def test_a_chunk_longer_than_any_file(tmp_path: Path, kind: str) -> None:
    """The place of the next one is none; the run stopped there."""
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, TONE, RATE, subtype="PCM_16")
    whole = bytearray(path.read_bytes())
    at = 12 if kind == "caf" else 56
    whole[at : at + 8] = b"\x7f" * 8
    path.write_bytes(whole)
    assert read_header(path) is None
    assert _lost(path) == "unreadable"


@pytest.mark.parametrize("padding", [188 * b"\xff", bytes(1000), bytes(300_000)])
def test_padding_behind_a_transport_stream(tmp_path: Path, padding: bytes) -> None:
    """FFmpeg asks to be called again, by an error that a lack of memory has too."""
    path = tmp_path / "a.ts"
    whole = _encoded(path, "mp2")
    samples = _sound(path).samples
    path.write_bytes(whole + padding)
    assert _sound(path).samples == samples


@pytest.mark.parametrize(
    ("name", "codec", "layout", "channels", "level"),
    [
        ("a.m4a", "aac", "7.1", 8, None),
        ("a.wv", "wavpack", "7.1", 8, None),
        ("a.wv", "wavpack", "12 channels", 12, 1 / 12),
        ("a.m4a", "aac", "hexadecagonal", 16, 1 / 16),
    ],
)
def test_channels_in_planes_of_their_own(
    tmp_path: Path, name: str, codec: str, layout: str, channels: int, level: float | None
) -> None:
    """Of eight planes or more PyAV reads beyond the last, and the process ended."""
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        sound = np.zeros((len(TONE), channels), np.float32)
        sound[:, 0] = TONE
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(stream.format.name, layout, RATE, stream.frame_size or 1024)
        for source in (frame, None):
            for part in resampler.resample(source):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    found = _sound(path)
    assert abs(found.samples / RATE - SECONDS) < 0.1
    if level is not None:
        assert found.peak / 32768 == pytest.approx(0.3 * level, rel=0.1)
    assert found.peak > 300


def test_tracks_that_begin_on_the_way_are_named() -> None:
    class Changing:
        size = 188

        def demux(self, *streams: object) -> Iterator[str]:
            yield "packet"
            raise IndexError("list index out of range")

    packets = demuxed(Changing())
    assert next(packets) == "packet"
    with pytest.raises(Unusable, match="tracks change within"):
        next(packets)


def test_what_follows_an_mp3_does_not_make_it_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    whole = _encoded(path, "libmp3lame")
    assert abs(_sound(path).samples / RATE - SECONDS) < 0.1
    tag = b"APETAGEX" + struct.pack("<4I8x", 2000, 20_032, 0, 1 << 31)
    for after in (bytes(2000), bytes(20_000) + tag, b"TAG" + bytes(125)):
        path.write_bytes(whole + after)
        assert abs(_sound(path).samples / RATE - SECONDS) < 0.1
    path.write_bytes(whole[: len(whole) * 4 // 5])
    assert _lost(path) == "truncated"


def test_a_track_of_a_flash_video_may_end_early(tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    whole = _encoded(path, "libmp3lame", seconds=1.5)
    assert abs(_sound(path).samples / RATE - 1.5) < 0.2
    path.write_bytes(whole[: len(whole) // 4])
    assert _lost(path) == "truncated"


def test_pages_of_ogg_that_are_broken_are_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.tile(TONE, 2), RATE, format="OGG", subtype="VORBIS")
    whole = bytearray(path.read_bytes())
    assert _sound(path).samples == 2 * len(TONE)
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    assert _lost(path) == "damaged"


def test_pages_are_counted_over_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, TONE, RATE, format="OGG", subtype="VORBIS")
    one = path.read_bytes()
    (_, pages) = broken_pages(path, 0)
    assert pages == one.count(b"OggS")
    many = bytearray(one * 30)
    for number in (3, 14, 29):
        many[number * len(one) + len(one) // 2] ^= 1
    path.write_bytes(many)
    for size in (LARGEST_PAGE, LARGEST_PAGE + 1, 1 << 20):
        monkeypatch.setattr("avaffect.data.decoding.ogg.READ_BYTES", size)
        assert broken_pages(path, size) == (3, 30 * pages)


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nsecret.wav\n#EXT-X-ENDLIST\n",
    "a.ffconcat": "ffconcat version 1.0\nfile 'secret.wav'\n",
    "concat.wav": "ffconcat version 1.0\nfile 'secret.wav'\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\n"
    "c=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "a.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    "<BaseURL>secret.wav</BaseURL></Period></MPD>",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_opens_no_other_file(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "secret.wav", TONE, RATE)
    (tmp_path / name).write_text(PLAYLISTS[name], encoding="utf-8")
    with pytest.raises(Unusable, match="playlist"):
        _sound(tmp_path / name)
