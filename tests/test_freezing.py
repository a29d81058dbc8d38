"""finetune --freeze: a part of the encoder stays as it is while the others are trained."""

from __future__ import annotations

from pathlib import Path

import labelled_faces
import pytest
import torch
from chain import invoke
from clips import FaceBatches, check_resuming, tiny_encoder
from label_heads import linear, named, of_class
from tiny_training import run, weights
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.models.avhubert import PRESETS, AVHubert
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.recurrent import PRESETS as RECURRENT
from avaffect.models.recurrent import RecurrentEncoder
from avaffect.objectives.base import Context, Step
from avaffect.objectives.supervised import Supervised
from avaffect.recipes.downstream.freezing import treatment_of
from avaffect.recipes.downstream.labelled_data import Utterances
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint

TRACE = ("--label", "arousal", "--epochs", 2, "--batch-utterances", 4, "--learning-rate", 0.01)
STEM, TRUNK = "resnet.frontend3D.", "resnet.trunk."


class Outputs(Supervised):
    """Outputs of one: nobody's task, but one that needs no labels."""

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        found = self.head(named(self.encoder(self.seen(batch, context)))).utterance
        return Step({"outputs": ((found - 1).square().sum(), float(len(found)))})


def outputs(kept: tuple[str, ...], seed: int = 0) -> Outputs:
    encoder = tiny_encoder(0)
    torch.manual_seed(seed)
    objective = Outputs(of_class(linear(encoder.dim, 1)), (), Inputs({ENCODER: encoder}), False)
    for module in encoder.resnet.trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.1)
    objective.keep(kept)
    return objective


def split(encoder: dict[str, Tensor], prefix: str = "") -> tuple[dict, dict]:
    """Parameters and buffers of the stem, and of the trunk."""
    return tuple(
        {name: t.clone() for name, t in encoder.items() if name.startswith(prefix + part)}
        for part in (STEM, TRUNK)
    )


def test_the_stem_and_its_statistics_stay() -> None:
    objective = outputs(("stem",))
    assert objective.encoder.parts().keys() == {"stem", "trunk"}
    stem, trunk = split(objective.encoder.state_dict())
    assert "resnet.frontend3D.1.running_mean" in stem
    run(objective, FaceBatches(), epochs=2)
    after = objective.encoder.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in stem.items())
    assert not any(torch.equal(after[name], tensor) for name, tensor in trunk.items())
    objective.train()
    assert not any(m.training for m in objective.encoder.resnet.frontend3D.modules())
    assert all(m.training for m in objective.encoder.resnet.trunk.modules())
    groups = {group.name: group.parameters for group in objective.parameter_groups()}
    assert {id(p) for p in groups["encoder"]} == {
        id(p) for p in objective.encoder.resnet.trunk.parameters()
    }


def test_without_it_the_stem_is_trained() -> None:
    objective = outputs(())
    stem = split(objective.encoder.state_dict())[0]
    run(objective, FaceBatches(), epochs=2)
    after = objective.encoder.state_dict()
    assert not any(torch.equal(after[name], tensor) for name, tensor in stem.items())


def test_a_resumed_run_keeps_it_too(tmp_path: Path) -> None:
    """What stays is no part of the state: it comes from where the run began."""
    whole = check_resuming(lambda seed: outputs(("stem",), seed), tmp_path, 5)
    assert weights(whole) != weights(outputs(("stem",)))
    stem = split(whole.encoder.state_dict())[0]
    fresh = outputs(("stem",)).encoder.state_dict()
    assert all(torch.equal(fresh[name], tensor) for name, tensor in stem.items())


def test_avhubert_has_the_same_parts() -> None:
    encoder = AVHubert(PRESETS["nano"])
    resnet = encoder.feature_extractor_video.resnet
    assert encoder.parts() == {"stem": resnet.frontend3D, "trunk": resnet.trunk}
    assert RecurrentEncoder(RECURRENT["nano"]).parts() == {}


# -- on the command line --------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_faces.write(tmp_path / "f.h5")
    labelled_faces.write_encoder(tmp_path / "x.safetensors")
    return tmp_path


@pytest.mark.parametrize("mode", ["fine-tuned", "scratch"])
def test_the_classifier_holds_the_whole_encoder(folder: Path, mode: str) -> None:
    invoke(folder, "finetune", "f.h5", "--encoder", "x.safetensors", *TRACE, "--mode", mode,
           "--freeze", "stem")  # fmt: skip
    header, tensors = checkpoint.load(folder / "classifier.safetensors")
    assert header["mode"] == mode and header["provenance"]["settings"]["freeze"] == ["stem"]
    before = split(checkpoint.load(folder / "x.safetensors")[1])
    after = split(tensors, "runs.0.encoder.")
    prefix = "runs.0.encoder."
    for old, new in zip(before, after):
        assert new.keys() == {prefix + name for name in old}
    same = [torch.equal(after[0][prefix + name], tensor) for name, tensor in before[0].items()]
    trained = [torch.equal(after[1][prefix + name], tensor) for name, tensor in before[1].items()]
    assert not any(trained)
    weight, mean = (f"{STEM}{name}" for name in ("0.weight", "1.running_mean"))
    if mode == "fine-tuned":
        assert all(same)
    else:
        # Random, and no batch has passed through it.
        assert not torch.equal(after[0][prefix + weight], before[0][weight])
        assert not after[0][prefix + mean].any()
    (folder / "x.safetensors").unlink()
    found = invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", "-o", "p.h5")
    assert "10 predictions" in found.stderr


def test_parts_that_are_not_there(folder: Path) -> None:
    def refused(*options: object) -> str:
        return invoke(folder, "finetune", "f.h5", *options, *TRACE, "-o", "y.safetensors",
                      status=2).stderr  # fmt: skip

    found = refused("--encoder", "x.safetensors", "--freeze", "stem", "--freeze", "head")
    assert "--freeze head" in found and "stem and trunk" in found
    frozen = ("--encoder", "x.safetensors", "--mode", "frozen", "--freeze", "stem")
    for options in (frozen, ("--freeze", "stem")):
        assert "nothing of it changes anyway" in refused(*options)
    assert not list(folder.glob("y.safetensors*"))


def test_an_encoder_that_is_one_whole() -> None:
    settings = FinetuneSettings(media=(Path("m.h5"),), encoder=Path("x"), freeze=("stem",))
    nobody = Utterances([], [], [], [])
    with pytest.raises(UsageError, match="it is one whole"):
        treatment_of(settings, RecurrentEncoder(RECURRENT["nano"]), [], ("waveform",), nobody)
