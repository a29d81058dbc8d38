"""`avaffect gallery`: the right faces beside the right queries, framed by what is known of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import invoke

from avaffect.core import png
from avaffect.core.errors import DataError, OutputExistsError, UsageError
from avaffect.core.progress import Progress
from avaffect.core.provenance import provenance, reference
from avaffect.data import manifest, pictures
from avaffect.data.spectrograms import AXIS, scale_of, spectrogram
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.gallery import (
    AGREES,
    DIFFERS,
    QUERY,
    make_gallery,
)
from avaffect.recipes.scoring.retrieved_clips import choose_queries, mel_levels, middle_frame
from avaffect.settings.gallery import GallerySettings

CLASSES = ("happiness", "sadness")
FRAMES = 5
TILE = 64
# Pixels of one frame around a tile.
FRAME_AREA = TILE**2 - (TILE - 2 * pictures.FRAME) ** 2


def streams_of(value: int | None) -> dict[str, np.ndarray]:
    """Frames of which only the fourth, grey in `value`, is no absent one; or none and a sound."""
    count = 0 if value is None else FRAMES
    frames = np.full((count, 8, 8, 3), 255 - (value or 0), dtype=np.uint8)
    track = np.zeros((count, 16), dtype=np.float32)
    frames[3:4] = value or 0
    track[3:4, 15] = 2
    sound = np.full(800 if value is None else 0, 1000, dtype=np.int16)
    return {"waveform": sound, "face": frames, "face_track": track}


def write_media(path: Path, utterances: dict[str, int | None]) -> Path:
    """Utterances with a face of a grey value, or with a sound where it is None."""
    streams = {
        "waveform": StreamSpec("waveform", "int16", 16000.0),
        "face": StreamSpec("face", "uint8", 25.0, shape=(8, 8, 3)),
        "face_track": StreamSpec("face_track", "float32", 25.0, shape=(16,)),
    }
    with store_writer(path, provenance("preprocess", {}, []), streams=streams) as writer:
        for identifier, value in utterances.items():
            writer.add(identifier, streams=streams_of(value))
    return path


def write_embeddings(path: Path, media: Path, labelled: bool = True) -> Path:
    store = Store(media)
    inputs = [reference("media", media, store.content_id, path)]
    labels = {"emotion": LabelSpec("class", CLASSES)} if labelled else {}
    with store_writer(
        path,
        provenance("extract", {}, inputs),
        labels=labels,
        pooled={"embedding": PooledSpec(2, {})},
    ) as writer:
        for row, identifier in enumerate(store.ids):
            given = {"emotion": CLASSES[row % 2]} if labelled else {}
            vector = np.array([1.0, row], dtype=np.float32)
            writer.add(identifier, pooled={"embedding": vector}, labels=given)
    return path


POOL = {"p0": 110, "p1": 120, "p2": None, "p3": 140}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two queries, happy and sad; a pool of four, happy and sad in turns; p2 has no face."""
    write_media(tmp_path / "qm.h5", {"q0": 30, "q1": 40})
    write_media(tmp_path / "pm.h5", POOL)
    write_embeddings(tmp_path / "q.h5", tmp_path / "qm.h5")
    write_embeddings(tmp_path / "p.h5", tmp_path / "pm.h5")
    retrieval(tmp_path)
    return tmp_path


def retrieval(folder: Path, **more) -> Path:
    stores = {
        role: [{"path": name, "content_id": Store(folder / name).content_id}]
        for role, name in (("query", "q.h5"), ("pool", "p.h5"))
    }
    header = manifest.new_header(
        "retrieval", base=".", stores=stores, settings={"temperature": 0.1, "label": "emotion"},
        **more,
    )  # fmt: skip
    items = [
        {"query": "q0", "label": "happiness", "pool": ["p3", "p0", "p3", "p2"],
         "similarity": [0.5, 0.4, 0.5, 0.3]},
        {"query": "q1", "label": "sadness", "pool": ["p1"], "similarity": [0.25]},
    ]  # fmt: skip
    manifest.write(folder / "r.jsonl", header, items)
    return folder / "r.jsonl"


class Words(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.say = self.lines.append  # type: ignore[method-assign]


def drawn(folder: Path, **options) -> tuple[np.ndarray, str]:
    """The picture (RGB) and what was said."""
    words = Words()
    settings = {"retrieval": folder / "r.jsonl", "output": folder / "g.png", "tile": TILE}
    make_gallery(GallerySettings(**{**settings, **options}), words)
    picture = cv2.imread(str(folder / "g.png"))
    return (picture[..., ::-1] if picture is not None else np.zeros(0)), "\n".join(words.lines)


def framed(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """How many tiles have a frame of one colour."""
    return np.all(picture == colour, axis=-1).sum() / FRAME_AREA


def places(picture: np.ndarray, value: int) -> tuple[int, int]:
    """Top and left of the pixels inside a face of one grey value."""
    size = TILE - 2 * pictures.FRAME
    found = np.all(picture == value, axis=-1)
    # Texts have pixels of any grey, but no whole square of it.
    rows = np.flatnonzero(found.sum(axis=1) >= size)
    columns = np.flatnonzero(found[rows].sum(axis=0) >= size)
    assert (len(rows), len(columns)) == (size, size), f"{value} is not drawn, or not once"
    return int(rows[0]), int(columns[0])


def test_faces_stand_beside_their_queries_in_the_order_of_drawing(folder):
    picture, said = drawn(folder)
    step = TILE + pictures.GAP
    (y, x), (below, left) = places(picture, 30), places(picture, 40)
    assert below > y + TILE and left == x
    # p3, drawn twice, is shown once; p2 has a sound instead of a face.
    assert places(picture, 140)[1] - x == step and places(picture, 110)[1] - x == 2 * step
    assert places(picture, 120) == (below, x + step)
    sound = pictured(streams_of(None)["waveform"], 0.05, TILE, TILE)
    assert inside(picture, y, x + 3 * step) == inside(sound, pictures.FRAME, pictures.FRAME)
    # Frames: p3 is sad where happiness was asked for; p0, p2 and p1 agree with their queries.
    counts = [framed(picture, colour) for colour in (QUERY, AGREES, DIFFERS)]
    assert counts == [2, 3, 1]
    assert "2 queries, 4 retrieved; 3 of 4 bear their query's label" in said


def inside(picture: np.ndarray, y: int, x: int) -> list:
    """A square tile within its frame."""
    size = TILE - 2 * pictures.FRAME
    return picture[y : y + size, x : x + size].tolist()


def pictured(sound: np.ndarray, seconds: float, height: int, width: int) -> np.ndarray:
    return spectrogram(*mel_levels(sound, seconds), seconds, height, width)


def tone(hertz: float, seconds: float, loud: float = 8000.0) -> np.ndarray:
    times = np.arange(round(seconds * 16000)) / 16000
    return np.round(loud * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


class TestSpectrograms:
    def test_high_sounds_stand_above_low_ones(self) -> None:
        heights = []
        for hertz in (300, 1000, 4000):
            found = pictured(tone(hertz, 1.0), 1.0, 96, 192)
            assert found.shape == (96, 192, 3) and found.dtype == np.uint8
            brightness = found[: 96 - AXIS].astype(int).sum(axis=(1, 2))
            heights.append(int(brightness.argmax()))
        assert heights[0] > heights[1] + 10 > heights[2] + 20

    def test_seconds_have_one_scale(self) -> None:
        """A shorter utterance leaves the rest blank; of a longer one the beginning is shown."""
        for seconds, width in ((0.5, 50), (1.0, 100), (2.0, 200), (5.0, 200)):
            found = pictured(tone(500, seconds), 2.0, 64, 200)[: 64 - AXIS]
            blank = np.all(found == pictures.BLANK, axis=(0, 2))
            assert abs(int((~blank).sum()) - width) <= 1 and not blank[: width - 2].any()
        assert not pictured(tone(500, 0.01), 2.0, 64, 200)[: 64 - AXIS].std()

    def test_colours_are_below_the_loudest_of_each(self) -> None:
        soft, loud = (
            pictured(tone(1000, 1.0, level), 1.0, 64, 64).astype(int) for level in (3000, 12000)
        )
        assert np.abs(soft - loud).mean() < 4
        assert not np.abs(soft - pictured(tone(3000, 1.0), 1.0, 64, 64)).mean() < 4

    def test_silence_is_dark(self) -> None:
        silence = np.zeros(16000, np.int16)
        for sound in (silence, np.concatenate([silence, tone(1000, 1.0, 30.0)])):
            found = pictured(sound, len(sound) / 16000, 64, 64)[: 64 - AXIS, :20]
            assert found.max() < 10

    def test_one_long_utterance_does_not_set_the_scale(self) -> None:
        assert scale_of([1.0, 60.0, 3.0, 4.0, 2.0]) == 4.0 and scale_of([1.0]) == 1.0


def test_sound_alone_is_wide_and_has_its_seconds(folder):
    write_media(folder / "qm.h5", {"q0": None, "q1": None})
    write_media(folder / "pm.h5", dict.fromkeys(POOL))
    for name in "qp":
        (folder / f"{name}.h5").unlink()
        write_embeddings(folder / f"{name}.h5", folder / f"{name}m.h5")
    retrieval(folder)
    square = drawn(folder, queries=1, retrieved=1)[0].shape
    expected = pictured(streams_of(None)["waveform"], 0.05, TILE, 2 * TILE)
    picture, said = drawn(folder, force=True)
    assert "2 queries, 4 retrieved" in said
    columns = (picture.shape[1] - square[1]) / (2 * TILE + pictures.GAP)
    assert columns == 2
    edge = pictures.FRAME
    wanted = expected[edge:-edge, edge:-edge]
    windows = np.lib.stride_tricks.sliding_window_view(picture[..., 0], wanted.shape[:2])
    assert (windows == wanted[..., 0]).all(axis=(2, 3)).sum() == 6


def test_labels_from_elsewhere_or_not_known(folder):
    (folder / "p.h5").unlink()
    write_embeddings(folder / "p.h5", folder / "pm.h5", labelled=False)
    retrieval(folder)
    picture, said = drawn(folder)
    assert framed(picture, AGREES) == framed(picture, DIFFERS) == 0 and "bear" not in said
    header = manifest.new_header("corpus", labels={})
    truths = [{"id": i, "labels": {"mood": "sadness"}} for i in ("p0", "p1")]
    manifest.write(folder / "gold.jsonl", header, truths)
    gold = {"gold": (folder / "gold.jsonl",), "label": "mood", "force": True}
    picture, said = drawn(folder, **gold)
    assert [framed(picture, colour) for colour in (AGREES, DIFFERS)] == [1, 1]
    assert "1 of 2 bear" in said
    with pytest.raises(DataError, match=r"has no label 'emotion' \(it has: mood"):
        drawn(folder, **{**gold, "label": None})
    with pytest.raises(DataError, match=r"p\.h5 has no label 'mood'; name GOLD"):
        drawn(folder, label="mood")


def test_labels_that_were_merged_for_the_queries(folder):
    found = manifest.read(retrieval(folder, provenance={"settings": {"classes": "low=sadness"}}))
    items = [{**item, "label": "low"} for item in found.items if item["query"] == "q1"]
    items = [{k: v for k, v in item.items() if k != "kind"} for item in items]
    manifest.write(folder / "r.jsonl", found.header, items)
    assert framed(drawn(folder)[0], AGREES) == 1


def test_counts_and_what_is_there_already(folder):
    picture, said = drawn(folder, queries=1, retrieved=1)
    assert framed(picture, QUERY) == 1 and "1 query, 1 retrieved" in said
    before = (folder / "g.png").read_bytes()
    assert "up to date" in drawn(folder, queries=1, retrieved=1)[1]
    with pytest.raises(OutputExistsError, match="looks otherwise"):
        drawn(folder)
    assert (folder / "g.png").read_bytes() == before
    assert framed(drawn(folder, force=True)[0], QUERY) == 2
    (folder / "g.png").unlink()
    assert "would draw 2 queries, 4 retrieved" in drawn(folder, dry_run=True)[1]
    assert not (folder / "g.png").exists()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"queries": 0}, UsageError, "at least 1"),
        ({"retrieved": 0}, UsageError, "at least 1"),
        ({"queries": 1000, "retrieved": 9}, UsageError, "--queries or --retrieved"),
        ({"tile": 8}, UsageError, "at least 32, at most 512"),
        ({"output": Path("g.jpg")}, UsageError, r"name it \.png"),
        ({"retrieval": Path("nothing.jsonl")}, DataError, "nothing.jsonl: no such file"),
    ],
)
def test_what_cannot_be_drawn(folder, options, error, said):
    with pytest.raises(error, match=said):
        drawn(folder, **options)
    assert not (folder / "g.png").exists()


def test_manifests_and_stores_that_do_not_fit(folder):
    found = manifest.read(folder / "r.jsonl")
    for items, said in (
        ([], "has no query"),
        ([{"query": "q0", "label": "x"}], "q0 has no list of draws"),
        ([{"query": "q0", "label": "x", "pool": ["q1"]}], "names q1, which is not in .*pm.h5"),
    ):
        manifest.write(folder / "r.jsonl", found.header, items)
        with pytest.raises(DataError, match=said):
            drawn(folder)
    manifest.write(folder / "r.jsonl", manifest.new_header("corpus"), [])
    with pytest.raises(DataError, match="and a manifest of a retrieval is needed"):
        drawn(folder)
    retrieval(folder)
    (folder / "pm.h5").unlink()
    with pytest.raises(DataError, match=r"pm\.h5, the media that was used, is no longer at"):
        drawn(folder)


def test_queries_are_spread_over_the_labels():
    items = [{"query": f"{label}{n}", "label": label} for label, count in
             (("sadness", 1), ("fear", 9), ("anger", 9)) for n in range(count)]  # fmt: skip
    for seed in range(5):
        chosen = choose_queries(items, 6, seed)
        labels = [item["label"] for item in chosen]
        assert labels in (["anger"] * 3 + ["fear"] * 2 + ["sadness"],)
        assert len({item["query"] for item in chosen}) == 6
    assert choose_queries(items, 6, 1) != choose_queries(items, 6, 2)
    assert choose_queries(items, 6, 1) == choose_queries(items, 6, 1)
    assert len(choose_queries(items, 100, 0)) == len(items)
    assert [item["query"] for item in choose_queries([{"query": "a"}], 3, 0)] == ["a"]


def test_the_frame_nearest_to_the_middle_that_is_there():
    frames = np.arange(7, dtype=np.uint8)[:, None, None, None]
    track = np.ones((7, 16), dtype=np.float32)
    assert middle_frame(frames, None).item() == middle_frame(frames, track).item() == 3
    track[2:6, 15] = 0
    assert middle_frame(frames, track).item() == 1
    track[:, 15] = 0
    assert middle_frame(frames, track) is None and middle_frame(frames[:0], None) is None


def test_behind_retrieve_in_a_pipe(chain: Path, shell) -> None:
    line = (
        "avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 --draws 20 -q | "
        "avaffect gallery -o g.png --queries 4 --retrieved 3 --label hidden_emotion"
    )
    found = shell(line, chain)
    assert found.stdout == "" and "4 queries, 12 retrieved; " in found.stderr
    first = (chain / "g.png").read_bytes()
    assert cv2.imread(str(chain / "g.png")).shape[0] > 4 * 96
    invoke(chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "-T", 0.1, "--draws", 20,
           "-o", "r.jsonl")  # fmt: skip
    options = ("--queries", 4, "--retrieved", 3, "--gold", "b.h5", "--label", "hidden_emotion")
    assert "up to date" in invoke(chain, "gallery", "r.jsonl", "-o", "g.png", *options).stderr
    assert (chain / "g.png").read_bytes() == first
    invoke(chain, "gallery", "a.jsonl", "-o", "x.png", status=65)
    invoke(chain, "gallery", "r.jsonl", status=2)


def test_what_a_picture_was_made_from_is_kept_within_it(tmp_path):
    path = tmp_path / "p.png"
    picture = np.zeros((4, 6, 3), np.uint8)
    pictures.write_png(path, picture, made='{"command":"gallery","name":"Söhne"}')
    assert png.read_text(path, png.MADE) == '{"command":"gallery","name":"Söhne"}'
    assert pictures.is_picture(path, picture)
    pictures.write_png(path, picture)
    assert png.read_text(path, png.MADE) is None


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_picture_is_said_to_be_damaged(tmp_path, damage):
    path = tmp_path / "p.png"
    pictures.write_png(path, np.zeros((40, 60, 3), np.uint8), made="{}")
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content if damage == "flip" else path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged"):
        png.read_text(path, png.MADE)
