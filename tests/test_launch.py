"""Where a process stands among others is resolved once, then recorded, then run."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pytest
import torch
from chain import invoke
from stores import redigested

from avaffect.core.errors import UsageError
from avaffect.core.launch import Launch, Shard, launch, parse_shard
from avaffect.data.artifacts import describe
from avaffect.data.store.reader import Store
from avaffect.recipes.common.shard_order import recorded_shard
from avaffect.settings.base import semantic
from avaffect.settings.extract import ExtractSettings
from avaffect.settings.preprocess import PreprocessSettings
from avaffect.settings.pretrain_apc import PretrainApcSettings
from avaffect.settings.pretrain_cpc import PretrainCpcSettings
from avaffect.settings.pretrain_hubert import PretrainHubertSettings
from avaffect.training.device import _own_device

SRUN = {
    "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "7", "SLURM_STEP_NUM_NODES": "2",
    "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "gpu[007-008]",
    "SLURM_JOB_ID": "731", "SLURM_STEP_ID": "0",
}  # fmt: skip
ARRAY = {
    "SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_MAX": "6",
    "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_STEP": "1",
}  # fmt: skip


def test_processes_of_the_launchers() -> None:
    assert launch({}) == Launch() and not launch({}).follows
    # Within sbatch's own shell, not started by srun.
    assert launch({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) == Launch()
    found = launch(SRUN)
    assert found == Launch(5, 7, 1, 1, 2, "gpu007", found.port, task=True) and found.follows
    torchrun = {
        "TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6", "RANK": "3",
        "LOCAL_RANK": "1", "GROUP_RANK": "1", "MASTER_ADDR": "there", "MASTER_PORT": "29400",
    }  # fmt: skip
    assert launch({**SRUN, **torchrun}) == Launch(3, 6, 1, 1, 3, "there", 29400)


def test_where_ranks_of_a_slurm_step_meet() -> None:
    assert launch({**SRUN, "SLURM_STEP_NUM_NODES": "1"}).address == "127.0.0.1"
    for hosts in ("gpu007", "gpu[007-009,12],cpu1", "gpu007,cpu1", "gpu[007]"):
        assert launch({**SRUN, "SLURM_STEP_NODELIST": hosts}).address == "gpu007"
    told = launch({**SRUN, "MASTER_ADDR": "there", "MASTER_PORT": "12345"})
    assert (told.address, told.port) == ("there", 12345)
    places = [(job, step) for job in (731, 732, 10731) for step in (0, 1)]
    ports = {
        launch({**SRUN, "SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)}).port
        for job, step in places
    }
    assert len(ports) == len(places) and min(ports) > 1024 and max(ports) < 32768


def test_each_process_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    there = torch.device("cuda", 1)
    for count, started, index in (
        (4, Launch(), 1),
        (4, Launch(5, 8, 1, 1, 2, task=True), 1),
        # Each task sees the GPU of its own alone.
        (1, Launch(5, 8, 1, 1, 2, task=True), 0),
    ):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        assert _own_device(there, started) == index
    with pytest.raises(UsageError, match="process 2 of this node"):
        _own_device(there, Launch(5, 8, 1, 1, 2))


def test_places_in_a_job_array() -> None:
    assert parse_shard("slurm", ARRAY) == Shard(1, 4)
    every_other = {**ARRAY, "SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MAX": "9",
                   "SLURM_ARRAY_TASK_STEP": "2"}  # fmt: skip
    assert parse_shard("slurm", every_other) == Shard(2, 4)
    assert parse_shard("01/08") == Shard(1, 8)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"SLURM_ARRAY_TASK_COUNT": None}, "SLURM_ARRAY_TASK_COUNT is not set"),
        ({"SLURM_ARRAY_TASK_ID": "four"}, "'four', not a number"),
        # --array=3,4,9,12
        ({"SLURM_ARRAY_TASK_MAX": "12"}, "with gaps"),
        ({"SLURM_ARRAY_TASK_ID": "8"}, "with gaps"),
        ({"SLURM_ARRAY_TASK_COUNT": "0"}, "with gaps"),
    ],
)
def test_arrays_that_give_no_place(changed: dict, words: str) -> None:
    environment = {k: v for k, v in {**ARRAY, **changed}.items() if v is not None}
    with pytest.raises(UsageError, match=words):
        parse_shard("slurm", environment)


@pytest.mark.parametrize("text", ["1", "2/2", "-1/2", "a/b", "1/2/3", "", "1/0", "²/3"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)
    assert recorded_shard(text) is None


@pytest.fixture
def array_task(monkeypatch: pytest.MonkeyPatch):
    def set_task(task: int, count: int) -> None:
        values = {"ID": task, "MIN": 0, "MAX": count - 1, "COUNT": count, "STEP": 1}
        for name, value in values.items():
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))

    return set_task


def test_settings_hold_the_place_not_the_word(array_task) -> None:
    array_task(2, 5)
    for settings in (
        ExtractSettings(media=Path("m.h5"), output=Path("o.h5"), model="mfcc", shard="slurm"),
        PreprocessSettings(output=Path("o.h5"), shard="slurm"),
    ):
        assert semantic(settings)["shard"] == "2/5"
    with pytest.raises(UsageError, match="I/N"):
        PreprocessSettings(output=Path("o.h5"), shard="slrum")


def test_defaults_that_depend_on_others_are_recorded() -> None:
    media, units = (Path("m.h5"),), (Path("u.h5"),)
    assert PretrainApcSettings(media=media).preset == "base"
    assert PretrainApcSettings(media=media, init=Path("x")).preset is None
    assert PretrainCpcSettings(media=media).cell == "gru"
    audio = PretrainHubertSettings(media=media, units=units)
    assert (audio.preset, audio.modality, audio.masking) == ("base", "audio", None)
    assert PretrainHubertSettings(media=media, units=units, modality="av").masking == "feature"


def _extract(folder: Path, output: str, shard: str = "slurm", status: int = 0) -> str:
    arguments = ("a.h5", "--model", "mfcc", "--shard", shard, "-o", output)
    return invoke(folder, "extract", *arguments, status=status).stderr


def test_tasks_of_an_array_do_not_take_each_other_for_themselves(chain: Path, array_task) -> None:
    for task in (0, 1):
        array_task(task, 2)
        _extract(chain, f"part{task}.h5")
        assert describe(chain / f"part{task}.h5").provenance["settings"]["shard"] == f"{task}/2"
    assert "other inputs or settings" in _extract(chain, "part0.h5", status=73)
    # Named outright it is the same part.
    assert "up to date" in _extract(chain, "part1.h5", "1/2")
    invoke(chain, "merge", "part0.h5", "part1.h5", "-o", "merged.h5")
    invoke(chain, "extract", "a.h5", "--model", "mfcc", "-o", "whole.h5")
    merged, whole = (describe(chain / name).content_id for name in ("merged.h5", "whole.h5"))
    assert merged == whole
    # In any order, and the second time there is nothing to do.
    _merge(chain, "part1.h5", "part0.h5")
    assert describe(chain / "odd.h5").content_id == whole
    found = invoke(chain, "merge", "part0.h5", "part1.h5", "-o", "odd.h5")
    assert "up to date" in found.stderr


def _merge(folder: Path, *parts: str, status: int = 0) -> str:
    command = ("merge", *parts, "--force", "-o", "odd.h5")
    return invoke(folder, *command, status=status).stderr


def test_missing_duplicate_and_foreign_shards_are_named(chain: Path) -> None:
    for task in range(4):
        _extract(chain, f"part{task}.h5", f"{task}/4")
    found = _merge(chain, "part3.h5", "part1.h5")
    assert "2 of 4 shards are missing: 0/4, 2/4" in found
    ids = Store(chain / "part1.h5").ids + Store(chain / "part3.h5").ids
    assert Store(chain / "odd.h5").ids == ids
    shutil.copy(chain / "part1.h5", chain / "again.h5")
    found = _merge(chain, "part0.h5", "part1.h5", "again.h5", status=65)
    assert all(name in found for name in ("part1.h5", "again.h5", "1/4"))
    invoke(chain, "extract", "b.h5", "--model", "mfcc", "--shard", "0/4", "-o", "other.h5")
    found = _merge(chain, "part2.h5", "part1.h5", "part0.h5", "other.h5")
    assert "1 of 4 shards are of another run" in found and "other.h5" in found


@pytest.mark.parametrize("recorded", ["slurm", "2/2", "1", "one/two", ""])
def test_shards_that_name_no_place_are_merged_with_a_word(chain: Path, recorded: str) -> None:
    _extract(chain, "part0.h5", "0/2")
    _extract(chain, "part1.h5", "1/2")
    for part in ("part0.h5", "part1.h5"):
        shutil.copy(chain / part, chain / f"old-{part}")
    with h5py.File(chain / "old-part1.h5", "r+") as file:
        text = file["provenance"][()].decode()
        assert '"shard":"1/2"' in text
        del file["provenance"]
        file["provenance"] = text.replace('"shard":"1/2"', f'"shard":"{recorded}"')
        redigested(file)
    assert f"the shard {recorded!r}, which is not" in _merge(chain, "part0.h5", "old-part1.h5")


def test_how_the_epoch_is_chosen_is_recorded(chain: Path) -> None:
    command = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen",
               "--epochs", 1, "-o", "er.safetensors")  # fmt: skip
    invoke(chain, *command)
    recorded = describe(chain / "er.safetensors").provenance["settings"]["select"]
    assert recorded is not None
    assert "up to date" in invoke(chain, *command, "--select", recorded).stderr
