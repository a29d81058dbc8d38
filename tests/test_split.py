"""`split`: whole groups, near the shares, reproducible, and no leakage."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import Progress
from avaffect.data import manifest, splitting
from avaffect.recipes.split import split
from avaffect.settings.split import SplitSettings

LABELS = {"emotion": {"kind": "class", "classes": ["anger", "neutral"]}}


def corpus(folder: Path, items: list[dict], name: str = "corpus.jsonl") -> Path:
    manifest.write(folder / name, manifest.new_header("corpus", base=".", labels=LABELS), items)
    return folder / name


def utterances(sizes: dict[str, int], **facts: object) -> list[dict]:
    return [
        {"id": f"{speaker}_{n}", "speaker": speaker, "labels": {"emotion": "anger"}, **facts}
        for speaker, size in sizes.items()
        for n in range(size)
    ]


def done(source: Path, progress: Progress | None = None, **options) -> manifest.Manifest:
    output = source.with_name("split.jsonl")
    output.unlink(missing_ok=True)
    settings = SplitSettings(source=source, output=output, **options)
    split(settings, progress or Progress())
    return manifest.read(output, expect="corpus")


def parts_of(found: manifest.Manifest, by: str, key: str) -> dict[object, set[str]]:
    groups = defaultdict(set)
    for item in found.items:
        groups[item[key]].add(item[by])
    return groups


@given(
    sizes=st.lists(st.integers(1, 40), min_size=3, max_size=40),
    ratios=st.tuples(st.integers(1, 90), st.integers(0, 50), st.integers(0, 50)),
    seed=st.integers(0, 5),
)
def test_groups_stay_whole_and_no_part_is_empty(sizes, ratios, seed):
    weights = {f"s{n}": np.array([size], float) for n, size in enumerate(sizes)}
    assigned = splitting.assign(weights, ratios, seed, "speaker")
    assert assigned.keys() == weights.keys()
    assert set(assigned.values()) == {part for part, ratio in enumerate(ratios) if ratio > 0}
    # Groups go where most is lacking, unless they must fill a part: no part with two groups or
    # more is fuller than it should be by more than its largest group.
    for part, ratio in enumerate(ratios):
        held = [weights[name][0] for name, at in assigned.items() if at == part]
        wanted = sum(sizes) * ratio / sum(ratios)
        if len(held) > 1:
            assert sum(held) <= wanted + max(held) + 1e-6


def test_shares_come_near_with_many_speakers(tmp_path):
    random = np.random.default_rng(0)
    sizes = {f"s{n:03}": int(size) for n, size in enumerate(random.integers(5, 60, 120))}
    found = done(corpus(tmp_path, utterances(sizes)), ratios=(70, 10, 20))
    counts = Counter(item["split"] for item in found.items)
    for name, share in (("train", 0.7), ("development", 0.1), ("test", 0.2)):
        assert counts[name] / len(found) == pytest.approx(share, abs=0.005)


def test_emodb_speakers_are_disjoint(recordings, avaffect, tmp_path):
    avaffect("manifest", "emodb", recordings / "emodb", "-o", tmp_path / "emodb.jsonl", "-q")
    said = avaffect(
        "split", tmp_path / "emodb.jsonl", "--by", "speaker", "--ratios", 70, 10, 20, "--seed", 0,
        "-o", tmp_path / "split.jsonl",
    ).stderr  # fmt: skip
    found = manifest.read(tmp_path / "split.jsonl")
    groups = parts_of(found, "speaker", "split")
    assert sum(len(speakers) for speakers in groups.values()) == 10
    assert len(set().union(*groups.values())) == 10
    counts = Counter(item["split"] for item in found.items)
    assert sum(counts.values()) == 339
    for name, share in (("train", 0.7), ("development", 0.1), ("test", 0.2)):
        assert counts[name] / 339 == pytest.approx(share, abs=0.04)
        assert f"{name}: {counts[name]} utterances" in said
    emotions = Counter(i["labels"]["emotion"] for i in found.items if i["split"] == "test")
    assert f"anger {emotions['anger']}, happiness {emotions['happiness']}" in said


def test_seeds_repeat_and_differ(tmp_path):
    source = corpus(tmp_path, utterances({f"s{n}": 20 + n for n in range(10)}))
    seeds = [parts_of(done(source, seed=seed), "speaker", "split") for seed in (0, 0, 1, 2, 3)]
    assert seeds[0] == seeds[1]
    assert any(seeds[0] != other for other in seeds[2:])


def test_the_order_of_items_does_not_matter(tmp_path):
    items = utterances({f"s{n}": 3 + n for n in range(8)})
    one = done(corpus(tmp_path, items))
    two = done(corpus(tmp_path, items[::-1]))
    assert parts_of(one, "speaker", "split") == parts_of(two, "speaker", "split")


def test_folds(tmp_path):
    source = corpus(tmp_path, utterances({f"s{n}": 10 for n in range(10)}, note="kept"))
    found = done(source, folds=5)
    groups = parts_of(found, "speaker", "fold")
    assert sorted(groups) == [0, 1, 2, 3, 4]
    assert all(len(speakers) == 2 for speakers in groups.values())
    assert all("split" not in item and item["note"] == "kept" for item in found.items)


def test_stratified_classes_come_near_the_shares(tmp_path):
    # Each speaker has one class only: without regard to it a part can easily lack one.
    items = utterances({f"s{n:02}": 10 for n in range(40)})
    for item in items:
        item["labels"] = {"emotion": "anger" if int(item["speaker"][1:]) < 10 else "neutral"}
    for seed in range(5):
        found = done(corpus(tmp_path, items), stratify="emotion", ratios=(60, 20, 20), seed=seed)
        test = Counter(i["labels"]["emotion"] for i in found.items if i["split"] == "test")
        assert test == {"anger": 20, "neutral": 60}


def test_ratio_of_nothing_gives_no_part(tmp_path):
    found = done(corpus(tmp_path, utterances({"a": 3, "b": 3})), ratios=(50, 0, 50))
    assert set(parts_of(found, "speaker", "split")) == {"train", "test"}


def test_an_empty_manifest_stays_one(tmp_path):
    assert len(done(corpus(tmp_path, []))) == 0


def test_a_recording_of_two_spellings_is_one(tmp_path):
    spelled = ("wav/{}.wav", "./wav/{}.wav", "wav/../wav//{}.wav")
    items = [
        {"id": f"u{n}_{k}", "media": form.format(n), "start": k, "end": k + 1, "labels": {}}
        for n in range(9)
        for k, form in enumerate(spelled)
    ]
    parts = defaultdict(set)
    for item in done(corpus(tmp_path, items), by="recording").items:
        parts[item["id"].partition("_")[0]].add(item["split"])
    assert len(parts) == 9 and all(len(found) == 1 for found in parts.values())


def test_sessions_that_share_a_speaker_are_refused(tmp_path):
    items = [
        {"id": f"u{n}", "speaker": f"s{n % 3}", "session": f"day{n}", "labels": {}}
        for n in range(9)
    ]
    source = corpus(tmp_path, items)
    with pytest.raises(DataError, match=r"speaker s\d is in session day\d and in session day\d"):
        done(source, by="session")

    class Warned(Progress):
        text = ""

        def warn(self, message: str) -> None:
            self.text += message

    said = Warned()
    done(source, said, by="session", allow_speaker_overlap=True)
    assert "different parts" in said.text
    for item in items:
        item["speaker"] = f"{item['session']}_{item['speaker']}"
    done(corpus(tmp_path, items), by="session")


@pytest.mark.parametrize(
    ("items", "options", "error", "said"),
    [
        (utterances({"a": 2}), {}, DataError, "1 speaker cannot fill 3 parts"),
        (utterances({"a": 1, "b": 1, "c": 1}), {"folds": 4}, DataError, "3 speakers cannot fill 4"),
        ([{"id": "x"}, *utterances({"a": 2})], {}, DataError, "x has no speaker"),
        (utterances({"a": 2}), {"by": "session"}, DataError, "a_0 has no session"),
        (utterances({"a": 2}, split="test"), {}, DataError, "a_0 has a split already .test"),
        (utterances({"a": 2}, fold=0), {"folds": 3}, DataError, "a_0 has a fold already .0"),
        (utterances({"a": 2}), {"stratify": "mood"}, DataError, "no label 'mood' .it has: emotion"),
        ([], {"folds": 2}, UsageError, "--folds 2: at least 3"),
        ([], {"folds": 5, "ratios": (70, 10, 20)}, UsageError, "exclude each other"),
        ([], {"ratios": (70, -10, 20)}, UsageError, "--ratios"),
        ([], {"ratios": (0, 10, 20)}, UsageError, "above 0"),
        ([], {"ratios": (float("nan"), 1, 1)}, UsageError, "--ratios"),
    ],
)
def test_refusals(tmp_path, items, options, error, said):
    with pytest.raises(error, match=said):
        done(corpus(tmp_path, items), **options)
    assert not (tmp_path / "split.jsonl").exists()


def test_replace_puts_new_splits_in_the_place_of_others(tmp_path):
    items = utterances({f"s{n}": 2 for n in range(6)}, split="test", fold=9)
    found = done(corpus(tmp_path, items), replace=True, folds=3)
    assert all("split" not in item for item in found.items)
    assert set(parts_of(found, "speaker", "fold")) == {0, 1, 2}


def test_pipe_keeps_lineage_and_base(shell, tmp_path):
    (tmp_path / "lists").mkdir()
    for n in (3, 8, 9):
        (tmp_path / f"{n:02}a01Wa.wav").write_bytes(b"x")
    shell(
        "avaffect manifest emodb . | avaffect split - --ratios 1 1 1 -o lists/split.jsonl", tmp_path
    )
    found = manifest.read(tmp_path / "lists" / "split.jsonl")
    assert found.header.to_dict()["base"] == ".."
    (reference,) = found.header.to_dict()["provenance"]["inputs"]
    assert reference["role"] == "manifest"
    assert reference["provenance"]["command"] == "manifest"
    assert Counter(item["split"] for item in found.items) == {
        "train": 1, "development": 1, "test": 1,
    }  # fmt: skip


def test_statuses(avaffect, tmp_path):
    source = corpus(tmp_path, utterances({"a": 2, "b": 2, "c": 2}))
    output = tmp_path / "out.jsonl"
    avaffect("split", source, "-n", "-o", output)
    assert not output.exists()
    avaffect("split", source, "-o", output)
    assert "is up to date" in avaffect("split", source, "-o", output).stderr
    avaffect("split", source, "--seed", 5, "-o", output, status=73)
    avaffect("split", output, status=65)
    avaffect("split", source, "--ratios", 70, 30, status=2)
    avaffect("split", source, "--by", "mood", status=2)


def recorded(count: int = 6) -> list[dict]:
    return [
        {"id": f"emodb_{n:02}Wa", "speaker": f"s{n // 2}", "media": f"wav/{n:02}Wa.wav",
         "labels": {}} for n in range(count)
    ]  # fmt: skip


def listed(folder: Path, **files: str) -> tuple[str, ...]:
    for part, text in files.items():
        (folder / f"list-{part}").write_text(text)
    return tuple(f"{part.lstrip('_')}={folder / f'list-{part}'}" for part in files)


LISTS = {
    "HiCMAE": ("/a/face aligned/{0} /a/wav/{0}.wav 0\n", ""),
    "EmoBox": ('{{"key": "emodb-{0}", "wav": "downloads/x/{0}.wav", "emo": "hap"}}\n', ""),
    "names": ("{0}\n", ""),
    "Windows": ("C:\\corpus\\{0}.WAV;3\r\n", ""),
    "ids": ("emodb_{0}\n", "\n"),
    "dictionary": ('"{0}": 3, ', '"": 0}'),
    "list of names": ('"{0}.wav", ', '""]'),
}
BEGINS = {"dictionary": "{", "list of names": "["}


@pytest.mark.parametrize("form", LISTS)
def test_published_lists_are_read_as_they_come(tmp_path, form):
    line, end = LISTS[form]
    texts = [
        BEGINS.get(form, "") + "".join(line.format(f"{n:02}Wa") for n in numbers) + end
        for numbers in ((0, 1, 9), (4, 5))
    ]
    source = corpus(tmp_path, recorded())
    found = done(source, lists=listed(tmp_path, train=texts[0], test=texts[1]))
    assert [i.get("split") for i in found.items] == ["train"] * 2 + [None] * 2 + ["test"] * 2


@pytest.mark.parametrize("as_dictionary", [True, False])
def test_json_of_folds(tmp_path, as_dictionary):
    """A dictionary by key, or a list."""
    files = {}
    for fold in range(3):
        entries = {f"{n:02}Wa": {"wav": f"w/{n:02}Wa.wav"} for n in (2 * fold, 2 * fold + 1)}
        held = entries if as_dictionary else [{"key": k, **v} for k, v in entries.items()]
        files[f"_{fold}"] = json.dumps(held)
    found = done(corpus(tmp_path, recorded()), lists=listed(tmp_path, **files))
    assert [item["fold"] for item in found.items] == [0, 0, 1, 1, 2, 2]


def test_json_of_a_single_line_is_an_entry(tmp_path):
    files = {f"_{fold}": json.dumps({"key": f"{2 * fold:02}Wa", "emo": "hap"}) for fold in range(3)}
    found = done(corpus(tmp_path, recorded()), lists=listed(tmp_path, **files))
    assert [item.get("fold") for item in found.items] == [0, None, 1, None, 2, None]


def test_a_published_list_of_real_recordings(recordings, tmp_path):
    folder = recordings / "labels" / "hicmae_crema-d_split01"
    if not folder.is_dir():
        pytest.skip(f"HiCMAE's lists are not in {folder}")
    names = {
        part: [line.split()[0].rpartition("/")[2] for line in
               (folder / f"{part}.csv").read_text().splitlines()]
        for part in ("train", "test")
    }  # fmt: skip
    items = [
        {"id": f"cremad_{name}", "speaker": name[:4], "media": f"{name}.wav", "labels": {}}
        for name in names["train"] + names["test"]
    ]
    lists = tuple(f"{part}={folder / f'{part}.csv'}" for part in names)
    found = done(corpus(tmp_path, items), lists=lists)
    assert Counter(item["split"] for item in found.items) == {
        part: len(of) for part, of in names.items()
    }
    assert {len(parts) for parts in parts_of(found, "split", "speaker").values()} == {1}


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        ({"train": "00Wa\n", "test": "00Wa\n02Wa\n"}, DataError, "emodb_00Wa is in the list of"),
        ({"train": "00Wa\n", "test": "01Wa\n"}, DataError, "speaker s0 is in emodb_00Wa and"),
        ({"train": "00Wa\n", "test": "nobody\n"}, DataError, "names none of the 6 utterances"),
        ({"train": "part\n"}, DataError, "recording of 2 utterances"),
        ({"train": "{not json\n"}, DataError, "neither JSON"),
        ({"train": ""}, DataError, "names none"),
        ({"train": '["00Wa", 1]\n["01Wa", 2]\n'}, DataError, "entry 1"),
        ({"train": '{"key": "00Wa"}\n3\n'}, DataError, "entry 2"),
        ({"train": '{"test": ["00Wa"]}'}, DataError, "entry 1"),
        ({"valid": "00Wa\n"}, UsageError, "train, development and test"),
        ({"_0": "00Wa\n", "_2": "02Wa\n", "_3": "04Wa\n"}, UsageError, "three folds"),
        ({"_0": "00Wa\n", "_1": "02Wa\n"}, UsageError, "three folds"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, files, error, said):
    items = recorded()
    parts = [{**items[k], "id": f"part_{k}", "media": "x/part.wav"} for k in (4, 5)]
    with pytest.raises(error, match=said):
        done(corpus(tmp_path, [*items[:4], *parts]), lists=listed(tmp_path, **files))


def test_lists_exclude_ratios_and_are_recorded_by_content(tmp_path):
    source = corpus(tmp_path, recorded())
    lists = listed(tmp_path, train="00Wa\n01Wa\n", test="04Wa\n")
    for options in ({"folds": 3}, {"ratios": (70, 10, 20)}, {"stratify": "emotion"},
                    {"by": "session"}):  # fmt: skip
        with pytest.raises(UsageError, match="exclude each other"):
            done(source, lists=lists, **options)
    with pytest.raises(UsageError, match="PART=FILE"):
        done(source, lists=(*lists, lists[0]))
    for unnamed in ("train", "train="):
        with pytest.raises(UsageError, match="PART=FILE"):
            done(source, lists=(unnamed,))
    made = done(source, lists=lists).header.provenance
    assert set(made["settings"]["lists"]) == {"train", "test"}
    assert [i["role"] for i in made["inputs"]] == ["manifest", "ids", "ids"]


def test_sessions_of_six_folds(tmp_path):
    """MSP-IMPROV as SAAML divides it: each session is tested once."""
    items = [
        {"id": f"msp-improv_{n}", "speaker": f"{'FM'[n % 2]}0{n // 2 % 6}",
         "session": f"0{n // 2 % 6}", "labels": {}} for n in range(48)
    ]  # fmt: skip
    found = done(corpus(tmp_path, items), by="session", folds=6)
    assert sorted(map(len, parts_of(found, "fold", "session").values())) == [1] * 6
    assert {item["fold"] for item in found.items} == set(range(6))
