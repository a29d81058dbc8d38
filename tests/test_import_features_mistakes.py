"""Features of other tools that are refused, and why: one sentence, and nothing is written."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from feature_tables import IMPORT, table

from avaffect.data import manifest
from avaffect.data.store.reader import Store


def _folder(*shapes: tuple[int, ...]):
    def write(folder: Path) -> str:
        (folder / "f").mkdir()
        for number, shape in enumerate(shapes):
            np.save(folder / "f" / f"u{number}.npy", np.zeros(shape))
        return "f --rate 50"

    return write


def _pickled(folder: Path) -> str:
    (folder / "f").mkdir()
    np.save(folder / "f" / "u.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return "f"


def _no_array_within(folder: Path) -> str:
    with zipfile.ZipFile(folder / "f.npz", "w") as archive:
        archive.writestr("a.txt", "words")
    return "f.npz"


def _twice_within(folder: Path) -> str:
    with zipfile.ZipFile(folder / "f.npz", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            with archive.open("u.npy", "w") as member:
                np.save(member, np.zeros(3))
    return "f.npz"


def _damaged_within(folder: Path) -> str:
    np.savez_compressed(folder / "f.npz", a=np.random.default_rng(0).random(999))
    whole = bytearray((folder / "f.npz").read_bytes())
    whole[300:400] = bytes(100)
    (folder / "f.npz").write_bytes(whole)
    return "f.npz"


def _cut(folder: Path) -> str:
    (folder / "f").mkdir()
    np.save(folder / "f" / "u.npy", np.zeros((100, 10)))
    whole = (folder / "f" / "u.npy").read_bytes()
    (folder / "f" / "u.npy").write_bytes(whole[:2000])
    return "f --rate 50"


def _two_kinds(folder: Path) -> str:
    table(folder / "f" / "a.csv", ("id", "x"), [("a", 1)])
    np.save(folder / "f" / "b.npy", np.zeros(3))
    return "f"


def _two_of_one_name(folder: Path) -> str:
    for name in ("a.csv", "a.tsv"):
        table(folder / "f" / "x" / name, ("x",), [(1,)])
    return "f"


def _other_columns(folder: Path) -> str:
    table(folder / "f" / "a.csv", ("x", "y"), [(1, 2)])
    table(folder / "f" / "b.csv", ("x", "z"), [(1, 2)])
    return "f"


def _other_rates(folder: Path) -> str:
    for name, rate in (("a", 25), ("b", 25), ("c", 30)):
        table(folder / "f" / f"{name}.csv", ("time", "x"), [(k / rate, k) for k in range(99)])
    return "f"


def _of(*lines: str, options: str = "", name: str = "t.csv"):
    def write(folder: Path) -> str:
        (folder / name).write_text("\n".join(lines) + "\n" if lines else "")
        return f"{name} {options}"

    return write


def _no_array(folder: Path) -> str:
    (folder / "f").mkdir()
    (folder / "f" / "u.npy").write_text("numbers\n")
    return "f"


def _latin1(folder: Path) -> str:
    text = "id,x\n" + "a,1\n" + "h\xf6h,2\n"
    (folder / "t.csv").write_bytes(text.encode("cp1252"))
    return "t.csv"


def _picture(folder: Path) -> str:
    (folder / "t.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    return "t.csv"


BAD = {
    "nothing there": (lambda folder: "nowhere", "no such file"),
    "an empty folder": (_folder(), "no file of features"),
    "other widths": (_folder((5, 4), (5, 3)), "u1.npy: 3 features, but the first file has 4"),
    "no rows": (_folder((0, 4)), "is empty"),
    "layers": (_folder((3, 5, 4)), r"\(3, 5, 4\)"),
    "pickles": (_pickled, "pickle"),
    "an id twice within": (_twice_within, r"f\.npz: 1 id occurs twice \(u\)"),
    "whole numbers without names": (
        _of("a,3,1", "b,2,2"), r"t\.csv has numbers in its first line \(a, 3, 1\)"
    ),
    "an underscore in a number": (_of("id,x", "a,1_0"), "x.*'1_0'"),
    "no array within": (_no_array_within, "'a.txt', which is no array"),
    "damaged within": (_damaged_within, "damaged or cut short"),
    "a row for names": (_of("0.5,1.25", "0.5,1.5"), "0.5, 1.25.*must name the columns"),
    "a row with an id for names": (_of("a,0.5,2", "b,0.5,1"), "must name the columns"),
    "steps beyond number": (_of("id,time,x", "a,0,1", "a,1e-300,1", "a,2e-300,1", "a,1,1"),
                            "the times of a are not evenly spaced"),
    "frames beyond number": (_of("id,frame,x", "a,0,1", "a,1,1", "a,2,1", "a,3,1", "a,1e300,1",
                                 options="--rate 5"), "frame numbers of a .* resample them$"),
    "cut short": (_cut, "damaged or cut short"),
    "two kinds": (_two_kinds, "--files"),
    "two of one name": (_two_of_one_name, "have one name"),
    "other columns": (_other_columns, "b.csv lacks y"),
    "other rates": (_other_rates, "c has 30 rows a second"),
    "an empty file": (_of(), "is empty"),
    "no rows of a table": (_of("id,x"), "t.csv is empty: no rows"),
    "texts": (_of("id,x,who,mood", "a,1,me,sad"), r"line 2: not numbers: who \('me'\), mood"),
    "a text later on": (_of("id,x", "a,1", "b,much"), "line 3: x is 'much'"),
    "nan": (_of("id,x,y", "a,1,2", "b,1,nan"), "1 of 1 row of b .* y is nan"),
    "infinite": (_of("id,x", "a,1e300"), "x is inf"),
    "an id twice": (_of("id,x", "a,1", "b,1", "a,2"), "line 4: the id a occurs twice"),
    "frames apart": (_of("id,time,x", "a,0,1", "a,1,1", "b,0,1", "a,2,2"), "one after the other"),
    "no id": (_of("id,x", "a,1", ",2"), "line 3: the id is missing"),
    "a short row": (_of("id,x,y", "a,1,2", "b,1"), "line 3: 2 fields, but 3 columns"),
    "backwards": (_of("id,time,x", "a,0,1", "a,1,1", "a,0.5,2"), "line 4: time 0.5 does not come"),
    "uneven": (_of("id,time,x", *(f"a,{t + (t > 9) * 0.4 * (t - 9)},1" for t in range(20))),
               "not evenly spaced"),
    "milliseconds": (_of("id,time,x", "a,0,1", "a,40,1", "a,80,2"), "milliseconds"),
    "no column": (_of("id,x", "a,1", options="--columns AU*"), "no column like 'AU\\*'"),
    "no column of ids": (_of("id,x", "a,1", options="--id utt"), "no column 'utt'"),
    "no features": (_of("id,time", "a,1"), "no column of features"),
    "nothing meets": (_of("id,x", "a,1", options="--where x>2"), "all 1 utterance left out"),
    "columns of one name": (_of("id,x,x", "a,1,2"), "2 columns with the name 'x'"),
    "a store": (_of("\x89HDF\r\n\x1a\n", name="t.h5"), "expected a folder, a table"),
    "no file of NumPy": (_no_array, r"a table or other text|no array|not a NumPy|is a table"),
    "two recordings of one name": (
        _of("file,x,y", "p/a.wav,1,2", "p/a.wav,2,2", "q/a.wav,3,3", options="--rate 9"),
        "line 4: the id a occurs twice",
    ),
    "another encoding": (_latin1, "line 3 has 'h\xf6h'.*--encoding cp1252"),
    "a picture": (_picture, "t.csv is a picture"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, tmp_path: Path) -> None:
    write, words = BAD[case]
    found = invoke(tmp_path, IMPORT, *write(tmp_path).split(), "-o", "s.h5", status=65)
    said = found.stderr.splitlines()[-1]
    assert said.startswith("avaffect: ") and re.search(words, said), said
    assert "Traceback" not in found.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("s.h5")]


@pytest.mark.parametrize(
    "options", ["--where x", "--files *.csv", "--rate 0", "--rate 5 --vectors", "--drop-nan 2"]
)
def test_wrong_use(options: str, tmp_path: Path) -> None:
    table(tmp_path / "t.csv", ("id", "x"), [("a", 1)])
    invoke(tmp_path, IMPORT, "t.csv", *options.split(), "-o", "s.h5", status=2)


def test_labels_beside_features_are_no_features(tmp_path: Path) -> None:
    """A model would learn the label from itself."""
    names = ("file", "Emotion", "Speaker_ID", "fold", "stress", "f1")
    table(tmp_path / "f.csv", names, [("a", 1, 3, 0, 0.5, 0.1), ("b", 0, 4, 1, 0.5, 0.2)])
    header = manifest.new_header("corpus", base=".", labels={"stress": {"kind": "scalar"}})
    items = [{"id": name, "media": f"{name}.wav", "labels": {"stress": 0.5}} for name in "ab"]
    manifest.write(tmp_path / "m.jsonl", header, items)
    expected = {
        (): ["stress", "f1"],
        ("--annotations", "m.jsonl"): ["f1"],
        ("--columns", "f1", "--columns", "fold"): ["fold", "f1"],
    }
    for options, columns in expected.items():
        invoke(tmp_path, IMPORT, "f.csv", *options, "-f", "-o", "f.h5")
        spec = Store(tmp_path / "f.h5").pooled["functionals"]
        assert spec.made["columns"] == columns and spec.dim == len(columns)


def test_fields_in_a_table_of_export_are_no_features(tmp_path: Path) -> None:
    table(tmp_path / "f.csv", ("file", "x", "y"), [("a", 1, 2), ("b", 3, 4)])
    items = [{"id": name, "media": f"{name}.wav", "age": age} for name, age in (("a", 9), ("b", 8))]
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus", base="."), items)
    invoke(tmp_path, IMPORT, "f.csv", "--annotations", "m.jsonl", "-o", "f.h5")
    invoke(tmp_path, "export", "f.h5", "--to", "csv", "-o", "out.csv")
    assert (tmp_path / "out.csv").read_text().startswith("id,age,functionals_0,functionals_1\n")
    said = invoke(tmp_path, IMPORT, "out.csv", "-o", "again.h5").stderr
    again = Store(tmp_path / "again.h5").pooled["functionals"]
    assert again.made["columns"] == ["functionals_0", "functionals_1"] and "age" in said
    # Of other tables all are.
    table(tmp_path / "o.csv", ("id", "energy", "mfcc_0", "mfcc_1"), [("a", 1, 2, 3)])
    invoke(tmp_path, IMPORT, "o.csv", "-o", "o.h5")
    assert Store(tmp_path / "o.h5").pooled["functionals"].dim == 3
