"""First Impressions with its pickled labels, hostile pickles, and NDC-ME."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus_folders import by_id, made, touch

from avaffect.core import plain_pickles
from avaffect.core.errors import DataError
from avaffect.data.corpora import first_impressions, ndc_me

CLIPS = ("train/J4GQm9j0JZ0.003.mp4", "train/J4GQm9j0JZ0.004.mp4", "val/-a_.b.000.mp4",
         "test/zZ12.001.mp4", "test/zZ12.002.mp4")  # fmt: skip


def labels(first: float, *names: str) -> dict[str, dict[str, float]]:
    """Trait number k of clip n is first + k / 100 + n / 1000."""
    return {
        trait: {f"{name}.mp4": first + k / 100 + n / 1000 for n, name in enumerate(names)}
        for k, trait in enumerate(first_impressions.LABELS)
    }


def impressions(tmp_path: Path, **tables: Any) -> Path:
    folder = touch(tmp_path / "fi", *CLIPS)
    parts = {
        "annotation_training": labels(0.1, "J4GQm9j0JZ0.003", "J4GQm9j0JZ0.005"),
        "annotation_validation": labels(0.3, "-a_.b.000", "J4GQm9j0JZ0.004"),
        "annotation_test": labels(0.5, "zZ12.001"),
        "transcription_training": {"J4GQm9j0JZ0.003.mp4": "So, hello", "other.001.mp4": "x"},
    } | tables
    for name, content in parts.items():
        if not isinstance(content, bytes):
            content = pickle.dumps(content, protocol=2)
        touch(folder, f"annotations/{name}.pkl", content=content)
    return folder


def test_first_impressions(tmp_path: Path) -> None:
    found, said = made(tmp_path / "m.jsonl", "first-impressions", impressions(tmp_path))
    items = by_id(found)
    first = items["first-impressions_J4GQm9j0JZ0.003"]
    assert (first["split"], first["text"]) == ("train", "So, hello")
    # One video in two of the published splits is no speaker.
    assert first["session"] == "first-impressions_J4GQm9j0JZ0" and "speaker" not in first
    assert items["first-impressions_zZ12.001"]["speaker"] == "first-impressions_zZ12"
    assert list(first["labels"]) == list(first_impressions.LABELS)
    assert list(first["labels"].values()) == pytest.approx([0.1 + k / 100 for k in range(6)])
    assert [item["split"] for item in found.items] == [
        "development",
        "train",
        "development",
        "test",
    ]
    assert "rated, but no recording is there: 1: J4GQm9j0JZ0.005" in said
    assert "left out, in no annotation: 1: test/zZ12.002.mp4" in said
    assert "--by session --replace): 1: J4GQm9j0JZ0" in said
    facts = found.header.to_dict()
    assert {of["kind"] for of in facts["labels"].values()} == {"scalar"}
    assert len([i for i in facts["provenance"]["inputs"] if i["role"] == "table"]) == 4


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_python_2_and_3_and_of_numpy(tmp_path: Path, protocol: int) -> None:
    """Numbers as float, whole numbers, and numpy's, in all protocols; NaN is not rated."""
    values = {"a.000.mp4": 0.25, "b.001.mp4": 1, "c.002.mp4": np.float64(0.5),
              "d.003.mp4": np.float32(0.125), "e.004.mp4": float("nan")}  # fmt: skip
    table = pickle.dumps({"openness": values}, protocol=protocol)
    folder = impressions(tmp_path, annotation_training=table)
    touch(folder, *(f"more/{name}" for name in values))
    found, _ = made(tmp_path / "m.jsonl", "first-impressions", folder)
    items = by_id(found)
    got = [items[f"first-impressions_{name[:-4]}"]["labels"].get("openness") for name in values]
    assert got == [0.25, 1.0, 0.5, 0.125, None]
    # Python 2 wrote bytes of numbers, and names, as texts.
    two = b"\x80\x02U\x09a.000.mp4G?\xd0\x00\x00\x00\x00\x00\x00\x86."
    (tmp_path / "two.pkl").write_bytes(two)
    assert plain_pickles.read(tmp_path / "two.pkl") == ("a.000.mp4", 0.25)
    big = pickle.dumps(np.array([1.5], dtype=">f8")[0], protocol=2)
    (tmp_path / "big.pkl").write_bytes(big)
    assert plain_pickles.read(tmp_path / "big.pkl") == 1.5


class Runs:
    """Would make a file if its pickle were run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


GLOBAL = b"\x80\x02cposix\nsystem\nU\x04trueR."
TABLE = labels(0.1, "J4GQm9j0JZ0.003")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (GLOBAL, r"names posix\.system"),
        (b"\x80\x02cnumpy\nloads\nU\x01xR.", r"names numpy\.loads"),
        (b"\x80\x02U\x01xQ.", "another file"),
        (pickle.dumps({"openness": np.arange(3.0)}), "names numpy"),
        (pickle.dumps(TABLE)[:-40], "cut short"),
        (b"", "cut short"),
        (b"version https://git-lfs.github.com/spec/v1\n", "no pickle"),
        (TABLE["openness"], "expected a dictionary of the traits"),
        ([1, 2], "expected a dictionary of the traits"),
        ({**TABLE, "extraversion": [1]}, "extraversion is no dictionary"),
        ({**TABLE, "extraversion": {"J4GQm9j0JZ0.003.mp4": "0.5"}}, "which is no number"),
        ({**TABLE, "extraversion": {"J4GQm9j0JZ0.003.mp4": 1.5}}, "1.5; its scale is 0 to 1"),
        ({**TABLE, "extraversion": {"J4GQm9j0JZ0.mp4": 0.5}}, "no name of a clip"),
        ({**TABLE, "extraversion": {3: 0.5}}, "no name of a clip"),
        (labels(0.5, "zZ12.001"), r"in another annotation, too \(train"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, table: Any, said: str) -> None:
    folder = impressions(tmp_path, annotation_training=table)
    with pytest.raises(DataError, match=said):
        made(tmp_path / "m.jsonl", "first-impressions", folder)


def test_nothing_of_a_pickle_is_run(tmp_path: Path) -> None:
    content = pickle.dumps({"openness": Runs(tmp_path / "ran")})
    assert any(op.name == "REDUCE" for op, _, _ in pickletools.genops(content))
    folder = impressions(tmp_path, annotation_test=content)
    with pytest.raises(DataError, match="nothing was run"):
        made(tmp_path / "m.jsonl", "first-impressions", folder)
    assert not (tmp_path / "ran").exists()


def test_first_impressions_without_annotations(tmp_path: Path) -> None:
    folder = touch(tmp_path / "videos", *CLIPS)
    with pytest.raises(DataError, match="no annotations"):
        made(tmp_path / "m.jsonl", "first-impressions", folder)
    tables = impressions(tmp_path) / "annotations"
    found, _ = made(tmp_path / "m.jsonl", "first-impressions", folder, tables=tables)
    assert len(found) == 4
    texts = pickle.dumps({"J4GQm9j0JZ0.003.mp4": 5})
    (tables / "transcription_training.pkl").write_bytes(texts)
    with pytest.raises(DataError, match="texts by clip"):
        made(tmp_path / "n.jsonl", "first-impressions", folder, tables=tables)


def test_ndc_me_by_folders_and_by_names(tmp_path: Path) -> None:
    folder = touch(
        tmp_path / "ndc", "train/Smile/P03/0012.mp4", "train/laughter/P03/0012.mp4",
        "val/neutral/subject_4/0012.mp4", "P07_laugh_0001.wav", "P07_laugh_0001.mp4",
        "smile_12.mp4", "smile_laugh_13.mp4", "clip.mp4",
    )  # fmt: skip
    found, said = made(tmp_path / "m.jsonl", "ndc-me", folder)
    items = by_id(found)
    facts = {
        name: (i["labels"]["expression"], i.get("speaker"), i.get("split"))
        for name, i in items.items()
    }
    assert facts == {
        "ndc-me_smile_3_0012": ("smile", "ndc-me_3", "train"),
        "ndc-me_laughter_3_0012": ("laughter", "ndc-me_3", "train"),
        "ndc-me_neutral_4_0012": ("neutral", "ndc-me_4", "development"),
        "ndc-me_7_P07_laugh_0001": ("laughter", "ndc-me_7", None),
        "ndc-me_smile_12": ("smile", None, None),
    }
    assert set(items["ndc-me_7_P07_laugh_0001"]["media"]) == {"audio", "video"}
    assert "2: clip.mp4, smile_laugh_13.mp4" in said and "5 of 8352 utterances" in said
    assert found.header.to_dict()["labels"]["expression"]["classes"] == list(ndc_me.CLASSES)


@pytest.mark.parametrize("corpus", ["first-impressions", "ndc-me"])
def test_wrong_folders_say_what_was_looked_for(tmp_path: Path, corpus: str) -> None:
    folder = touch(tmp_path / "corpus", "song.mp3", "notes.txt")
    if corpus == "first-impressions":
        for name, content in {"annotation_test": TABLE}.items():
            touch(folder, f"{name}.pkl", content=pickle.dumps(content))
    with pytest.raises(DataError, match=r"files named like .*; found 1 other, such as song\.mp3"):
        made(tmp_path / "m.jsonl", corpus, folder)
    with pytest.raises(DataError, match="no such folder"):
        made(tmp_path / "m.jsonl", corpus, tmp_path / "nowhere")
