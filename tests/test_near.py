"""Suggestions for names that were mistyped: of everything that has a name."""

from __future__ import annotations

from pathlib import Path

import pytest
import scored_voices
from chain import invoke

from avaffect.core.near import meant, meant_file, nearest


def test_the_nearest_name() -> None:
    names = ["emotion", "arousal", "Valence"]
    assert nearest("emotoin", names) == "emotion" and nearest("VALENCE", names) == "Valence"
    assert nearest("colour", names) is None and nearest("emotion", []) is None
    assert meant("arousel", iter(names)) == "; did you mean arousal?" and meant("x", names) == ""


def test_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "media.h5").write_text("")
    assert meant_file(tmp_path / "meda.h5") == f"; did you mean {tmp_path / 'media.h5'}?"
    assert meant_file(tmp_path / "x") == meant_file(tmp_path / "none" / "media.h5") == ""


@pytest.fixture(scope="module")
def folder(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = scored_voices.build(tmp_path_factory.mktemp("mistyped"), voices)
    (folder / "clips.csv").write_text("utt,path,emo\na,a.wav,anger\n")
    invoke(
        folder, "pretrain-apc", "a.h5", "--preset", "nano", "--steps", 0, "-o", "apc.safetensors"
    )
    return folder


MISTYPED = [
    (2, "retreive", "retrieve"),
    (2, "help finetnue", "finetune"),
    (2, "finetune mfcc.h5 --lable emotion", "--label"),
    (2, "finetune a.h5 --encoder apc.safetensors --mode frozn", "frozen"),
    (2, "finetune mfcc.h5 --head liner", "linear"),
    (65, "finetune mfcc.h5 --label emotoin", "emotion"),
    (65, "finetune mfcc.h5 --classes anger,hapiness", "happiness"),
    (2, "finetune mfcc.h5 --loss cee=1", "ce"),
    (2, "finetune a.h5 --encoder apc.safetensors --augment nose", "noise"),
    (65, "finetune mean.h5 --vectors men", "mean"),
    (65, "finetune mfc.h5", "mfcc.h5"),
    (65, "extract a.h5 --model mfc -o x.h5", "mfcc"),
    (2, "cluster a.h5 --features mfc", "mfcc"),
    (65, "eval-embeddings mean.h5 --by speeker", "speaker"),
    (65, "eval-class p.jsonl --gold a.jsonl --label emotoin", "emotion"),
    (65, "eval-class p.jsonl --by speeker", "speaker"),
    (65, "compare r.json --score acuracy", "accuracy"),
    (65, "select a.jsonl --where emotoin=anger", "emotion"),
    (65, "select aa.jsonl --where emotion=anger", "a.jsonl"),
    (65, "split a.jsonl --stratify emotoin", "emotion"),
    (2, "manifest emobd x", "emodb"),
    (65, "manifest table clips.csv --media paht", "path"),
    (2, "import x --as hubertt", "hubert"),
    (2, "export a.jsonl --to lotse -o x", "lhotse"),
]  # fmt: skip


@pytest.mark.parametrize("status, line, expected", MISTYPED, ids=[line for _, line, _ in MISTYPED])
def test_what_was_meant(status: int, line: str, expected: str, folder: Path) -> None:
    found = invoke(folder, *line.split(), status=status).stderr
    assert "id you mean" in found
    offered = found.rpartition("id you mean ")[2].removeprefix("one of: ")
    assert expected in offered.replace("'", "").rstrip(").?\n").replace("?", "").split(", ")
