"""The chain of examples/emodb.mk with an encoder that sees: real talking faces as the pool."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from makefiles import make, sentences_of_emodb

from avaffect.core.checkpoint_header import read_header
from avaffect.data import manifest
from avaffect.data.store.reader import Store


@pytest.mark.slow
def test_emodb_with_talking_faces_as_the_pool(recordings: Path, tmp_path: Path) -> None:
    """A hears alone, B also sees: films whose sound lies beside them, a part of each."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    pool = tmp_path / "faces.csv"
    films = sorted((recordings / "video_styletalk").glob("*.mp4"))[::2]
    with pool.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["utt", "sound", "film", "speaker", "start", "end"])
        for film in films:
            paths = [film.with_suffix(".wav"), film]
            writer.writerow([film.stem, *paths, film.stem.split("_")[0], 1, 2])
    emodb = sentences_of_emodb(recordings, tmp_path, "a02")
    out = tmp_path / "out"
    make(
        "examples/emodb.mk", f"EMODB={emodb}", f"POOL={pool}", f"OUT={out}",
        "MODALITY=av", "TABLE=--id utt --media sound --video film --speaker speaker --start start "
        "--end end", "SEEDS=0", "CLUSTERS=20", "PRETRAIN_EPOCHS=1", "PROJECTOR_EPOCHS=10",
        "ADAPT_EPOCHS=1", "FINETUNE_EPOCHS=1", f"{out}/0-adapted-frozen.jsonl",
        f"{out}/0-pretrained-retrieval.png",
    )  # fmt: skip
    faces = Store(out / "B.h5")
    assert (faces.lengths("face") == 25).all() and (faces.lengths("waveform") == 16_000).all()
    # Real faces, found in every picture.
    assert sum(faces.meta["faces_absent"]) == 0
    adapted = read_header(out / "0-adapted.safetensors")
    assert adapted["preprocessing"]["streams"] == ["waveform", "face"]
    predicted = manifest.read(out / "0-adapted-frozen.jsonl").items
    assert len({item["speaker"] for item in predicted}) == 2
