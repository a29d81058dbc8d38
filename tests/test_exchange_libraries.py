"""Real speech of EmoDB through the libraries of other formats and back: audformat, lhotse,
datasets, pympi (ELAN) and praatio (Praat)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import talks
from chain import invoke

from avaffect.data import manifest

# In their places, whatever the format: what any of them must give back.
KEPT = ("speaker", "text", "split", "start")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Libraries warn of their own; nothing is looked for on the network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf" / "cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def speech(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """emodb.jsonl: every thirtieth utterance of EmoDB, with splits by speaker."""
    folder = tmp_path_factory.mktemp("speech")
    invoke(folder, "manifest", "emodb", recordings / "emodb", "-o", "all.jsonl")
    lines = (folder / "all.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "some.jsonl").write_text("\n".join([lines[0], *lines[1:-1:30], ""]), encoding="utf-8")
    invoke(folder, "seal", "some.jsonl", "--allow-cut", "-o", "few.jsonl")
    invoke(folder, "split", "few.jsonl", "--by", "speaker", "--ratios", 50, 25, 25, "-o",
           "emodb.jsonl")  # fmt: skip
    return folder


def exported(speech: Path, folder: Path, to: str) -> Path:
    out = folder / (f"out.{to}" if to == "rttm" else "out")
    invoke(folder, "export", speech / "emodb.jsonl", "--to", to, "-o", out)
    return out


def items_of(path: Path) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in manifest.read(path).items}


def check_same(speech: Path, folder: Path, to: str, source: Path, *options: object) -> None:
    """`manifest` reads what the library wrote as the corpus that it was."""
    invoke(folder, "manifest", to, source, *options, "-o", "back.jsonl")
    found, expected = items_of(folder / "back.jsonl"), items_of(speech / "emodb.jsonl")
    there = manifest.read(folder / "back.jsonl").folder
    assert {*found} == {*expected} and len(found) == 12
    for identifier, item in found.items():
        was = expected[identifier]
        assert {n: item.get(n) for n in KEPT} == {n: was.get(n) for n in KEPT}
        assert item["labels"]["emotion"] == was["labels"]["emotion"]
        assert (there / item["media"]).name == Path(was["media"]).name
        assert (there / item["media"]).is_file()


def test_audformat(speech: Path, tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat")
    database = audformat.Database.load(exported(speech, tmp_path, "audformat"))
    items = manifest.read(speech / "emodb.jsonl").items
    for split in ("train", "development", "test"):
        table = database[f"utterances.{split}"]
        own = [item for item in items if item["split"] == split]
        assert own and table.split_id == split
        assert table["emotion"].get().tolist() == [item["labels"]["emotion"] for item in own]
        assert table["age"].get().tolist() == [item["age"] for item in own]
        assert table["recognised"].get().tolist() == [i["labels"]["recognised"] for i in own]
        files = [(tmp_path / "out" / file).resolve() for file in table.files]
        assert files == [(speech / "x").parent.joinpath(
            manifest.read(speech / "emodb.jsonl").folder, item["media"]).resolve()
            for item in own]  # fmt: skip
    assert database.splits["development"].type == "dev"
    declared = (manifest.read(speech / "emodb.jsonl").header.labels or {})["emotion"].classes
    assert tuple(database.schemes["emotion"].labels) == declared
    for number, form in enumerate(("csv", "parquet")):
        again = tmp_path / "out" / ".." / f"again{number}"
        database.save(str(again), storage_format=form)
        check_same(speech, tmp_path, "audformat", tmp_path / f"again{number}", "-f")


def test_segments_and_attributes_of_audformat(tmp_path: Path) -> None:
    """A database as people publish it: segments, a table of speakers, files, a scheme's labels."""
    audformat = pytest.importorskip("audformat")
    talks.write(tmp_path)
    database = audformat.Database("mine")
    import pandas

    names = pandas.Index(["ann", "bob"], dtype="string", name="speaker")
    database["speaker"] = audformat.MiscTable(names)
    database.schemes["speaker"] = audformat.Scheme("str", labels="speaker")
    database.schemes["sex"] = audformat.Scheme("str")
    database["speaker"]["sex"] = audformat.Column(scheme_id="sex")
    database["speaker"]["sex"].set(["female", "male"])
    database.schemes["mood"] = audformat.Scheme(labels=["Freude", "Wut"])
    index = audformat.segmented_index(
        ["talks/one.wav", "talks/one.wav", "talks/two.flac"], [0, 1.5, 0.25], [1.25, None, 1.0]
    )
    database["mood"] = audformat.Table(index)
    database["mood"]["mood"] = audformat.Column(scheme_id="mood")
    database["mood"]["mood"].set(["Freude", "Wut", None])
    database["files"] = audformat.Table(
        audformat.filewise_index(["talks/one.wav", "talks/two.flac"])
    )
    database["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    database["files"]["speaker"].set(["ann", "bob"])
    for form in ("csv", "parquet"):
        database.save(str(tmp_path), storage_format=form)
        names = ("--label", "emotion=mood", "--map", "Freude=happiness", "--map", "Wut=anger")
        invoke(tmp_path, "manifest", "audformat", tmp_path, *names, "--prefix", "m", "-f", "-o",
               "m.jsonl")  # fmt: skip
        items = manifest.read(tmp_path / "m.jsonl").items
        assert [(i["media"], i.get("start"), i.get("end"), i["labels"].get("emotion"), i["speaker"],
                 i["sex"]) for i in items] == [
            ("talks/one.wav", None, 1.25, "happiness", "m_ann", "female"),
            ("talks/one.wav", 1.5, None, "anger", "m_ann", "female"),
            ("talks/two.flac", 0.25, 1.0, None, "m_bob", "male"),
        ]  # fmt: skip
        for path in tmp_path.glob("db.*"):
            path.unlink()


def test_lhotse(speech: Path, tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    out = exported(speech, tmp_path, "lhotse")
    cuts = lhotse.CutSet.from_file(out / "cuts.jsonl.gz").to_eager()
    said = lhotse.SupervisionSet.from_file(out / "supervisions.jsonl.gz").to_eager()
    recorded = lhotse.RecordingSet.from_file(out / "recordings.jsonl.gz").to_eager()
    lhotse.validate_recordings_and_supervisions(recorded, said)
    lhotse.qa.validate(cuts)
    items = items_of(speech / "emodb.jsonl")
    folder = manifest.read(speech / "emodb.jsonl").folder
    for cut in cuts:
        item = items[cut.id]
        samples, _ = soundfile.read(folder / item["media"], dtype="float32")
        np.testing.assert_allclose(cut.load_audio()[0], samples, atol=1e-6)
        (supervision,) = cut.supervisions
        assert supervision.emotion == item["labels"]["emotion"]
        assert supervision.gender == item["sex"] and supervision.text == item["text"]
    for kind, found in (("recordings", recorded), ("supervisions", said)):
        found.to_file(tmp_path / f"{kind}.jsonl")
    check_same(speech, tmp_path, "lhotse", tmp_path)
    cuts.to_file(tmp_path / "mine.jsonl.gz")
    check_same(speech, tmp_path, "lhotse", tmp_path / "mine.jsonl.gz", "-f")


def test_kaldi_by_lhotse(speech: Path, tmp_path: Path) -> None:
    pytest.importorskip("lhotse")
    from lhotse.kaldi import load_kaldi_data_dir

    out = exported(speech, tmp_path, "kaldi")
    recordings, supervisions, _ = load_kaldi_data_dir(out, sampling_rate=16000)
    items = items_of(speech / "emodb.jsonl")
    assert {r.id for r in recordings} == {*items}
    talks.write(tmp_path)
    # lhotse runs commands in wav.scp, as of a FLAC, by a further package.
    invoke(tmp_path, "select", "talks.jsonl", "--where", "turn!=4", "-o", "wav.jsonl")
    invoke(tmp_path, "export", "wav.jsonl", "--to", "kaldi", "-o", "parts")
    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "parts", sampling_rate=16000)
    found = {s.id: (s.recording_id, s.start, s.end, s.speaker) for s in supervisions}
    assert found["t_a"] == ("one", 0.5, 1.25, "t_ann") and len(found) == 3


def test_rttm_by_lhotse(speech: Path, tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    found = lhotse.SupervisionSet.from_rttm(exported(speech, tmp_path, "rttm"))
    items = manifest.read(speech / "emodb.jsonl").items
    assert {(s.recording_id, s.speaker) for s in found} == {
        (Path(item["media"]).stem, item["speaker"]) for item in items
    }
    folder = manifest.read(speech / "emodb.jsonl").folder
    lengths = {Path(i["media"]).stem: soundfile.info(folder / i["media"]).duration for i in items}
    assert all(abs(s.duration - lengths[s.recording_id]) < 1e-5 for s in found)


def test_datasets(speech: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = exported(speech, tmp_path, "huggingface")
    found = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {*found} == {"train", "validation", "test"}
    items = items_of(speech / "emodb.jsonl")
    rows = 0
    for split, part in found.items():
        assert isinstance(part.features["audio"], datasets.Audio)
        label = part.features["emotion"]
        assert isinstance(label, datasets.ClassLabel)
        for row in part.cast_column("audio", datasets.Audio(decode=False)):
            item = items[row["id"]]
            rows += 1
            assert label.int2str(row["emotion"]) == item["labels"]["emotion"]
            assert row["natural"] == item["labels"]["natural"] and row["age"] == item["age"]
            assert {"validation": "development"}.get(split, split) == item["split"]
            assert Path(row["audio"]["path"]).is_file()
    assert rows == len(items)
    # Decoded by its own libraries only where these are; here as they are stored.
    plain = datasets.DatasetDict(
        {
            name: part.cast_column("audio", datasets.Audio(decode=False))
            for name, part in found.items()
        }
    )
    plain.save_to_disk(str(tmp_path / "disk"))
    check_same(speech, tmp_path, "huggingface", tmp_path / "disk", "--unpack", tmp_path / "one")
    (tmp_path / "parquet").mkdir()
    for name, part in found.items():
        part.to_parquet(str(tmp_path / "parquet" / f"{name}.parquet"))
    check_same(speech, tmp_path, "huggingface", tmp_path / "parquet", "-f", "--unpack",
               tmp_path / "media")  # fmt: skip


def test_traces_and_distributions_of_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    talks.write(tmp_path)
    invoke(tmp_path, "export", "talks.jsonl", "--to", "huggingface", "--embed", "-o", "out")
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    rows = {row["id"]: row for part in found.values()
            for row in part.cast_column("audio", datasets.Audio(decode=False))}  # fmt: skip
    assert rows["t_a"]["votes"] == {"anger": 2.0, "happiness": 1.0}
    assert rows["t_c"]["arousal"] == [0.5, None] and rows["t_a"]["arousal"] is None
    assert rows["t_d"]["audio"]["bytes"] == (tmp_path / "talks" / "two.flac").read_bytes()


def test_elan_by_pympi(speech: Path, tmp_path: Path) -> None:
    pympi = pytest.importorskip("pympi")
    out = exported(speech, tmp_path, "elan")
    folder = manifest.read(speech / "emodb.jsonl").folder
    for item in manifest.read(speech / "emodb.jsonl").items:
        path = out / f"{Path(item['media']).stem}.eaf"
        found = pympi.Elan.Eaf(str(path))
        ((start, end, text),) = found.get_annotation_data_for_tier("emotion")
        seconds = soundfile.info(folder / item["media"]).duration
        assert (start, text) == (0, item["labels"]["emotion"]) and 0 <= seconds * 1000 - end < 1
        assert found.get_annotation_data_for_tier("text")[0][2] == item["text"]
        assert Path(found.get_linked_files()[0]["MEDIA_URL"].removeprefix("file://")).is_file()
        found.to_file(str(path))
    check_same(speech, tmp_path, "elan", out, "--root", folder)


def test_textgrid_by_praatio(speech: Path, tmp_path: Path) -> None:
    pytest.importorskip("praatio")
    from praatio import textgrid

    out = exported(speech, tmp_path, "textgrid")
    folder = manifest.read(speech / "emodb.jsonl").folder
    for item in manifest.read(speech / "emodb.jsonl").items:
        path = out / f"{Path(item['media']).stem}.TextGrid"
        found = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
        seconds = soundfile.info(folder / item["media"]).duration
        ((start, end, label),) = found.getTier("emotion").entries
        assert (start, label) == (0.0, item["labels"]["emotion"])
        assert end == pytest.approx(seconds, abs=1e-6)
        assert found.getTier("text").entries[0].label == item["text"]
        found.save(str(path), "short_textgrid", includeBlankSpaces=True)
    check_same(speech, tmp_path, "textgrid", out, "--root", folder)


def test_overlaps_and_quotation_marks_by_praatio(tmp_path: Path) -> None:
    pytest.importorskip("praatio")
    from praatio import textgrid

    talks.write(tmp_path)
    invoke(tmp_path, "export", "talks.jsonl", "--to", "textgrid", "-o", "out")
    found = textgrid.openTextgrid(str(tmp_path / "out" / "one.TextGrid"), False)
    assert [tuple(e) for e in found.getTier("emotion").entries] == [
        (0.5, 1.25, "anger"), (2.0, 3.0, "happiness"),
    ]  # fmt: skip
    assert [tuple(e) for e in found.getTier("emotion#2").entries] == [(1.0, 2.0, "happiness")]
    assert found.getTier("text").entries[0].label == talks.ITEMS[0]["text"]
