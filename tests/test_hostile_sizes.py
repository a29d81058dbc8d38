"""Files that claim more than they hold: sizes are compared before memory is taken for them."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import torch
from chain import ROOT, invoke
from stores import make, redigested

from avaffect.core import checkpoint_header, plain_json
from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.decoding import audio, unusable, video
from avaffect.data.decoding.audio import decode_audio
from avaffect.data.decoding.unusable import Unusable
from avaffect.data.decoding.video import VideoCounts, read_pictures
from avaffect.data.feature_files import arrays
from avaffect.data.store.reader import Store
from avaffect.models import registry
from avaffect.models.outline import Outlines
from avaffect.training import checkpoint, unpickling
from avaffect.training.checkpoint import bounded

MORE_BYTES = 1 << 30


def _lacking(
    *arguments: object, stdin: Path | None = None, loaded: str = "h5py"
) -> subprocess.CompletedProcess[str]:
    """`avaffect ARGUMENTS...` in a process that may take a GiB more than with what is loaded."""
    code = f"""
import resource, sys
from avaffect.__main__ import main
import {loaded}
held = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + {MORE_BYTES},) * 2)
main()
"""
    with (stdin or Path(os.devnull)).open("rb") as source:
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], stdin=source, text=True,
            capture_output=True, timeout=100, cwd=ROOT, preexec_fn=_one_thread,
        )  # fmt: skip


def _one_thread() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.mark.parametrize("command", ["split", "seal", "adapt", "eval-class", "compare"])
def test_an_endless_pipe(command: str) -> None:
    found = _lacking(command, "-", stdin=Path("/dev/zero"))
    assert found.returncode == 65 and "standard input" in found.stderr, found.stderr


ENDLESS = (
    "split m.jsonl --list test=/dev/zero -o z.jsonl",
    "preprocess m.jsonl --faces yunet --face-model /dev/zero -o z.h5",
    "select m.jsonl --ids /dev/zero",
    "manifest table /dev/zero --media path",
    "import /dev/zero -o z.safetensors",
    "import-features /dev/zero -o z.h5",
    "info /dev/zero",
    "check /dev/zero",
    "compare /dev/zero",
)


@pytest.mark.parametrize("line", ENDLESS)
def test_an_endless_file(line: str, tmp_path: Path) -> None:
    """They end at once, or the test takes all memory."""
    header = manifest.new_header("corpus", corpus="c", labels={})
    manifest.write(tmp_path / "m.jsonl", header, [{"id": "u", "media": "u.wav", "speaker": "s"}])
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as pages:
        held = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MORE_BYTES, before[1]))
    try:
        assert "/dev/zero" in invoke(tmp_path, *line.split(), status=65).stderr
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "x.safetensors"
    make(path.with_name("a.h5"), 3)
    invoke(path.parent, "pretrain-apc", "a.h5", "--preset", "nano", "--steps", 0, "-o", path)
    return path


@pytest.mark.parametrize(
    ("field", "size"),
    [("layers", 10**6), ("layers", 10**9), ("dim", 10**6), ("hidden", 2**26), ("hidden", 2**70)],
)
def test_a_model_of_any_size(field: str, size: int, encoder: Path, tmp_path: Path) -> None:
    """Its header has a digest that fits: whoever changed it could make one."""
    header, tensors = checkpoint.load(encoder)
    configuration = header["model"]["configuration"]
    assert field in configuration
    configuration[field] = size
    path = tmp_path / "y.safetensors"
    facts = {k: v for k, v in header.items()
             if k not in ("format", "version", "kind", "content_id", "header_digest")}  # fmt: skip
    checkpoint.save(path, "encoder", tensors, **facts)
    found = _lacking("extract", encoder.with_name("a.h5"), "--model", path, "-o", tmp_path / "f.h5")
    assert found.returncode == 65 and str(path) in found.stderr, found.stderr


def test_bounds_let_every_model_be() -> None:
    with Outlines():
        for name in ("hubert", "avhubert", "whisper", "cavmae", "efficientnet", "recurrent"):
            part = registry.ENCODERS[name]
            sizes = [tensor.numel() for tensor in part.make({}).state_dict().values()]
            with bounded(sizes):
                part.make({})


def test_bounds_count() -> None:
    with pytest.raises(DataError), bounded([]):
        torch.empty(1 << 20, 1 << 20)
    with pytest.raises(DataError), bounded([]):
        for _ in range(checkpoint.SPARE_TENSORS + 1):
            torch.zeros(())
    with bounded([]):
        assert torch.full((2, 3), 1.5).shape == torch.ones(2, 3).shape == torch.rand((2, 3)).shape
    assert registry.build(_small()).depth == 1


def _small() -> registry.Description:
    return {"name": "recurrent", "configuration": {"hidden": 8, "layers": 1}}


def _npy(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + bytes(64)


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (2**62, 2**62), (17,)])
def test_arrays_that_claim_more_than_they_hold(shape: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(_npy(shape))
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("u.npy", _npy(shape))
    for name, words in (("a.npy", r"a\.npy"), ("b.npz", r"b\.npz.*claims")):
        with pytest.raises(DataError, match=words):
            arrays.read_array(tmp_path / name, "u")
    (tmp_path / "a.npy").write_bytes(_npy((16,)))
    assert arrays.read_array(tmp_path / "a.npy", "u").values.shape == (1, 16)


@pytest.mark.parametrize("header", ["(" * 3000, "{'descr': '<f4', 'shape': (" + "9" * 4000 + ",)"])
def test_headers_of_arrays_that_are_no_header(header: str, tmp_path: Path) -> None:
    text = header.encode().ljust(9000)
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(DataError, match=r"a\.npy"):
        arrays.read_array(path, "u")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """300 MiB of zeros in 300 kB, as an array and as what torch.save writes."""
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        with file.open("archive/data/0", "w", force_zip64=True) as stream:
            for _ in range(300):
                stream.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    return path


def test_zip_files_that_unpack_to_far_more(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"w\.pt: archive/data/0 claims 300 MiB"):
        unpickling.unpickle(packed)
    with (
        zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("u.npy", "w", force_zip64=True) as stream,
    ):
        stream.write(_npy((75 << 20,))[:-64])
        for _ in range(300):
            stream.write(bytes(1 << 20))
    with pytest.raises(DataError, match=r"x\.npz: u\.npy claims 300 MiB"):
        arrays.read_array(tmp_path / "x.npz", "u")


def test_packed_features_are_read(tmp_path: Path) -> None:
    """Zeros of a usual size, and numbers of any."""
    np.savez_compressed(tmp_path / "x.npz", u=np.zeros((9000, 64), "f4"))
    assert arrays.read_array(tmp_path / "x.npz", "u").values.shape == (9000, 64)


def test_unwritten_chunks_of_a_store(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5", 2)
    with h5py.File(path, "r+") as file:
        attributes = dict(file["pooled/mean"].attrs)
        del file["pooled/mean"]
        made = file.create_dataset("pooled/mean", (2, 1 << 30), "f4", chunks=(1, 1 << 20),
                                   compression="gzip")  # fmt: skip
        made.attrs.update(attributes)
        made[0, :9] = 1
        redigested(file)
    with pytest.raises(DataError, match=r"a\.h5.*declares"):
        Store(path)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    rows = zlib.compress(bytes(width + 1) * min(height, 100))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("side", "usable"), [(60_000, False), (16_000, False), (64, True)])
def test_pictures_of_any_size(side: int, usable: bool, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(_png(side, side))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if usable:
        assert len(list(read_pictures(path, 25, VideoCounts()))) == 1
        return
    with pytest.raises(Unusable):
        list(read_pictures(path, 25, VideoCounts()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_video_of_large_pictures(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for packet in (*stream.encode(av.VideoFrame(640, 480, "yuv420p")), *stream.encode(None)):
            container.mux(packet)
    assert len(list(read_pictures(path, 25, VideoCounts()))) == 1
    monkeypatch.setattr("avaffect.data.decoding.tracks.MOST_PIXELS", 640 * 480 - 1)
    with pytest.raises(Unusable, match="640 x 480"):
        list(read_pictures(path, 25, VideoCounts()))


def _wav(rate: int, claimed: int | None = None, samples: int = 4000) -> bytes:
    data = bytes(range(1, 201)) * (samples // 200)
    size = len(data) if claimed is None else claimed
    return (
        b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 1, 8)
        + b"data" + struct.pack("<I", size) + data
    )  # fmt: skip


@pytest.mark.parametrize(("rate", "usable"), [(1, False), (999, False), (1000, True), (8000, True)])
def test_few_samples_that_would_last_for_days(rate: int, usable: bool, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(_wav(rate))
    spool = io.BytesIO()
    if usable:
        assert decode_audio(tmp_path / "a.wav", spool).samples == 4000 * 16000 // rate
        return
    with pytest.raises(Unusable, match=f"{rate} Hz"):
        decode_audio(tmp_path / "a.wav", spool)
    assert len(spool.getvalue()) == 0


def test_a_wave_that_claims_two_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(_wav(8000, claimed=2_000_000_000))
    spool = io.BytesIO()
    assert decode_audio(tmp_path / "a.wav", spool).samples == 8000
    assert len(spool.getvalue()) == 2 * 8000


def test_silence_between_stamps_ends(monkeypatch) -> None:
    monkeypatch.setattr(audio, "MOST_FILLED_S", 2.0)
    spool = io.BytesIO()
    sink = audio._Sink(spool, 0.0, None)
    sink.fill(20_000)
    with pytest.raises(Unusable, match="without sound"):
        sink.fill(40_000)
    assert len(spool.getvalue()) == 40_000


def test_missing_pictures_between_stamps_end(monkeypatch) -> None:
    monkeypatch.setattr(video, "MOST_FILLED_S", 2.0)
    sampler = video._Sampler(25.0, 0.0, None, VideoCounts())
    assert len(list(sampler._blank(1.9))) == 48
    with pytest.raises(Unusable, match="without a picture"):
        list(sampler._blank(99.0))
    # What was asked for may be long.
    assert len(list(video._Sampler(25.0, 0.0, 8.0, VideoCounts())._blank(99.0))) == 200


def test_formats_that_are_left() -> None:
    kept = set(unusable._formats().split(","))
    assert not kept & (unusable.PLAYLISTS | unusable.NO_MEDIA)
    assert {"wav", "flac", "mp3", "ogg", "avi", "mpegts", "png_pipe", "matroska"} <= kept


@pytest.mark.parametrize("text", ['{"content":"predictions","a":' + "[" * 60_000, '{"a":NaN}'])
def test_reports_that_python_reads_otherwise(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    assert "r.json" in invoke(tmp_path, "compare", "r.json", status=65).stderr


def test_a_value_at_a_place() -> None:
    text = ' {"a": 1} {"b": [2.5]}'
    first, end = plain_json.parse_at(text, 1)
    assert (first, plain_json.parse_at(text, end + 1)[0]) == ({"a": 1}, {"b": [2.5]})
    for bad in ('{"a": 1, "a": 2}', "[1e999]", "[" * 50_000):
        with pytest.raises(ValueError):
            plain_json.parse_at(bad, 0)


def test_a_table_of_weights_that_is_none(encoder: Path, tmp_path: Path) -> None:
    """Offsets of other types, beyond the file, and in the wrong order."""
    content = encoder.read_bytes()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    name = next(n for n in table if n != "__metadata__")
    for wrong in ([0, 2**63], [-1, 4], ["a", "b"], [0], None, [[], []], [4, 0], [0, 1e9]):
        changed = {**table, name: {**table[name], "data_offsets": wrong}}
        text = json.dumps(changed).encode()
        path = tmp_path / "x.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
        for read in (checkpoint_header.verify, checkpoint.load):
            with pytest.raises(DataError, match=r"x\.safetensors"):
                read(path)
