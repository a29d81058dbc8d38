"""preprocess --faces none: pictures with their proportions, cut or padded to one shape."""

from __future__ import annotations

from pathlib import Path

import films
import numpy as np
import pytest
import torch
from chain import invoke

from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.models import avhubert
from avaffect.models.avhubert import AVHubert
from avaffect.recipes.encoding import checkpoints

WIDE, HIGH = (160, 90), (60, 120)


def gradient(size: tuple[int, int]) -> np.ndarray:
    """(H, W) grey: brighter to the right and, less so, to the bottom, from 60 to 200."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    return (60 + 100 * across + 40 * down).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("wide")
    items = []
    for name, size in (("wide", WIDE), ("high", HIGH)):
        films.write_video(found / f"{name}.mp4", [gradient(size)] * 5)
        items.append({"id": name, "media": f"{name}.mp4"})
    manifest.write(found / "m.jsonl", manifest.new_header("corpus"), items)
    return found


def pictures(folder: Path, *options: object) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Id -> its first picture and its box."""
    said = invoke(folder, "preprocess", "m.jsonl", "--faces", "none", *options, "-j", 1, "-o",
                  "s.h5", "-f").stderr  # fmt: skip
    assert "10 pictures" in said and "detected" not in said
    store = Store(folder / "s.h5")
    return {
        i: (
            np.array(store.read("face", row))[0, ..., 0],
            np.array(store.read("face_track", row))[0],
        )
        for i, row in store.rows.items()
    }


def test_what_another_shape_leaves_over_is_cut_off(folder: Path) -> None:
    found = pictures(folder, "--size", 45, "--width", 80)
    whole, box = found["wide"]
    assert whole.shape == (45, 80) and box[:4].tolist() == [0, 0, 160, 90]
    expected = gradient(WIDE).reshape(45, 2, 80, 2).mean(axis=(1, 3))
    assert np.abs(whole - expected).max() < 6
    # Of a high picture, the middle: all of its width, and 60 x 45 / 80 of its height.
    cut, box = found["high"]
    assert box[:4] == pytest.approx([0, 60 - 33.75 / 2, 60, 33.75])
    assert np.abs(cut[[0, -1]].mean(axis=1) - (110 + 40 * np.array([0.36, 0.64]))).max() < 6
    # Without a width, a square as before.
    square, box = pictures(folder, "--size", 45)["wide"]
    assert square.shape == (45, 45) and box[:4].tolist() == [35, 0, 90, 90]
    assert square[20, 0] == pytest.approx(60 + 100 * 35 / 160 + 18, abs=6)


def test_pictures_are_padded_with_black(folder: Path) -> None:
    found = pictures(folder, "--size", 45, "--width", 80, "--fit", "pad")
    # Of its own shape there is nothing to pad.
    cut = pictures(folder, "--size", 45, "--width", 80)["wide"][0]
    assert np.array_equal(found["wide"][0], cut)
    high, box = found["high"]
    # 22.5 columns of 80.
    assert box[:4].tolist() == [0, 0, 60, 120]
    assert not high[:, :28].any() and not high[:, 52:].any() and high[:, 30:50].min() > 55
    assert high[0, 30:50].mean() == pytest.approx(110, abs=6)
    assert high[-1, 30:50].mean() == pytest.approx(150, abs=6)
    square = pictures(folder, "--size", 40, "--fit", "pad", "--color", "rgb")["wide"][0]
    assert square.shape == (40, 40) and not square[:8].any() and square[10:30].min() > 55


def test_wide_pictures_go_through_patches(folder: Path) -> None:
    torch.manual_seed(0)
    checkpoints.save_encoder(folder / "x.safetensors", AVHubert(avhubert.PRESETS["nano"]), None,
                             provenance=provenance("test", {}, []))  # fmt: skip
    pictures(folder, "--size", 48, "--width", 80)
    extract = ("extract", "s.h5", "--model", "x.safetensors", "--modality", "video")
    said = invoke(folder, *extract, "--patch", 24, "-o", "p.h5").stderr
    assert "squeezed" not in said
    assert Store(folder / "p.h5").streams["features"].made["patches"] == [2, 3]
    assert "80 x 48" in invoke(folder, *extract, "-o", "w.h5").stderr


def test_only_whole_pictures_have_a_width(folder: Path) -> None:
    def refused(*options: object) -> str:
        return invoke(folder, "preprocess", "m.jsonl", *options, "-o", "no.h5", status=2).stderr

    assert "--width" in refused("--width", 80)
    assert "--fit" in refused("--fit", "pad")
    assert "--width" in refused("--without", "video", "--width", 80)
    assert "--width" in refused("--faces", "none", "--width", 4)
    # Stores of before stay up to date.
    made = Store(folder / "s.h5").provenance["settings"]
    assert made["width"] == 80 and "fit" not in made
