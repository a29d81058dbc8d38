"""Adapters of corpora with films, on copies of their layout and on real GRID clips."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_folders import by_id, made, touch

from avaffect.core.errors import DataError, OutputExistsError, UsageError
from avaffect.data.corpora import CORPORA, adapter, grid, msp_improv

EMPTY = {"labels": {}}


def item_of(found, identifier: str) -> dict:
    return {k: v for k, v in by_id(found)[identifier].items() if k not in ("kind", "id")}


def test_grid_sentences_and_talkers(tmp_path):
    folder = touch(
        tmp_path / "grid",
        "s1/video/mpg_6000/bbaf2n.mpg",
        "s1/video/mpg_vcd/bbaf2n.mpg",
        "audio_25k/s1/bbaf2n.wav",
        "s34_processed/bbaf2n.mpg",
        "s2/align/swwz2p.align",
        "lrwp9a.mpg",
        "id2_vcd_swwp2s.mpg",
        "s1/bbaf2w.mpg",  # no such adverb
        "s35/bbaf2n.mpg",  # no such talker
        "s1/bbwf2n.mpg.part",
    )
    found, said = made(tmp_path / "m.jsonl", "grid", folder)
    assert item_of(found, "grid_s1_bbaf2n") == {
        "media": {"audio": "audio_25k/s1/bbaf2n.wav", "video": "s1/video/mpg_6000/bbaf2n.mpg"},
        "speaker": "grid_s1", "sex": "male", "text": "bin blue at f two now", **EMPTY,
    }  # fmt: skip
    assert item_of(found, "grid_s34_bbaf2n")["sex"] == "female"
    assert item_of(found, "grid_s2_swwp2s")["text"] == "set white with p two soon"
    assert item_of(found, "grid_lrwp9a") == {
        "media": "lrwp9a.mpg", "text": "lay red with p nine again", **EMPTY,
    }  # fmt: skip
    assert len(found) == 4 and "in another format or place: 1: s1/video/mpg_vcd" in said
    assert "2: s1/bbaf2w.mpg, s35/bbaf2n.mpg" in said


def test_grid_agrees_with_the_alignment_of_a_real_clip(recordings, tmp_path):
    folder = recordings / "video_grid"
    found, said = made(tmp_path / "m.jsonl", "grid", folder)
    assert len(found) == 11 and "named otherwise" not in said
    words = [line.split()[2] for line in (folder / "swwp2s.align").read_text().splitlines()]
    clip = by_id(found)["grid_s2_swwp2s"]
    assert clip["text"].split() == [word for word in words if word != "sil"]
    assert (found.folder / clip["media"]).is_file()


def test_grid_has_half_its_talkers_of_each_sex():
    assert len(grid.FEMALE) == 16 and max(grid.FEMALE) <= grid.TALKERS


VOX = (
    "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",
    "dev/aac/id00012/21Uxsk56VDQ/00001.m4a",
    "dev/mp4/id00012/2DLq_Kkc1r8/00016.mp4",
    "vox2_test_mp4/test/id00017/01dfn2spqyE/00001.mp4",
    "dev/mp4/id00019/6a_-x2Oic4w/00003.mp4",
)
VOX_META = (
    "Name\tVoxCeleb2 ID \tVGGFace2 ID \tGender \tSet \n"
    "A B \tid00012 \tn000012 \tm \tdev \n"
    "C D \tid00017 \tn000017 \tf \ttest \n"
)


def test_voxceleb2_joins_films_and_sound(tmp_path):
    folder = touch(tmp_path / "vox", *VOX, "dev/mp4/id00012/21Uxsk56VDQ/1.mp4")
    (folder / "meta").mkdir()
    (folder / "meta" / "vox2_meta.csv").write_text(VOX_META)
    found, said = made(tmp_path / "m.jsonl", "voxceleb2", folder)
    assert item_of(found, "voxceleb2_id00012_21Uxsk56VDQ_00001") == {
        "media": {"audio": VOX[1], "video": VOX[0]}, "speaker": "voxceleb2_id00012",
        "session": "voxceleb2_21Uxsk56VDQ", "sex": "male", "split": "train", **EMPTY,
    }  # fmt: skip
    test = item_of(found, "voxceleb2_id00017_01dfn2spqyE_00001")
    assert (test["split"], test["sex"], test["media"]) == ("test", "female", VOX[3])
    last = item_of(found, "voxceleb2_id00019_6a_-x2Oic4w_00003")
    assert last["split"] == "train" and "sex" not in last
    assert len(found) == 4 and "4 utterances, 3 speakers" in said
    assert "1: dev/mp4/id00012/21Uxsk56VDQ/1.mp4" in said
    apart = touch(tmp_path / "films", *(name.partition("/")[2] for name in VOX[:1]))
    (apart / "vox2_meta.csv").write_text(VOX_META.replace("\t", ",").replace("dev", "test"))
    found, _ = made(tmp_path / "apart.jsonl", "voxceleb2", apart)
    assert [item["split"] for item in found.items] == ["test"]


LANGUAGES = (
    "filename,lang,confidence\n"
    "id00012/21Uxsk56VDQ/00001.wav,English,0.99\n"
    "id00012/2DLq_Kkc1r8/00016.wav,French,0.8\n"
    "id00017/01dfn2spqyE/00001.wav,english,1\n"
)


def test_voxceleb2_in_one_language(tmp_path):
    folder = touch(tmp_path / "vox", *VOX)
    table = tmp_path / "lang_vox2_final.csv"
    table.write_text(LANGUAGES)
    output = tmp_path / "m.jsonl"
    found, said = made(output, "voxceleb2", folder, languages=table, language="English")
    assert list(by_id(found)) == [
        "voxceleb2_id00012_21Uxsk56VDQ_00001", "voxceleb2_id00017_01dfn2spqyE_00001",
    ]  # fmt: skip
    assert found.items[0]["language"] == "English"
    assert "left out, not in English: 1: dev/mp4/id00012/2DLq" in said
    assert "left out, not in lang_vox2_final.csv: 1: dev/mp4/id00019" in said
    table.write_text(LANGUAGES.replace("French", "English"))
    with pytest.raises(OutputExistsError):
        made(output, "voxceleb2", folder, languages=table, language="English")
    # Without --language the table only tells what is spoken.
    table.write_text(LANGUAGES)
    found, said = made(tmp_path / "all.jsonl", "voxceleb2", folder, languages=table)
    spoken = [item.get("language") for item in found.items]
    assert spoken == ["English", "French", "english", None] and "left out" not in said


@pytest.mark.parametrize("language", [None, "English"])
def test_voxceleb2_by_a_list_of_clips(tmp_path, language):
    folder = touch(tmp_path / "vox", *VOX)
    (tmp_path / "vox-en.id").write_text("dev/id00012/21Uxsk56VDQ/00001\n\n")
    found, said = made(
        tmp_path / "m.jsonl", "voxceleb2", folder, languages=tmp_path / "vox-en.id",
        language=language,
    )  # fmt: skip
    assert [item.get("language") for item in found.items] == [language]
    assert "left out, not in vox-en.id: 3: " in said


@pytest.mark.parametrize(
    ("text", "options", "error", "said"),
    [
        (None, {"language": "English"}, UsageError, "--language needs --languages FILE"),
        (
            LANGUAGES,
            {"language": "en"},
            DataError,
            "no utterance in en; it has: English 1, French 1",
        ),
        (LANGUAGES + "noise,x\n", {}, DataError, "line 5: expected an utterance, .*found 'noise'"),
        ("filename,lang\n", {}, DataError, "names no utterance of VoxCeleb2"),
    ],
)
def test_voxceleb2_languages_that_cannot_be_used(tmp_path, text, options, error, said):
    folder = touch(tmp_path / "vox", *VOX)
    if text is not None:
        (tmp_path / "l.csv").write_text(text)
        options = {**options, "languages": tmp_path / "l.csv"}
    with pytest.raises(error, match=said):
        made(tmp_path / "m.jsonl", "voxceleb2", folder, **options)
    with pytest.raises(DataError, match="no such file of languages"):
        made(tmp_path / "m.jsonl", "voxceleb2", folder, languages=tmp_path / "none.csv")


EVALUATION = """UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.000000; V:3.500000; D:NaN ; N:4.000000;
WORKER_1; Neutral; Neutral, Calm; A:3.000000; V:4.000000; D:NaN; N:5.000000;
WORKER-2; Happy; Happy; A:3.000000; V:3.000000; D:NaN; N:3.000000;
WORKER_1; Neutral; Neutral, Calm; A:3.000000; V:4.000000; D:NaN; N:5.000000;
WORKER_3; Other: bored; Bored; A:3.000000; V:3.000000; D:NaN; N:3.000000;

UTD-IMPROV-S20H-M06-S-MF12.avi; X; A:NaN; V:2.5; D:2; N:4;
WORKER_1; Angry; Angry; A:NaN; V:2.5; D:2; N:4;

UTD-IMPROV-S02S-M02-R-MF01.avi; S; A:1.0; V:2.5; D:2; N:4;
"""
IMPROV = (
    "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",
    "Video/session1/MSP-IMPROV-S01A-F01-P-FM01.avi",
    "session6/S20H/S/MSP-IMPROV-S20H-M06-S-MF12.wav",
    "session6/S20H/T/MSP-IMPROV-S20H-M06-T-FM01.avi",
)


@pytest.mark.parametrize("name", msp_improv.TABLES)
def test_msp_improv_with_its_evaluation(tmp_path, name):
    folder = touch(tmp_path / "improv", *IMPROV, "session7/MSP-IMPROV-S01A-F07-P-FM01.wav")
    (folder / name).write_text(EVALUATION)
    found, said = made(tmp_path / "m.jsonl", "msp-improv", folder)
    classes = found.header.to_dict()["labels"]["votes"]["classes"]
    assert classes == ["anger", "happiness", "neutral", "sadness", "other"]
    first = item_of(found, "msp-improv_S01A-F01-P-FM01")
    assert first["media"] == {"audio": IMPROV[0], "video": IMPROV[1]}
    assert first["labels"] == {
        "target": "anger", "emotion": "neutral", "arousal": 3.0, "valence": 3.5,
        "naturalness": 4.0, "votes": [0, 1, 1, 0, 1],
    }  # fmt: skip
    assert (first["speaker"], first["session"]) == ("msp-improv_F01", "msp-improv_01")
    assert (first["sex"], first["scenario"]) == ("female", "between the scenes")
    tied = item_of(found, "msp-improv_S20H-M06-S-MF12")["labels"]
    assert tied == {
        "target": "happiness", "valence": 2.5, "dominance": 2.0, "naturalness": 4.0,
        "votes": [1, 0, 0, 0, 0],
    }  # fmt: skip
    assert item_of(found, "msp-improv_S20H-M06-T-FM01")["labels"] == {"target": "happiness"}
    assert "rated, but no recording is there: 1: S02S-M02-R-MF01" in said
    assert "3 of 8438 utterances, 2 speakers" in said and "F07" in said


def test_a_turn_of_msp_improv_that_is_listed_again_counts_once(tmp_path):
    folder = touch(tmp_path / "improv", *IMPROV)
    once = (EVALUATION, EVALUATION + "\n" + EVALUATION)
    for number, text in enumerate(once):
        (folder / "Evaluation.txt").write_text(text)
        found, _ = made(tmp_path / f"{number}.jsonl", "msp-improv", folder)
        assert item_of(found, "msp-improv_S01A-F01-P-FM01")["labels"]["votes"] == [0, 1, 1, 0, 1]
    (folder / "Evaluation.txt").write_text(EVALUATION.replace("WORKER_1; N", "; N"))
    found, _ = made(tmp_path / "nameless.jsonl", "msp-improv", folder)
    assert item_of(found, "msp-improv_S01A-F01-P-FM01")["labels"]["votes"] == [0, 1, 2, 0, 1]


def test_msp_improv_without_its_evaluation(tmp_path):
    folder = touch(tmp_path / "improv", *IMPROV)
    found, said = made(tmp_path / "m.jsonl", "msp-improv", folder)
    assert set(found.header.to_dict()["labels"]) == {"target"}
    assert "no Evaluation.txt or Evalution.txt (kept without emotion and ratings)" in said
    with pytest.raises(DataError, match=r"no Evaluation\.txt"):
        made(tmp_path / "strict.jsonl", "msp-improv", folder, strict=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("WORKER_1; Neutral;\n", r"line 1: expected UTD-IMPROV"),
        (EVALUATION.replace("; S;", "; Q;"), r"line 10: the consensus is 'Q'"),
        (EVALUATION.replace("V:2.5", "V=2.5"), r"line 7: 'V=2.5' is no mean rating"),
        ("\n\n", "rates no turn"),
        (EVALUATION + EVALUATION.splitlines()[0].replace("V:3.5", "V:3.6"), r"line 11: .* before"),
    ],
)
def test_msp_improv_evaluations_that_cannot_be_used(tmp_path, text, said):
    folder = touch(tmp_path / "improv", *IMPROV)
    tables = touch(tmp_path / "tables", "Evaluation.txt", content=text.encode())
    with pytest.raises(DataError, match=said):
        made(tmp_path / "m.jsonl", "msp-improv", folder, tables=tables)


def test_lrs3_talks_and_texts(tmp_path):
    names = ("pretrain/0Fi83BHQsMA/00002", "trainval/0Fi83BHQsMA/00002", "test/Za-x/00001")
    folder = touch(tmp_path / "lrs3", *(f"{name}.mp4" for name in names))
    said_there = b"Text:  SO IT'S {NS} HERE \nConf:  3\n\nWORD START END ASDSCORE\n"
    touch(folder, f"{names[0]}.txt", content=said_there)
    touch(folder, f"{names[2]}.txt", content=b"nothing\n")
    found, said = made(tmp_path / "m.jsonl", "lrs3", folder)
    assert item_of(found, "lrs3_pretrain_0Fi83BHQsMA_00002") == {
        "media": f"{names[0]}.mp4", "speaker": "lrs3_0Fi83BHQsMA", "split": "train",
        "part": "pretrain", "text": "SO IT'S {NS} HERE", **EMPTY,
    }  # fmt: skip
    splits = [(item["split"], item.get("text")) for item in found.items]
    assert splits[1:] == [("test", None), ("train", None)]
    assert "no text beside the video (kept without it): 1: trainval" in said
    assert "kept without): 1: test/Za-x/00001.txt" in said
    touch(folder, f"{names[0]}.txt", content=said_there.replace(b"HERE", b"THERE"))
    with pytest.raises(OutputExistsError):
        made(tmp_path / "m.jsonl", "lrs3", folder)


RAVDESS_FILMS = (
    "Video_Speech_Actor_12/Actor_12/01-01-06-01-02-01-12.mp4",
    "Video_Speech_Actor_12/Actor_12/02-01-06-01-02-01-12.mp4",
    "Audio_Speech_Actors_01-24/Actor_12/03-01-06-01-02-01-12.wav",
    "Video_Speech_Actor_03/Actor_03/01-01-01-01-01-01-03.mp4",
)


@pytest.mark.parametrize(
    ("modality", "media"),
    [
        (None, [RAVDESS_FILMS[3], {"audio": RAVDESS_FILMS[2], "video": RAVDESS_FILMS[0]}]),
        ("av", [RAVDESS_FILMS[3], {"audio": RAVDESS_FILMS[2], "video": RAVDESS_FILMS[0]}]),
        ("audio", [RAVDESS_FILMS[2]]),
        ("video", [RAVDESS_FILMS[3], RAVDESS_FILMS[1]]),
    ],
)
def test_a_performance_is_one_item_in_any_modality(tmp_path, modality, media):
    folder = touch(tmp_path / "ravdess", *RAVDESS_FILMS)
    found, said = made(tmp_path / "m.jsonl", "ravdess", folder, modality=modality)
    assert [item["media"] for item in found.items] == media
    without = "left out, without an audio file: 1: 01-01-01-01-01-03"
    assert (without in said) == (modality == "audio")


def test_cremad_films_without_their_sound_files(tmp_path):
    folder = touch(
        tmp_path / "cremad", "VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1001_IEO_HAP_LO.flv",
        "AudioWAV/1001_DFA_ANG_XX.wav",
    )  # fmt: skip
    found, _ = made(tmp_path / "m.jsonl", "cremad", folder)
    assert by_id(found)["cremad_1001_IEO_HAP_LO"]["media"] == "VideoFlash/1001_IEO_HAP_LO.flv"
    touch(tmp_path / "films", "1001_DFA_ANG_XX.flv")
    with pytest.raises(
        DataError, match="none of CREMA-D's 1 utterance there has an audio file; leave"
    ):
        made(tmp_path / "m.jsonl", "cremad", tmp_path / "films", modality="audio")


@pytest.mark.parametrize("corpus", ["grid", "voxceleb2", "msp-improv", "lrs3"])
def test_wrong_folders_say_what_was_looked_for_and_found(tmp_path, corpus):
    folder = touch(tmp_path / "corpus", "song.mp3", "notes.txt")
    with pytest.raises(DataError, match=r"files named like .*; found 1 other, such as song\.mp3"):
        made(tmp_path / "m.jsonl", corpus, folder)
    (folder / "song.mp3").unlink()
    with pytest.raises(DataError, match="no audio and no video file at all"):
        made(tmp_path / "m.jsonl", corpus, folder)
    with pytest.raises(DataError, match="no such folder"):
        made(tmp_path / "m.jsonl", corpus, tmp_path / "nowhere")


@pytest.mark.parametrize("corpus", list(CORPORA))
def test_options_of_other_corpora_are_refused(tmp_path, corpus):
    assert corpus == adapter(corpus).NAME
    others = {"language": "English", "tables": Path("t"), "modality": "av", "speaker": "spk"}
    for option, value in others.items():
        if option not in adapter(corpus).OPTIONS:
            with pytest.raises(UsageError, match=f"--{option} does not apply to {corpus}"):
                made(tmp_path / "m.jsonl", corpus, tmp_path, **{option: value})
