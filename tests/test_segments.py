"""Features of segments, pictures in patches, and the choice of videos that show faces."""

from __future__ import annotations

import json
from pathlib import Path

import films
import numpy as np
import pytest
import torch
from chain import invoke
from stores import write_store
from trace_sources import write_manifest

from avaffect.core.batch import Batch
from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.faces import presence
from avaffect.data.store.reader import Store
from avaffect.models import avhubert
from avaffect.models.avhubert import AVHubert
from avaffect.recipes.encoding import checkpoints

# Seconds of each utterance; a remainder of less than a tenth of a segment is none.
SECONDS = (2.0, 1.32, 0.4, 0.0, 0.82)
SEGMENT, SIDE = 0.4, 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("segments")
    random = np.random.default_rng(0)
    sound = [random.normal(0, 3000, round(16000 * s)).astype(np.int16) for s in SECONDS]
    faces = [random.integers(0, 256, (round(25 * s), 50, 76, 1)).astype(np.uint8) for s in SECONDS]
    write_store(found / "media.h5", {"waveform": (16000.0, sound), "face": (25.0, faces)})
    torch.manual_seed(0)
    model = AVHubert(avhubert.PRESETS["nano"])
    checkpoints.save_encoder(found / "x.safetensors", model, None,
                             provenance=provenance("test", {}, []))  # fmt: skip
    return found


def test_a_vector_is_what_the_encoder_makes_of_a_segment_and_of_each_patch(folder: Path) -> None:
    invoke(folder, "extract", "media.h5", "--model", "x.safetensors", "--segment", SEGMENT,
           "--patch", SIDE, "--batch-seconds", 2, "-o", "s.h5")  # fmt: skip
    media, made = Store(folder / "media.h5"), Store(folder / "s.h5")
    spec = made.streams["features"]
    encoder, _ = checkpoints.load_encoder(folder / "x.safetensors", torch.device("cpu"))
    assert spec.rate_hz == 2.5 and spec.shape == (2 * 3 * encoder.dim,)
    assert spec.made["segment"] == SEGMENT and spec.made["patches"] == [2, 3]
    assert made.lengths("features").tolist() == [5, 4, 1, 0, 2]
    for row, number in ((0, 0), (0, 3), (1, 3), (2, 0)):
        first = round(number * SEGMENT * 25)
        last = first + round(SEGMENT * 25)
        sound = np.array(media.read("waveform", row))[first * 640 : last * 640]
        pictures = np.array(media.read("face", row))[first:last]
        vectors = []
        for y in (1, 1 + SIDE):
            for x in (2, 2 + SIDE, 2 + 2 * SIDE):
                patch = pictures[None, :, y : y + SIDE, x : x + SIDE]
                streams = {"waveform": sound[None], "face": patch}
                batch = Batch(
                    ids=["a"],
                    streams={n: torch.from_numpy(v.copy()) for n, v in streams.items()},
                    lengths={n: torch.tensor([v.shape[1]]) for n, v in streams.items()},
                    present={n: torch.tensor([True]) for n in streams},
                    rates={"waveform": 16000.0, "face": 25.0},
                )
                with torch.no_grad():
                    vectors.append(encoder(batch).mean()[0].numpy())
        found = made.read("features", row)[number]
        np.testing.assert_allclose(found, np.concatenate(vectors), atol=2e-5)
    np.testing.assert_allclose(
        made.pooled_vectors("mean")[0], np.array(made.read("features", 0)).mean(axis=0), atol=1e-6
    )


def test_segments_of_descriptors(folder: Path) -> None:
    invoke(folder, "extract", "media.h5", "--model", "logmel", "--segment", SEGMENT, "-o", "l.h5")
    found = Store(folder / "l.h5")
    assert found.lengths("features").tolist() == [5, 4, 1, 0, 2]
    assert found.streams["features"].shape == (80,)


def test_mistakes_with_segments(folder: Path) -> None:
    def refused(*options: object, status: int = 2) -> str:
        return invoke(folder, "extract", "media.h5", *options, "-o", "no.h5", status=status).stderr

    encoder = ("--model", "x.safetensors")
    assert "--pooled-only" in refused(*encoder, "--segment", 1, "--pooled-only")
    assert "--patch 16" in refused("--model", "logmel", "--patch", 16)
    assert "--patch 16" in refused(*encoder, "--modality", "audio", "--patch", 16)
    assert "76 x 50" in refused(*encoder, "--patch", 64, status=65)
    assert "--segment" in refused(*encoder, "--segment", 0)


def test_a_trace_of_segments_may_end_a_step_before_its_recording(tmp_path: Path) -> None:
    from avaffect.data.items import lasts_otherwise
    from avaffect.data.store.schema import LabelSpec

    specs = {"highlight": LabelSpec("trace", rate_hz=0.2)}
    assert not lasts_otherwise({"highlight": np.zeros(2)}, specs, 12.9)
    assert lasts_otherwise({"highlight": np.zeros(2)}, specs, 17.0)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of 2 s: a face throughout, in half of it, and none; and what is no film."""
    found = tmp_path_factory.mktemp("people")
    wall = films.scene()
    talking = films.talking(20)
    for name, frames in (("face", talking), ("half", [*talking[:10], *[wall] * 10]),
                         ("wall", [wall] * 20)):  # fmt: skip
        films.write_video(found / f"{name}.mp4", frames, fps=10)
    (found / "broken.mp4").write_bytes(b"not a film")
    header = manifest.new_header("corpus")
    items = [{"id": name, "media": f"{name}.mp4"} for name in ("face", "half", "wall", "broken")]
    manifest.write(found / "m.jsonl", header, items)
    return found


def select(folder: Path, *options: object, status: int = 0) -> tuple[list[str], str]:
    found = invoke(folder, "select", "m.jsonl", "-j", 1, *options, status=status)
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    return [line["id"] for line in lines if line["kind"] == "item"], found.stderr


def test_videos_that_show_a_face(people: Path) -> None:
    kept, said = select(people, "--faces-in", 0.9, "--faces-fps", 5)
    assert kept == ["face"] and "left out: 2 with a face" in said and "broken" in said
    assert select(people, "--faces-in", 0.4, "--faces-fps", 5)[0] == ["face", "half"]
    # As a part of the recording.
    header = manifest.new_header("corpus")
    part = {"id": "first", "media": "half.mp4", "start": 0.0, "end": 0.9}
    manifest.write(people / "m2.jsonl", header, [part])
    found = invoke(people, "select", "m2.jsonl", "--faces-in", 1, "--faces-fps", 5, "-j", 1)
    assert '"first"' in found.stdout


def test_faces_are_looked_for_once(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    found = presence.share_with_face

    def look(at: presence.Look) -> float | str:
        looked.append(at.path.stem)
        return found(at)

    monkeypatch.setattr(presence, "share_with_face", look)
    films.write_video(people / "gone.mp4", films.talking(10), fps=10)
    items = [{"id": name, "media": f"{name}.mp4"} for name in ("wall", "gone")]
    manifest.write(people / "m3.jsonl", manifest.new_header("corpus"), items)
    options = ("select", "m3.jsonl", "-j", 1, "--faces-in", 0.9, "-o", "once.jsonl")
    assert invoke(people, *options, "-n").status == 0 and not looked
    invoke(people, *options)
    assert looked == ["wall", "gone"]
    assert "up to date" in invoke(people, *options).stderr and looked == ["wall", "gone"]
    # Another recording under the same name, other settings: refused before, not after.
    films.write_video(people / "gone.mp4", [films.scene()] * 10, fps=10)
    invoke(people, *options, status=73)
    invoke(people, *options, "--limit", 1, status=73)
    assert looked == ["wall", "gone"]
    assert "none left" in invoke(people, *options, "-f").stderr


def test_mistakes_with_faces(people: Path) -> None:
    assert "--faces-fps" in invoke(people, "select", "m.jsonl", "--faces-fps", 2, status=2).stderr
    words = invoke(people, "select", "m.jsonl", "--faces-in", 0.9, "--faces", "yunet", status=2)
    assert "--face-model" in words.stderr
    write_manifest(people / "t.jsonl", {"a": np.zeros(3)})
    words = invoke(people, "select", "t.jsonl", "--faces-in", 0.9, "-j", 1).stderr
    assert "left out: 1" in words


def test_selections_of_before_are_recorded_as_they_were(people: Path) -> None:
    invoke(people, "select", "m.jsonl", "--limit", 1, "-o", "one.jsonl", "-f")
    header = json.loads((people / "one.jsonl").read_text().splitlines()[0])
    assert not {n for n in header["provenance"]["settings"] if n.startswith("face")}
