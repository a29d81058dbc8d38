"""Options of heads: each head's own, by flags or by name; heads of other packages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from chain import invoke
from torch import Tensor, nn
from two_stores import report, trained, write

from avaffect.core.errors import UsageError
from avaffect.core.registry import Part
from avaffect.models.encoder import Frames
from avaffect.models.heads.base import FrameHead, FrameHeadConfiguration, Outputs
from avaffect.models.heads.recurrent import mean_steps
from avaffect.models.heads.registry import HEADS, options_of
from avaffect.settings.base import option
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.head_options import OWN_HEADS, RecurrentOptions, declared
from avaffect.training import checkpoint

MEDIA = (Path("f.h5"),)
RECURRENT = {"hidden": 256, "layers": 2, "dropout": 0.0, "frames_per_step": None}


# -- a head of another package --------------------------------------------------------------------


@dataclass(frozen=True)
class PowerConfiguration(FrameHeadConfiguration):
    """standardise and rate are not for users to choose."""

    power: int = option(2, "Power of the mean over time.", at_least=1)
    dropout: float = option(0.0, "Dropout probability.", at_least=0, below=1)
    bias: bool = option(True, "Whether the dense layer has a bias.")
    root: str = option("plain", "Root of the mean.", choices=("plain", "signed"))
    rate: float = 1.0


class Power(FrameHead):
    """A toy: a dense layer on power means; over time, each of five frames."""

    def __init__(self, configuration: PowerConfiguration) -> None:
        super().__init__(configuration.inputs, configuration.outputs, frames_per_step=5)
        self.configuration = configuration
        self.dense = nn.Linear(configuration.dim, self.outputs, bias=configuration.bias)

    def forward(
        self, frames: Mapping[str, Frames], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        (given,) = (frames[name] for name in self.streams)
        power = self.configuration.power

        def utterance() -> Tensor:
            return self.dense(Frames(given.values**power, given.lengths).mean())

        def over_time() -> Frames:
            steps = mean_steps(given, self.frames_per_step)
            return Frames(self.dense(steps.values) * steps.valid[..., None], steps.lengths)

        return Outputs(utterance, over_time)


POWER = Part(PowerConfiguration, Power)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with stores, and the toy as a head of an installed package."""
    write(tmp_path)
    package = tmp_path / "heads-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: heads\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[avaffect.heads]\npower = {__name__}:POWER\n")
    invoke(tmp_path, "finetune", "slow.h5", "--head", "power", status=2)
    monkeypatch.syspath_prepend(str(tmp_path))
    HEADS.__dict__.pop("_points", None)
    yield tmp_path
    HEADS.__dict__.pop("_points", None)
    HEADS._loaded.clear()


def test_a_head_of_another_package_gets_its_options(installed: Path) -> None:
    options = ("--head", "power", "--head-option", "power=1", "--head-option", "bias=false",
               "--dropout", 0.25, "--head-learning-rate", 0.05)  # fmt: skip
    labels = ("--label", "emotion", "--label", "arousal_mean")
    header = trained(installed, *labels, *options, given=())
    head = header["model"]["configuration"]["head"]
    assert head["name"] == "power"
    found = {name: value for name, value in head["configuration"].items() if name != "inputs"}
    assert found == {"outputs": 4, "power": 1, "dropout": 0.25, "bias": False, "root": "plain",
                     "rate": 1.0}  # fmt: skip
    made = header["provenance"]["settings"]
    assert made["head_option"] == ["power=1", "bias=false", "root=plain"]
    assert made["dropout"] == 0.25 and made["hidden"] is None
    assert report(installed, "eval-ccc", "p.jsonl")["pooled"]["arousal_mean"]["ccc"] > 0.4
    # What is said or left to the default is recorded alike.
    again = ("finetune", "slow.h5", *labels, "--epochs", 40, "--batch-utterances", 16, *options,
             "-o", "c.safetensors")  # fmt: skip
    assert "up to date" in invoke(installed, *again, "--head-option", "root=plain").stderr
    invoke(installed, *again, "--head-option", "root=signed", status=73)


def test_a_head_says_at_which_rate_it_predicts(installed: Path) -> None:
    """Five frames a step at 10 Hz, whatever the settings know of it."""
    invoke(installed, "finetune", "slow.h5", "--label", "arousal", "--head", "power", "--epochs", 2,
           "-o", "c.safetensors")  # fmt: skip
    header = checkpoint.load(installed / "c.safetensors")[0]
    assert header["traces"]["rate_hz"] == 2.0
    invoke(installed, "predict", "slow.h5", "--model", "c.safetensors", "-o", "p.h5")
    shown = json.loads(invoke(installed, "info", "p.h5", "--json").stdout)
    assert shown["labels"]["arousal"]["rate_hz"] == 2.0


@pytest.mark.parametrize(
    "wrong",
    ["width=3", "power=0", "power=x", "power=1.5", "power", "dropout=1", "dropout=nan", "bias=yes",
     "root=cubic", "rate=2"],
)  # fmt: skip
def test_options_that_a_head_does_not_have_are_refused(installed: Path, wrong: str) -> None:
    said = invoke(installed, "finetune", "slow.h5", "--head", "power", "--head-option", wrong,
                  status=2).stderr  # fmt: skip
    assert f"--head-option {wrong.partition('=')[0]}" in said


def test_flags_that_a_head_does_not_have_are_refused(installed: Path) -> None:
    said = invoke(installed, "finetune", "slow.h5", "--head", "power", "--hidden", 8, status=2)
    assert "--hidden goes with --head mlp or bgru or gru" in said.stderr


# -- avaffect's own -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN_HEADS)
def test_a_head_is_made_of_what_it_declares(name: str) -> None:
    """Its configuration has every option, with the default that is declared."""
    fields = {item.name: item for item in dataclasses.fields(HEADS[name].load_configuration())}
    assert options_of(name) is OWN_HEADS[name]
    for item in declared(OWN_HEADS[name]).values():
        assert item.default in (fields[item.name].default, None)


def test_options_are_those_given_or_defaults() -> None:
    plain = {"dropout": 0.0, "pooling": "mean", "attention": 128, "pooled_norm": False}
    linear = FinetuneSettings(media=MEDIA, pooling="mean")
    assert linear.options(OWN_HEADS["linear"]) == plain
    complete = linear.with_options(plain)
    assert (complete.pooling, complete.head_option) == (None, ())
    named = linear.with_options({**plain, "pooling": "attentive", "attention": 64})
    assert (named.pooling, named.head_option) == ("attentive", ("attention=64",))
    bgru = FinetuneSettings(media=MEDIA, head="bgru")
    assert bgru.options(RecurrentOptions) == RECURRENT
    given = FinetuneSettings(media=MEDIA, head="gru", layers=1, head_option=("frames-per-step=4",))
    assert given.options(RecurrentOptions) == RECURRENT | {"layers": 1, "frames_per_step": 4}
    complete = given.with_options(given.options(RecurrentOptions))
    assert (complete.hidden, complete.frames_per_step, complete.head_option) == (256, 4, ())
    assert complete.options(RecurrentOptions) == given.options(RecurrentOptions)


@pytest.mark.parametrize(
    "options",
    [{"hidden": 8}, {"layers": 1}, {"frames_per_step": 2}, {"head_option": ("hidden=8",)},
     {"head": "gru", "head_option": ("hidden=0",)}, {"head": "gru", "hidden": 0},
     {"head": "gru", "hidden": 8, "head_option": ("hidden=8",)},
     {"head": "gru", "head_option": ("layers=1", "layers=1")},
     {"head": "gru", "head_penalty": 1.0}, {"hidden_layers": 2},
     {"head": "gru", "pooling": "mean-std"}, {"head_option": ("pooling=max",)},
     {"head_option": ("attention=8",)},
     {"head": "mlp", "pooling": "mean-std", "head_option": ("attention=8",)},
     {"head": "svm", "head_option": ("kernel=linear", "gamma=1")}],
)  # fmt: skip
def test_options_of_other_heads_are_refused(options: dict) -> None:
    with pytest.raises(UsageError):
        FinetuneSettings(media=MEDIA, **options)
