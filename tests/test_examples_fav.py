"""examples/fav-hubert.mk: three iterations, anew and from an encoder that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from chain import invoke
from makefiles import make

from avaffect.core.checkpoint_header import read_header
from avaffect.core.provenance import of_role
from avaffect.data.store.reader import Store

QUICK = (
    "CLUSTERS_1=8", "CLUSTERS_2=9", "CLUSTERS_3=10", "LAYER_2=2", "LAYER_3=3",
    "CLUSTERING=--initialisations 1", "TRAINING=--steps 2 --batch-seconds 20",
)  # fmt: skip


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path_factory.mktemp("fav")
    invoke(folder, "synth", "films", "--utterances", 8, "--speakers", 2, "--shortest", 0.6,
           "--longest", 0.8, "-o", "films.jsonl")  # fmt: skip
    invoke(folder, "preprocess", "films.jsonl", "--size", 48, "-o", "media.h5")
    make("examples/fav-hubert.mk", f"MEDIA={folder / 'media.h5'}", f"OUT={folder / 'fav'}",
         "PRESET=nano", *QUICK)  # fmt: skip
    return folder


def _check_iterations(folder: Path, rates: tuple[float, ...]) -> None:
    for number, (clusters, rate) in enumerate(zip((8, 9, 10), rates), start=1):
        header = read_header(folder / f"fav{number}.safetensors")
        assert header["model"]["name"] == "avhubert"
        units = Store(folder / f"media-units{number}.h5").streams["units"]
        assert units.made["clusters"] == clusters
        assert units.rate_hz == rate
        assert len(of_role(header["provenance"], "quantiser")) == 1


def test_three_iterations_anew(media: Path) -> None:
    _check_iterations(media / "fav", (100.0, 25.0, 25.0))
    layers = [
        read_header(media / "fav" / f"kmeans{n}.safetensors")["preprocessing"].get("layer")
        for n in (1, 2, 3)
    ]
    assert layers == [None, 2, 3]


def test_three_iterations_from_an_encoder_that_is_there(media: Path) -> None:
    start = media / "fav" / "fav3.safetensors"
    make("examples/fav-hubert.mk", f"MEDIA={media / 'media.h5'}", f"OUT={media / 'on'}",
         f"INIT={start}", *QUICK)  # fmt: skip
    _check_iterations(media / "on", (25.0, 25.0, 25.0))
    first = read_header(media / "on" / "fav1.safetensors")["provenance"]
    assert of_role(first, "init")[0]["content_id"] == read_header(start)["content_id"]
    assert first["settings"]["reset_head"] is True
