"""finetune, predict and extract asked for what cannot be, or what would be left unsaid."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import labelled_features
import pytest
from chain import invoke

from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.common import training_run
from avaffect.recipes.common.stores import in_split
from avaffect.training import checkpoint

QUICK = ("--epochs", 1, "--batch-utterances", 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_features.write(tmp_path / "f.h5")
    return tmp_path


def test_the_learning_rate_of_nothing_is_refused(folder: Path) -> None:
    """An encoder's, without one; what a checkpoint records of a frozen one is none."""
    said = invoke(folder, "finetune", "f.h5", *QUICK, "--learning-rate", 0.1, status=2).stderr
    assert "--head-learning-rate" in said
    invoke(folder, "finetune", "f.h5", *QUICK, "--decay-every", 3, status=2)
    invoke(folder, "finetune", "f.h5", *QUICK, "--learning-rate", 1e-5)


# -- predict --------------------------------------------------------------------------------------


def test_a_split_that_was_asked_for_is_not_everything(folder: Path) -> None:
    """Without splits nothing is in one, whatever its name."""
    labelled_features.write(folder / "folds.h5", fields=("speaker", "fold"))
    labelled_features.write(folder / "bare.h5", fields=())
    invoke(folder, "finetune", "f.h5", *QUICK, "-o", "er.safetensors")
    predict = ("predict", "--model", "er.safetensors")
    for split in ("test", "foo"):
        for name, there in (("folds", "folds"), ("bare", "none")):
            found = invoke(folder, *predict, f"{name}.h5", "--split", split, status=65)
            assert f"{name}.h5: no utterance is in the split '{split}'" in found.stderr
            assert f"(there are: {there})" in found.stderr and not found.stdout
    found = invoke(folder, *predict, "f.h5", "--split", "foo", status=65).stderr
    assert "(there are: development, test, train)" in found
    for options in (("bare.h5",), ("bare.h5", "--split", "all")):
        assert invoke(folder, *predict, *options).stdout.count('"kind":"item"') == 48
    assert invoke(folder, *predict, "f.h5", "--split", "test").stdout.count('"kind":"item"') == 8
    # A default takes a store without splits whole.
    bare, whole = Store(folder / "bare.h5"), Store(folder / "f.h5")
    assert [mask.sum() for mask in in_split([bare, whole], "train")] == [48, 32]
    assert [mask.sum() for mask in in_split([bare, whole], "train", given=True)] == [0, 32]


def test_folds_have_no_split(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "--folds", 3, "-o", "er.safetensors")
    predict = ("predict", "f.h5", "--model", "er.safetensors")
    found = invoke(folder, *predict, "--split", "development", status=65).stderr
    assert "predicted by the fold that tests it" in found and "leave --split out" in found
    assert invoke(folder, *predict, "--split", "all").stdout.count('"kind":"item"') == 48


def test_the_output_has_the_name_of_what_is_written(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "-o", "er.safetensors")
    invoke(folder, "finetune", "f.h5", *QUICK, "--label", "arousal", "-o", "va.safetensors")
    predict = ("predict", "f.h5", "--model")
    found = invoke(folder, *predict, "er.safetensors", "-o", "x.h5", status=2).stderr
    assert "name it x.jsonl" in found and not (folder / "x.h5").exists()
    found = invoke(folder, *predict, "va.safetensors", "-o", "x.jsonl", status=2).stderr
    assert "name it x.h5" in found and not (folder / "x.jsonl").exists()
    invoke(folder, *predict, "er.safetensors", "-o", "x.predictions")
    invoke(folder, *predict, "va.safetensors", "-o", "x.traces")


# -- finetune -------------------------------------------------------------------------------------


def test_classes_that_nobody_can_learn(folder: Path) -> None:
    """Named ones are refused, others are told."""
    tune = ("finetune", "f.h5", *QUICK)
    found = invoke(folder, *tune, "--classes", "rising,fallin", status=65).stderr
    assert "is of the class 'fallin' of --classes" in found
    assert "(labels of emotion: falling, rising)" in found
    third = {"u32": "steady", "u47": "steady"}
    header = manifest.new_header("corpus")
    lines = [{"id": name, "labels": {"emotion": label}} for name, label in third.items()]
    manifest.write(folder / "third.jsonl", header, lines)
    annotated = ("--annotations", "third.jsonl")
    found = invoke(folder, *tune, *annotated).stderr
    assert "no utterance of the training part is of steady: it occurs in development" in found
    named = ("--classes", "rising,falling,steady", "-o", "named.safetensors")
    found = invoke(folder, *tune, *annotated, *named, status=65).stderr
    assert "'steady'" in found and not (folder / "named.safetensors").exists()
    invoke(folder, *tune, "--classes", "a=rising+steady,falling", *annotated, "-f")


def test_annotations_take_no_split_away(folder: Path) -> None:
    """What is left out, and a split that is null, stay; a label that is null is none."""
    items = [
        {"id": "u00", "split": None, "labels": {"emotion": "falling"}},
        {"id": "u01", "split": "test", "speaker": "s5"},
        {"id": "u02", "labels": {"emotion": None}},
    ]
    manifest.write(folder / "over.jsonl", manifest.new_header("corpus"), items)
    found = invoke(folder, "finetune", "f.h5", *QUICK, "--annotations", "over.jsonl").stderr
    assert "training on 30 utterances (rising 14, falling 16), development 8, test 9" in found


def test_finetune_says_what_it_trains_on(folder: Path) -> None:
    def said(*options: object) -> str:
        return invoke(folder, "finetune", "f.h5", *QUICK, *options, "-f").stderr

    parts = ", development 8, test 8"
    assert f"training on 32 utterances (rising 16, falling 16){parts}" in said()
    assert f"training on 8 of 32 utterances (rising 4, falling 4){parts}" in said(
        "--fraction", 0.25
    )
    found = said("--folds", 3)
    assert "fold 0: training on 16 utterances (rising 8, falling 8), development 16" in found
    assert f"training on 32 utterances{parts}" in said("--label", "arousal")


def test_options_that_would_do_nothing(folder: Path) -> None:
    def refused(*arguments: object) -> str:
        return invoke(folder, *arguments, "-o", "x", status=2).stderr

    tune = ("finetune", "f.h5")
    assert "--raters goes with traces; emotion is a class" in refused(*tune, "--raters", "ewe")
    for name, heads in (("hidden", "mlp or bgru or gru"), ("layers", "bgru or gru")):
        said = refused(*tune, f"--{name}", 4)
        assert f"--{name} goes with --head {heads}" in said
        assert "at least 1" in refused(*tune, "--head", "gru", f"--{name}", 0)
    said = refused("extract", "f.h5", "--model", "mfcc", "--layer", 2)
    assert "--layer goes with an encoder; mfcc is a front-end" in said
    assert "given twice" in refused(*tune, *QUICK, "--label", "emotion", "--label", "emotion")


def _annotated(folder: Path, count: int, **facts: object) -> Path:
    path = folder / "annotations.jsonl"
    found = [{"id": f"u{number:02}", **facts} for number in range(count)]
    manifest.write(path, manifest.new_header("corpus"), found)
    return path


def test_what_is_not_trained_on_or_not_known_is_said(folder: Path) -> None:
    """Utterances without a split among others, or without a speaker; manifests that name a part."""
    labelled_features.write(folder / "bare.h5", fields=())
    tune = ("finetune", "bare.h5", *QUICK, "-f", "--annotations")
    said = invoke(folder, *tune, _annotated(folder, 20, split="train")).stderr
    assert "warning: 28 of 48 labelled utterances without a split" in said
    assert "--annotations names 20 of 48 utterances" in said and "no speaker" not in said
    said = invoke(folder, *tune, _annotated(folder, 48, split="train", speaker="a")).stderr
    assert "no split" not in said and "--annotations names" not in said
    labelled_features.write(folder / "split.h5", fields=("split",))
    said = invoke(folder, "finetune", "split.h5", *QUICK, "-f").stderr
    assert "48 utterances have no speaker: an overlap of training with test" in said
    assert "no speaker" not in invoke(folder, "finetune", "f.h5", *QUICK, "-f").stderr


def test_a_disk_that_can_only_be_read_is_named(folder: Path, monkeypatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "x.safetensors.state")

    monkeypatch.setattr(training_run, "acquire", refuse)
    said = invoke(folder, "finetune", "f.h5", *QUICK, "-o", "x.safetensors", status=1).stderr
    assert "x.safetensors cannot be written: . is on a read-only disk" in said


def test_recurrent_heads_have_their_size(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", "--head", "gru", "--layers", 1, "--steps", 1)
    model = checkpoint.load(folder / "classifier.safetensors")[0]["model"]["configuration"]
    size = model["head"]["configuration"]
    assert (size["hidden"], size["layers"]) == (256, 1)
