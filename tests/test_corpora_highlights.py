"""Video2GIF and PHD-GIFs: which segments are highlights, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_folders import by_id, made, touch

from avaffect.core.errors import DataError
from avaffect.data.corpora.highlights import segment_labels


@pytest.mark.parametrize(
    ("excerpts", "duration", "labels"),
    [
        ([(5, 10)], 20, [0, 1, 0, 0]),
        # 3 s of five, and a hundredth less.
        ([(2, 5)], 10, [1, 0]),
        ([(2.01, 5)], 10, [0, 0]),
        # Two excerpts of which neither covers enough.
        ([(0, 2), (2.5, 4.5)], 10, [0, 0]),
        ([(3, 13)], 20, [0, 1, 1, 0]),
        # A remainder of 3 s is a segment, one of less is none.
        ([(10, 13)], 13, [0, 0, 1]),
        ([(10, 12.9)], 12.9, [0, 0]),
        ([], 4, [0]),
        ([(0, 2)], 2, []),
    ],
)
def test_a_segment_is_a_highlight_by_its_overlap(excerpts, duration, labels) -> None:
    assert segment_labels(excerpts, duration) == labels


COLUMNS = ("youtube_id", "is_creative_commons", "gif_id", "gif_start_sec", "gif_end_sec",
           "gif_title", "video_duration", "video_category")  # fmt: skip


def metadata(folder: Path, *rows: tuple[object, ...]) -> Path:
    lines = [";\t".join(map(str, row)) for row in (COLUMNS, *rows)]
    (folder / "metadata.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_video2gif(tmp_path: Path) -> None:
    folder = touch(tmp_path / "v", "videos/-a_1.mp4", "videos/b.mp4", "c.mp4", "d.mp4")
    metadata(
        folder,
        ("-a_1", 0, 1, 5.0, 9.5, "Wow; \tit, \"falls\"", 21.0, "Comedy"),
        ("-a_1", 0, 2, 15.5, 20.0, "again", 21.0, "Comedy"),
        ("b", 1, 3, 0, 5, "x", 12, "Pets"),
        # Too short a GIF.
        ("c", 1, 4, 1, 2, "x", 12, "Pets"),
        ("gone", 1, 5, 1, 9, "x", 12, "Pets"),
        ("b", 1, 6, "soon", 9, "x", 12, "Pets"),
        ("b", 1, 7),
    )  # fmt: skip
    (folder / "testset.txt").write_text("b\nother\n")
    found, said = made(tmp_path / "m.jsonl", "video2gif", folder)
    assert found.header.to_dict()["labels"] == {"highlight": {"kind": "trace", "rate_hz": 0.2}}
    items = by_id(found)
    assert {k: v for k, v in items["video2gif_-a_1"].items() if k not in ("kind", "id")} == {
        "media": "videos/-a_1.mp4", "speaker": "video2gif_-a_1", "film": "-a_1", "gifs": 2,
        "split": "train", "category": "Comedy", "labels": {"highlight": [0, 1, 0, 1]},
    }  # fmt: skip
    assert items["video2gif_b"]["split"] == "test"
    assert items["video2gif_b"]["labels"] == {"highlight": [1, 0]}
    assert len(found) == 2
    for words in ("1: c.mp4", "1: d.mp4", "1: gone", "metadata.txt, line 7", "line 8"):
        assert words in said


def test_phd_gifs(tmp_path: Path) -> None:
    folder = touch(tmp_path / "p", *(f"{name}.mp4" for name in "abcd"))
    head = "youtubeId,start,duration,user_id,video_duration,is_last\n"
    (folder / "training.csv").write_text(head + "a,0,5,1,30.0,False\na,20.5,4,2,30.0,True\n")
    (folder / "testing.csv").write_text(
        head + "b,0,5,9,20.0,False\nc,5,4,9,20.0,True\nd,5,1,9,20.0,True\n"
    )
    found, said = made(tmp_path / "m.jsonl", "phd-gifs", folder)
    items = by_id(found)
    # Two users' excerpts of one video are both highlights.
    assert items["phd-gifs_a"]["labels"] == {"highlight": [1, 0, 0, 0, 1, 0]}
    assert {i: item["split"] for i, item in items.items()} == {
        "phd-gifs_a": "train", "phd-gifs_b": "train", "phd-gifs_c": "test",
    }  # fmt: skip
    assert "1: d.mp4" in said


def test_folders_that_are_neither(tmp_path: Path) -> None:
    folder = touch(tmp_path / "v", "a.mp4")
    for corpus in ("video2gif", "phd-gifs"):
        with pytest.raises(DataError, match="--tables"):
            made(tmp_path / "m.jsonl", corpus, folder)
    (folder / "metadata.txt").write_text("youtube_id;\tgif_start_sec\n")
    with pytest.raises(DataError, match="gif_end_sec"):
        made(tmp_path / "m.jsonl", "video2gif", folder)
    (folder / "training.csv").write_text("youtubeId,start\na,1\n")
    with pytest.raises(DataError, match="duration"):
        made(tmp_path / "m.jsonl", "phd-gifs", folder)
