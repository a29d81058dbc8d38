"""`manifest folder`: labels, speakers and splits from the names of folders and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain import invoke
from corpus_folders import touch
from pantry import EAF

from avaffect.core.errors import DataError, UsageError
from avaffect.data import corpora
from avaffect.settings.manifest import ManifestSettings


def listed(folder: Path, layout: str | None = None, **options: object) -> corpora.Corpus:
    return corpora.read(
        ManifestSettings(corpus="folder", source=folder, layout=layout, **options)  # type: ignore[arg-type]
    )


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return touch(
        tmp_path / "clips", "Anger/anna_01.wav", "Anger/bert_01.WAV", "wut/anna_02.mp4",
        "freude/anna_01.flac", "freude/notes.txt", "freude/.hidden_1.wav", "loose.wav",
    )  # fmt: skip


def test_names_of_folders_and_files(clips: Path) -> None:
    found = listed(
        clips, "{emotion}/{speaker}_*", map=("wut=anger", "freude=happiness"), prefix="mine"
    )
    items = {item["id"]: item for item in found.items}
    # Two files are named anna_01.
    assert set(items) == {
        "mine_Anger/anna_01", "mine_bert_01", "mine_anna_02", "mine_freude/anna_01"
    }  # fmt: skip
    assert items["mine_freude/anna_01"] == {
        "id": "mine_freude/anna_01", "media": "freude/anna_01.flac",
        "labels": {"emotion": "happiness"}, "speaker": "mine_anna",
    }  # fmt: skip
    # In another case than the emotion.
    assert items["mine_bert_01"]["labels"] == {"emotion": "anger"}
    assert found.labels == {"emotion": {"kind": "class", "classes": ["anger", "happiness"]}}
    assert found.lost == {"does not fit --layout '{emotion}/{speaker}_*'": ["loose"]}


def test_without_a_layout_all_are_unlabelled(clips: Path) -> None:
    found = listed(clips)
    assert len(found.items) == 5 and found.labels == {} and not found.lost
    assert all(item["labels"] == {} and "speaker" not in item for item in found.items)
    assert not found.noted
    (clips / "loose.wav").unlink()
    [folders] = listed(clips).noted.values()
    assert folders == ["Anger", "freude", "wut"]


@pytest.mark.parametrize(
    ("layout", "path", "expected"),
    [
        ("{split}/{sex}/{emotion}_*", "dev/f/joy_1.wav",
         {"split": "development", "sex": "f", "labels": {"emotion": "joy"}}),
        ("**/{emotion}/*", "a/b/joy/1.wav", {"labels": {"emotion": "joy"}}),
        ("**/{emotion}/*", "joy/1.wav", {"labels": {"emotion": "joy"}}),
        ("{session}/??{emotion}", "s1/01joy.wav", {"session": "s1", "labels": {"emotion": "joy"}}),
        ("{speaker}_{level-2}_*", "a_b_c_d.wav", {"speaker": "a", "labels": {"level-2": "b"}}),
        # What a pattern of a shell or a regular expression would mean is meant literally.
        ("({emotion}) [x]+.y", "(joy) [x]+.y.wav", {"labels": {"emotion": "joy"}}),
        # Composed by the user, decomposed by the disk.
        ("für_{emotion}", "fu\u0308r_joy.wav", {"labels": {"emotion": "joy"}}),
    ],
)  # fmt: skip
def test_layouts(layout: str, path: str, expected: dict, tmp_path: Path) -> None:
    [item] = listed(touch(tmp_path / "clips", path), layout).items
    assert {key: item[key] for key in item.keys() - {"id", "media"}} == expected


def test_sound_and_film_of_one_name_are_one_utterance(tmp_path: Path) -> None:
    folder = touch(tmp_path / "clips", "joy/1.wav", "joy/1.mp4", "joy/2.mp4")
    one, two = listed(folder, "{emotion}/*").items
    assert one["media"] == {"audio": "joy/1.wav", "video": "joy/1.mp4"}
    assert two["media"] == "joy/2.mp4"
    [sound] = listed(folder, modality="audio").items
    assert sound["media"] == "joy/1.wav"


@pytest.mark.parametrize(
    "layout", ["{emotion", "emotion}", "{}/*", "{id}/*", "{a b}/*", "{a}/{a}", "/clips/{emotion}/*",
               "{Emotion}/*", "{Speaker}_*"],
)  # fmt: skip
def test_what_is_no_layout(layout: str, clips: Path) -> None:
    with pytest.raises(UsageError, match="--layout"):
        listed(clips, layout)


@pytest.mark.parametrize(
    ("layout", "options", "named"),
    [
        ("{speaker}/{emotion}/*", {}, "Anger/anna_01"),
        ("{emotion}/*", {"map": ("zorn=anger",)}, "zorn"),
        ("{split}/*", {}, "Anger"),
        (None, {"media_column": "path"}, "--media"),
    ],
)
def test_what_does_not_fit_is_named(
    layout: str | None, options: dict, named: str, clips: Path
) -> None:
    with pytest.raises((DataError, UsageError), match=named):
        listed(clips, layout, **options)


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no"):
        listed(tmp_path)
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"link.*gone\.wav"):
        listed(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        listed(tmp_path / "missing")
    with pytest.raises(DataError, match="no recording has a video"):
        listed(touch(tmp_path / "clips", "1.wav"), modality="video")


@pytest.mark.parametrize(
    ("layout", "warned"),
    [("{emotion}/{speaker}", True), ("{emotion}/{speaker}_*", False), ("{emotion}/*", False)],
)
def test_a_speaker_for_each_file_is_warned_of(layout: str, warned: bool, tmp_path: Path) -> None:
    emotions = ("anger", "joy")
    names = [f"{emotions[n % 2]}/s{n % 4}_{n}.wav" for n in range(12)]
    touch(tmp_path / "clips", *names)
    said = invoke(tmp_path, "manifest", "folder", "clips", "--layout", layout, "-o", "m.jsonl")
    words = [line for line in said.stderr.splitlines() if "warning" in line]
    assert [("s0_0" in line, "{speaker}" in line) for line in words] == [(True, True)] * warned


CASES = {
    ("--label", "Emotion=E"): ["Emotion"],
    ("--label", "emotion=E"): [],
    ("--label", "emotion=E", "--label", "Emotion=E"): ["Emotion and emotion"],
    ("--label", "emotion=E", "--field", "EMOTION=V"): ["EMOTION and emotion"],
    ("--scalar", "Valence=V"): ["Valence"],
    ("--field", "Speaker=E"): ["--speaker COLUMN"],
    ("--field", "Sex=E", "--field", "words=V"): ["Sex"],
}


@pytest.mark.parametrize(("options", "named"), CASES.items(), ids=str)
def test_names_of_another_case_are_said(
    tmp_path: Path, options: tuple[str, ...], named: list[str]
) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "t.csv").write_text("file,E,V\na.wav,anger,1\nb.wav,fear,2\n")
    said = invoke(tmp_path, "manifest", "table", "t.csv", "--media", "file", *options,
                  "-o", "m.jsonl").stderr  # fmt: skip
    warned = [line for line in said.splitlines() if "warning: " in line]
    assert len(warned) == len(named) and all(map(str.__contains__, warned, named))


def test_a_layout_with_a_name_in_two_cases(tmp_path: Path) -> None:
    touch(tmp_path, "a/x_1.wav", "b/y_2.wav")
    line = ("manifest", "folder", ".", "-o", "m.jsonl", "--layout")
    assert "Mood and mood" in invoke(tmp_path, *line, "{Mood}/{mood}_*").stderr
    assert "{emotion}" in invoke(tmp_path, *line, "{Emotion}/*", status=2).stderr


def test_a_tier_of_another_case_is_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "one.wav")
    (tmp_path / "one.eaf").write_text(EAF.replace("Affect", "Emotion"))
    said = invoke(tmp_path, "manifest", "elan", ".", "-o", "m.jsonl").stderr
    assert "warning: " in said and "Emotion" in said
