"""Films become sound and faces; what one modality lacks costs the other nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from films import scene, talking, write_video
from sounds import tone

from avaffect.core.errors import DataError, OutputExistsError, UsageError
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.data.faces import extraction
from avaffect.data.faces.options import ABSENT, COLUMNS
from avaffect.data.store.reader import Store
from avaffect.data.store.verifying import verify_store
from avaffect.recipes.merge import merge
from avaffect.recipes.preprocess import preprocess
from avaffect.settings.merge import MergeSettings
from avaffect.settings.preprocess import PreprocessSettings

SOUND = tone(seconds=1.2)

# What each item must become: its streams, or the reason of its loss; and why one is missing.
BOTH, HEARD, SEEN = "both", "heard", "seen"
CASES = {
    "film": (BOTH, ""), "beside": (BOTH, ""), "part": (BOTH, ""), "one": (SEEN, "no sound"),
    "mute": (SEEN, "no sound"), "still": (SEEN, "silent"), "nan": (SEEN, "damaged"),
    "gone": (SEEN, "missing"), "wall": (HEARD, "no face"), "voice": (HEARD, "no picture"),
    "blind": (HEARD, "missing"), "zero": (HEARD, "empty"), "text": (HEARD, "unreadable"),
    "late": (HEARD, "outside"),
    "cut": ("truncated", ""), "cut beside": (HEARD, "truncated"), "nothing": ("no sound", ""),
    "empty": ("empty", ""), "absent": ("missing", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of films, good and bad."""
    folder = tmp_path_factory.mktemp("films")
    walls = [scene()] * 30
    write_video(folder / "film.mp4", talking(30), sound=SOUND)
    write_video(folder / "mute.mp4", talking(30))
    write_video(folder / "one.mp4", talking(1))
    write_video(folder / "still.mp4", talking(30), sound=0 * SOUND)
    write_video(folder / "wall.mp4", walls, sound=SOUND)
    write_video(folder / "nothing.mp4", walls)
    whole = write_video(folder / "whole.mp4", talking(30), options={"movflags": "faststart"})
    content = whole.read_bytes()
    (folder / "cut.mp4").write_bytes(content[: round(0.9 * len(content))])
    whole.unlink()
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no film\n" * 99)
    soundfile.write(folder / "voice.wav", SOUND, SAMPLE_RATE_HZ)
    broken = SOUND.copy()
    broken[77] = np.nan
    soundfile.write(folder / "nan.wav", broken, SAMPLE_RATE_HZ, subtype="FLOAT")
    media = {
        name: f"{name}.mp4" for name in ("film", "mute", "one", "still", "wall", "nothing", "cut")
    }
    media |= {
        "beside": {"audio": "voice.wav", "video": "mute.mp4"},
        "part": "film.mp4",
        "nan": {"audio": "nan.wav", "video": "mute.mp4"},
        "gone": {"audio": "gone.wav", "video": "mute.mp4"},
        "voice": "voice.wav",
        "blind": {"audio": "voice.wav", "video": "blind.mp4"},
        "zero": {"audio": "voice.wav", "video": "zero.mp4"},
        "text": {"audio": "voice.wav", "video": "text.mp4"},
        "late": {"audio": "voice.wav", "video": "one.mp4"},
        "cut beside": {"audio": "voice.wav", "video": "cut.mp4"},
        "empty": "zero.mp4",
        "absent": "absent.mp4",
    }  # fmt: skip
    items = [{"id": name, "media": media[name], "labels": {"emotion": "anger"}} for name in CASES]
    for item in items:
        if item["id"] in ("part", "late"):
            item |= {"start": 0.4, "end": 1.0}
    manifest.write(folder / "films.jsonl", manifest.new_header("corpus"), items)
    return folder / "films.jsonl"


def run(source: Path, output: Path, **options) -> Store:
    preprocess(PreprocessSettings(manifest=source, output=output, **{"jobs": 1, **options}))
    return verify_store(output)


def lost(store: Store) -> dict[str, str]:
    path = store.path.with_name(store.path.name + ".lost.jsonl")
    items = manifest.read(path, expect="corpus").items if path.exists() else []
    return {item["id"]: item["lost"].split(" (")[0] for item in items}


def test_each_case_is_kept_counted_and_named(films: Path, tmp_path: Path, avaffect) -> None:
    output = tmp_path / "media.h5"
    words = avaffect("preprocess", films, "-o", output, "--jobs", 1).stderr
    store = verify_store(output)
    kinds = {BOTH, HEARD, SEEN}
    assert store.ids == [name for name, (kind, _) in CASES.items() if kind in kinds]
    assert lost(store) == {n: kind for n, (kind, _) in CASES.items() if kind not in kinds}
    for row, name in enumerate(store.ids):
        kind, reason = CASES[name]
        lengths = {stream: int(store.lengths(stream)[row]) for stream in store.streams}
        assert bool(lengths["waveform"]) == (kind != SEEN), name
        assert bool(lengths["face"]) == (kind != HEARD), name
        assert lengths["face"] == lengths["face_track"] == store.meta["face_frames"][row]
        assert store.meta["without_sound"][row] == (reason if kind == SEEN else "")
        assert store.meta["without_face"][row] == (reason if kind == HEARD else "")
        if reason != "no picture":
            assert not reason or re.search(f"without (sound|face): {name}: {reason} ", words)
    assert "without sound 5: 1 damaged, 1 missing, 2 no sound, 1 silent" in words
    assert (
        "without face 7: 1 empty, 1 missing, 1 no face, 1 no picture, 1 outside, 1 truncated, "
        "1 unread" in words
    )
    # A film that was cut short is lost whole; the sound that lies beside one is not.
    assert "lost 4: 1 empty, 1 missing, 1 no sound, 1 truncated" in words
    seen = int(store.lengths("face").sum())
    assert f"{seen} pictures: faces detected in " in words and "mean 0." in words
    # Sound and picture share their times.
    film, part = store.rows["film"], store.rows["part"]
    assert store.lengths("face")[[film, part]].tolist() == [30, 15]
    assert abs(store.lengths("waveform")[film] - 1.2 * SAMPLE_RATE_HZ) < 2100
    assert store.lengths("waveform")[part] == 0.6 * SAMPLE_RATE_HZ
    mouths = [store.read("face", row)[:, 70:88, 35:60].mean(axis=(1, 2, 3)) for row in (film, part)]
    assert np.corrcoef(mouths[0][10:25], mouths[1])[0, 1] > 0.9
    assert store.meta["duration_s"][store.rows["mute"]] == 1.2
    assert store.meta["video_source"][store.rows["beside"]] == "mute.mp4"
    assert store.meta["source"][store.rows["beside"]] == "voice.wav"


def test_the_streams_and_their_statistics(films: Path, tmp_path: Path) -> None:
    store = run(films, tmp_path / "media.h5")
    face, track = store.streams["face"], store.streams["face_track"]
    assert (face.kind, face.dtype, face.rate_hz, face.shape) == ("face", "uint8", 25.0, (96, 96, 1))
    assert (track.kind, track.dtype, track.shape) == ("face_track", "float32", (16,))
    assert track.made["columns"] == list(COLUMNS) and face.made["detector"] == "haar"
    seen = store.values("face_track")[:, -1] != ABSENT
    crops = store.values("face")[seen] / 255
    assert face.statistics["frames"] == len(crops)
    np.testing.assert_allclose(face.statistics["mean"], [crops.mean()], rtol=1e-10)
    np.testing.assert_allclose(face.statistics["std"], [crops.std()], rtol=1e-10)
    colour = run(films, tmp_path / "rgb.h5", color="rgb", size=40, fps=12.5, faces="none")
    face = colour.streams["face"]
    assert face.shape == (40, 40, 3) and len(face.statistics["mean"]) == 3
    assert colour.lengths("face")[colour.rows["film"]] == 15
    crops = colour.values("face")[colour.values("face_track")[:, -1] != ABSENT] / 255
    np.testing.assert_allclose(face.statistics["mean"], crops.mean(axis=(0, 1, 2)), rtol=1e-10)
    # A wall is taken for a face where nobody looks.
    assert colour.meta["without_face"][colour.rows["wall"]] == ""


def test_processes_and_shards_change_nothing(films: Path, tmp_path: Path) -> None:
    whole = run(films, tmp_path / "one.h5")
    run(films, tmp_path / "two.h5", jobs=2)
    assert whole.path.read_bytes() == (tmp_path / "two.h5").read_bytes()
    shards = [run(films, tmp_path / f"part{n}.h5", shard=f"{n}/3").path for n in range(3)]
    merge(MergeSettings(stores=tuple(shards), output=tmp_path / "merged.h5"))
    merged = verify_store(tmp_path / "merged.h5")
    assert merged.content_id == whole.content_id
    assert merged.streams["face"].statistics == whole.streams["face"].statistics
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".h5", ".jsonl")]


def test_shards_of_sound_and_of_films_can_be_merged(films: Path, tmp_path: Path) -> None:
    items = manifest.read(films).items
    stores = []
    for name in ("film", "voice"):
        path = films.with_name(f"only-{name}.jsonl")
        manifest.write(path, manifest.new_header("corpus"), [i for i in items if i["id"] == name])
        stores.append(run(path, tmp_path / f"{name}.h5"))
    assert stores[0].streams.keys() == stores[1].streams.keys()
    assert stores[1].streams["face"].statistics == {}
    merge(MergeSettings(stores=tuple(s.path for s in stores), output=tmp_path / "m.h5"))
    merged = Store(tmp_path / "m.h5")
    assert merged.streams["face"].statistics == stores[0].streams["face"].statistics
    assert (merged.lengths("face") > 0).tolist() == [True, False]


def test_one_modality_can_be_left_out(films: Path, tmp_path: Path) -> None:
    heard = run(films, tmp_path / "heard.h5", without="video")
    assert list(heard.streams) == ["waveform"] and "face_frames" not in heard.meta
    kept = [n for n, (kind, _) in CASES.items() if kind in (BOTH, HEARD)]
    assert set(heard.ids) == set(kept)
    seen = run(films, tmp_path / "seen.h5", without="audio")
    assert list(seen.streams) == ["face", "face_track"]
    assert seen.ids == [n for n, (kind, _) in CASES.items() if kind in (BOTH, SEEN)]
    assert lost(seen)["wall"] == "no face" and lost(seen)["voice"] == "no picture"
    silent = run(films, tmp_path / "silent.h5", keep_silent=True)
    row = silent.rows["still"]
    assert silent.lengths("waveform")[row] and silent.meta["without_sound"][row] == ""


def test_strict_minds_lost_utterances_alone(films: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cut \(cut\.mp4\): truncated"):
        run(films, tmp_path / "media.h5", strict=True)
    items = [i for i in manifest.read(films).items if CASES[i["id"]][0] in (BOTH, HEARD, SEEN)]
    path = films.with_name("kept.jsonl")
    manifest.write(path, manifest.new_header("corpus"), items)
    assert run(path, tmp_path / "media.h5", strict=True).count == len(items)


def test_a_film_beside_the_sound_is_an_input_too(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    soundfile.write(folder / "a.wav", SOUND, SAMPLE_RATE_HZ)
    write_video(folder / "a.mp4", talking(10))
    source = folder / "m.jsonl"
    item = {"id": "a", "media": {"audio": "a.wav", "video": "a.mp4"}}
    manifest.write(source, manifest.new_header("corpus"), [item])
    run(source, tmp_path / "media.h5")
    write_video(folder / "a.mp4", talking(20))
    with pytest.raises(OutputExistsError):
        run(source, tmp_path / "media.h5")


def test_options_that_make_no_sense_are_refused(films: Path, tmp_path: Path, avaffect) -> None:
    for options, words in (
        ({"size": 4}, "size"), ({"fps": 0.0}, "fps"), ({"margin": -1.0}, "margin"),
        ({"align": True}, "align"), ({"face_model": Path("x.onnx")}, "face-model"),
        ({"without": "video", "preview": tmp_path / "p"}, "preview"),
        ({"without": "video", "size": 48}, "--size needs video"), ({"preview": films}, "file"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            run(films, tmp_path / "media.h5", **options)
    found = avaffect("preprocess", films, "-o", tmp_path / "m.h5", "--faces", "yunet", status=2)
    assert "needs --face-model" in found.stderr and "OpenCV Zoo" in found.stderr
    assert not list(tmp_path.iterdir())


def test_contact_sheets_show_what_was_found(films: Path, tmp_path: Path) -> None:
    sheets = tmp_path / "sheets"
    run(films, tmp_path / "media.h5", preview=sheets)
    pages = sorted(sheets.iterdir())
    assert [page.name for page in pages] == ["preview-001.png", "preview-002.png"]
    first = cv2.cvtColor(cv2.imread(str(pages[0])), cv2.COLOR_BGR2RGB)
    # Frames around crops, in the colours of detected and tracked faces.
    for colour in ((30, 150, 60), (40, 90, 210)):
        assert (first == colour).all(axis=2).sum() > 300
    plain = run(films, tmp_path / "plain.h5")
    assert Store(tmp_path / "media.h5").content_id == plain.content_id
    assert "preview" not in json.dumps(plain.provenance)


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "mpeg4"), ("flv", "flv1")])
def test_containers_of_which_ffmpeg_hides_the_cut(
    tmp_path: Path, avaffect, suffix: str, codec: str
) -> None:
    """MSP-IMPROV comes as AVI, CREMA-D as FLV: what they declare stands in their headers alone."""
    whole = write_video(tmp_path / f"whole.{suffix}", talking(75), codec=codec)
    content = whole.read_bytes()
    # AVI ends with an index as long as all that comes before.
    end = content.find(b"idx1") if suffix == "avi" else len(content)
    (tmp_path / f"cut.{suffix}").write_bytes(content[: end // 2])
    items = [{"id": name, "media": f"{name}.{suffix}"} for name in ("whole", "cut")]
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus"), items)
    store = run(tmp_path / "m.jsonl", tmp_path / "media.h5")
    assert store.ids == ["whole"] and store.lengths("face")[0] >= 74
    assert lost(store) == {"cut": "truncated"}


def test_what_fails_in_one_recording_loses_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in our own code must not cost the night's other recordings."""
    for name, frames in (("good", 10), ("strange", 11)):
        write_video(tmp_path / f"{name}.mp4", talking(frames), sound=SOUND[: 640 * frames])
    items = [{"id": name, "media": f"{name}.mp4"} for name in ("good", "strange")]
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus"), items)
    decode = extraction.decode_faces

    def broken(path: Path, *arguments: object) -> object:
        if path.stem == "strange":
            raise IndexError("index 512 is out of bounds")
        return decode(path, *arguments)

    monkeypatch.setattr(extraction, "decode_faces", broken)
    store = run(tmp_path / "m.jsonl", tmp_path / "media.h5")
    assert store.ids == ["good", "strange"]
    assert store.meta["without_face"] == ["", "unexpected"]


def test_sound_and_pictures_that_hardly_belong_together_are_named(tmp_path: Path, avaffect) -> None:
    write_video(tmp_path / "a.mp4", talking(10))
    soundfile.write(tmp_path / "long.wav", tone(seconds=3.0), SAMPLE_RATE_HZ)
    item = {"id": "a", "media": {"audio": "long.wav", "video": "a.mp4"}}
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus"), [item])
    words = avaffect("preprocess", tmp_path / "m.jsonl", "-o", tmp_path / "m.h5").stderr
    assert "audio and video of 1 utterance differs in length by more than 1 s" in words


def test_cuts_are_counted_and_said(tmp_path: Path, avaffect) -> None:
    far = [np.pad(picture, ((0, 60), (0, 300)), mode="edge") for picture in talking(20)]
    for picture in far:
        picture[100:, 200:] = 240
    near = [np.pad(picture, ((60, 0), (300, 0)), mode="edge") for picture in talking(20)]
    write_video(tmp_path / "cut.mp4", far + near)
    write_video(tmp_path / "one.mp4", far)
    items = [{"id": name, "media": f"{name}.mp4"} for name in ("cut", "one")]
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus"), items)
    words = avaffect("preprocess", tmp_path / "m.jsonl", "-o", tmp_path / "m.h5").stderr
    assert "1 utterance has cuts (1 in all)" in words
    store = Store(tmp_path / "m.h5")
    assert store.meta["cuts"].tolist() == [1, 0]
    # The same face at another place: one person, seen throughout.
    assert store.meta["faces_absent"].tolist() == [0, 0]
