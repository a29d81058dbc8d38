"""The Python interface: commands as functions, stores and manifests as iterables, encoders."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke

import avaffect
from avaffect.cli import catalogue
from avaffect.core.errors import UsageError
from avaffect.core.progress import Progress
from avaffect.data import artifacts

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"


def id_of(path: str) -> str:
    return artifacts.describe(Path(path)).content_id


def test_importing_the_package_is_light() -> None:
    code = "import sys, avaffect; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = found.stdout.split()
    assert [name for name in modules if name.startswith("avaffect")] == ["avaffect"]
    assert not {"numpy", "torch", "h5py", "click"} & set(modules)


def test_every_command_is_a_function_with_its_options() -> None:
    for name, command in catalogue.COMMANDS.items():
        spelling = "import_" if name == "import" else name.replace("-", "_")
        function = getattr(avaffect, spelling)
        assert spelling in dir(avaffect)
        expected = {item.name for item in fields(catalogue.imported(command.settings))} - {"json"}
        assert set(inspect.signature(function).parameters) == expected
        assert all(f"    {option}: " in function.__doc__ for option in expected)


@pytest.mark.parametrize("name", ["no_such_command", "eval-class", "import", "_hidden"])
def test_an_unknown_name_is_no_attribute(name: str) -> None:
    assert not hasattr(avaffect, name)


def test_a_function_writes_what_the_command_writes(files: Path, capfd) -> None:
    output = avaffect.extract("labelled.h5", model="kmeans.safetensors", output="python.h5")
    assert output == Path("python.h5")
    assert capfd.readouterr() == ("", "")
    invoke(files, "extract", "labelled.h5", "--model", "kmeans.safetensors", "-o", "shell.h5")
    assert (files / "python.h5").read_bytes() == (files / "shell.h5").read_bytes()


def test_the_line_that_must_work(files: Path) -> None:
    drawn = avaffect.retrieve(
        query="queries.h5", pool=["embeddings.h5"], temperature=0.1, draws=2, output="drawn.jsonl"
    )
    assert avaffect.read_manifest(drawn).items == avaffect.read_manifest("retrieved.jsonl").items
    adapted = avaffect.adapt(drawn, steps=1, output="again.safetensors")
    assert adapted.name == "again.safetensors" and id_of("again.safetensors")


def test_reports_are_returned(files: Path) -> None:
    (report,) = avaffect.eval_class(["predictions.jsonl"])
    assert report.count == 3 and report.ua == 0.5 and report.per_class["anger"].support == 2
    assert json.loads(report.to_json()) == report.to_dict()
    (described,) = avaffect.info("labelled.h5")
    assert described.content_id == id_of("labelled.h5")
    assert avaffect.check(["labelled.h5", "hubert.safetensors"]) is None


def test_failures_are_exceptions(files: Path) -> None:
    with pytest.raises(avaffect.UsageError):
        avaffect.extract("labelled.h5", model="mfcc", precision="8", output="x.h5")
    with pytest.raises(avaffect.UsageError):
        avaffect.retrieve(query="queries.h5", pool="embeddings.h5")
    with pytest.raises(TypeError):
        avaffect.extract("labelled.h5", model="mfcc", outputs="x.h5")
    with pytest.raises(TypeError):
        avaffect.adapt(steps=1, output="x.safetensors")
    with pytest.raises(avaffect.DataError), pytest.warns(UserWarning, match=r"missing\.h5"):
        avaffect.check("missing.h5")
    with pytest.raises(avaffect.OutputExistsError):
        avaffect.extract("pool.h5", model="mfcc", output="labelled-units.h5")


def test_warnings_are_warnings_and_progress_is_an_option(files: Path) -> None:
    class Heard(Progress):
        def __init__(self) -> None:
            self.said: list[str] = []

        def say(self, message: str) -> None:
            self.said.append(message)

        def warn(self, message: str) -> None:
            self.said.append(message)

    options = {"encoder": "adapted.safetensors", "steps": 1}
    with pytest.warns(UserWarning, match="chance"):
        avaffect.finetune("labelled.h5", output="a.safetensors", **options)
    heard = Heard()
    avaffect.finetune(["labelled.h5"], output="b.safetensors", progress=heard, **options)
    assert heard.said and id_of("a.safetensors") == id_of("b.safetensors")


def test_a_store_gives_its_utterances(files: Path) -> None:
    store = avaffect.Store("labelled.h5")
    utterances = list(store)
    assert [one.id for one in utterances] == store.ids and len(utterances) == 9
    one = store["synthA_000004"]
    assert one == utterances[4]
    assert one["waveform"].dtype == np.int16 and one["face"].shape[1:] == (16, 16, 1)
    assert one.labels["emotion"] == "anger" and one.meta["split"] == "test"
    assert one.labels["arousal"].dtype == np.float32 and isinstance(
        one.labels["arousal_mean"], float
    )
    assert avaffect.Store("queries.h5")["synthA_000004"].pooled("embedding").shape == (32,)
    with pytest.raises(KeyError):
        store["nobody"]
    with pytest.raises(avaffect.DataError):
        one["units"]


def test_a_manifest_gives_its_items() -> None:
    found = [item["id"] for item in avaffect.read_manifest(WRITTEN / "pool.jsonl")]
    assert found == [f"synthB_{number:06d}" for number in range(5)]


def test_an_encoder_reads_arrays(files: Path) -> None:
    """The same frames as `extract` writes, whatever the batch-mates."""
    store, features = avaffect.Store("labelled.h5"), avaffect.Store("features.h5")
    encoder = avaffect.load_encoder("hubert.safetensors")
    with torch.no_grad():
        frames = encoder(avaffect.make_batch(waveform=[one["waveform"] for one in store]))
    assert frames.values.shape[2] == encoder.dim == 16
    for row, one in enumerate(features):
        expected = one["features"]
        assert frames.lengths[row] == len(expected)
        np.testing.assert_allclose(frames.values[row, : len(expected)], expected, atol=1e-5)


def test_a_batch_knows_what_is_missing() -> None:
    film = np.zeros((3, 16, 16, 1), np.uint8)
    batch = avaffect.make_batch(waveform=[np.zeros(1200), np.zeros(800)], face=[None, film])
    assert batch.streams["face"].shape == (2, 3, 16, 16, 1)
    assert batch.lengths["waveform"].tolist() == [1200, 800]
    assert batch.present["face"].tolist() == [False, True]
    assert batch.rates == {"waveform": 16000.0, "face": 25.0}
    for wrong in ({"waveform": [[0.0]], "face": []}, {"units": [[1]]}, {"face": [None]}):
        with pytest.raises(ValueError):
            avaffect.make_batch(**wrong)


@pytest.mark.filterwarnings("ignore:.*chance:UserWarning")
def test_the_example_of_the_readme_runs(files: Path, capsys) -> None:
    (files / "features.h5").unlink()
    (files / "labelled.h5").rename("emodb.h5")
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    exec(text.split("```python\n")[1].split("```")[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 9 + 1
    assert lines[5].startswith("synthA_000004 anger 0.3") and lines[-1].endswith(", 16]) 50.0")


@pytest.mark.parametrize(
    "options", [{"steps": "3"}, {"encoder": ["a", "b"]}, {"label": None}, {"seed": None}]
)
def test_a_value_of_another_type_is_named(options: dict) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))}[= ]"):
        avaffect.finetune("f.h5", output="x.safetensors", **options)
