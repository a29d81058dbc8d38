"""Options of the heads of `finetune`: each head declares its own, with help, default and range.

A head's options are the fields that a dataclass declares with `option`. Those of avaffect's own
heads are here, where they cost no torch; their configurations (`models.heads`) inherit them. The
command line offers them by flags of their own (`--hidden 128`), and those of any head by
`--head-option NAME=VALUE`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Common, check_range, flags_of, option, types_of
from avaffect.settings.baseline_options import (
    AuxFormerOptions,
    MulTOptions,
    UAVMOptions,
    UnimodalOptions,
)
from avaffect.settings.highlight_options import HighlightOptions
from avaffect.settings.two_stream_options import PARTS, VAVLOptions

if TYPE_CHECKING:
    from typing import Self

MEAN, MEAN_STD, ATTENTIVE = POOLINGS = ("mean", "mean-std", "attentive")
TRUE_OR_FALSE = {"true": True, "false": False}
GoesWith = Mapping[str, tuple[str, tuple[str, ...]]]


def _dropout() -> Any:
    return option(0.0, "Dropout probability in the head.", at_least=0, below=1)


@dataclass(frozen=True)
class LinearOptions:
    """goes_with: option -> another, and those of its values with which it is of use."""

    goes_with: ClassVar[GoesWith] = {"attention": ("pooling", (ATTENTIVE,))}

    dropout: float = _dropout()
    pooling: str = option(
        MEAN, "Vector of an utterance from its frames: their mean; their mean and standard "
        "deviation; or attentive, both under learned weights.", choices=POOLINGS, added=True,
    )  # fmt: skip
    attention: int = option(128, "Units of --pooling attentive.", at_least=1, added=True)
    pooled_norm: bool = option(
        False, "Layer norm of the pooled vector below the layers, in place of a standardisation by "
        "training statistics.", added=True,
    )  # fmt: skip


@dataclass(frozen=True)
class DenseOptions(LinearOptions):
    hidden: int = option(256, "Units of a hidden layer.", at_least=1)
    hidden_layers: int = option(1, "Hidden layers of mlp.", at_least=1)
    layer_norm: bool = option(
        False, "Layer norm before the ReLU of each hidden layer.", added=True
    )  # fmt: skip


@dataclass(frozen=True)
class RecurrentOptions:
    """frames_per_step None: as many as make the head's default rate."""

    hidden: int = option(
        256, "Hidden units of the GRU in each direction, or of a hidden layer.", at_least=1
    )
    layers: int = option(2, "Number of GRU layers.", at_least=1)
    dropout: float = _dropout()
    frames_per_step: int | None = option(
        None, "Frames that are averaged into one step of the GRU.", at_least=1
    )


@dataclass(frozen=True)
class FittedOptions:
    """Options of a head that is fitted at once (`models.heads.base.FittedHead`).

    kinds: of the one label that it can be fitted to.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)


# The kernel is chosen too.
AUTO_KERNEL = "auto"


@dataclass(frozen=True)
class SVMOptions(FittedOptions):
    """C and gamma 0: not given."""

    goes_with: ClassVar[GoesWith] = {"gamma": ("kernel", (AUTO_KERNEL, "rbf"))}

    kernel: str = option(
        AUTO_KERNEL, "Kernel. auto: chosen on development.",
        choices=(AUTO_KERNEL, "linear", "rbf"),
    )  # fmt: skip
    C: float = option(0.0, "Penalty of errors. 0: chosen on development.", at_least=0)
    gamma: float = option(
        0.0, "Of the kernel rbf, exp(-gamma |x - y|^2). 0: 1 / (D variance), as scikit-learn's "
        "scale.", at_least=0,
    )  # fmt: skip


LINEAR = "linear"
# --layers: all of the encoder's, summed by weights that are learned.
WEIGHTED = "weighted"
# Flag -> the head's option that it gives, where they differ in name.
OPTION_OF = {"gru_layers": "layers"}
# Heads without the option have one frame a step, and completed settings say so.
ONE_FRAME = ("frames_per_step", 1)
# Name of a head -> the class of its options.
OWN_HEADS: dict[str, type] = {
    LINEAR: LinearOptions, "mlp": DenseOptions, "bgru": RecurrentOptions, "gru": RecurrentOptions,
    "svm": SVMOptions, "vavl": VAVLOptions, "uavm": UAVMOptions, "auxformer": AuxFormerOptions,
    "mult": MulTOptions, "unimodal": UnimodalOptions, "highlight": HighlightOptions,
}  # fmt: skip


def flag_of(kind: type, name: str, default: str | None = None, added: bool = False) -> Any:
    """A head's option as a flag of the command: None, the head's default, unless it is given.

    default: it in words, where it is no number; added: as in `option`.
    """
    item = declared(kind)[name]
    words = f"{item.default:g}." if default is None else default
    help = f"{item.metadata['help']} Default: {words}"
    metadata = {**item.metadata, "help": help, "added": added}
    return dataclasses.field(default=None, metadata=metadata)


def declared(kind: type) -> dict[str, dataclasses.Field]:
    """The options that a dataclass declares; other fields are not a user's to choose."""
    return {item.name: item for item in dataclasses.fields(kind) if "help" in item.metadata}


@dataclass(frozen=True, kw_only=True)
class HeadSettings(Common):
    """The head, its options and its training. Raises UsageError as `options` does, which sees to
    heads of other packages."""

    head: str = option(
        LINEAR, "Head: one linear layer on the mean over time, or hidden layers below it (mlp), or "
        "GRU layers, bidirectional (bgru) or forward (gru), or a support vector machine on the "
        "mean (svm); on an acoustic and a visual stream VAVL (vavl) or what it is compared with "
        "(uavm, auxformer, mult), on one of them conformers (unimodal); scores of the segments of "
        "a recording (highlight); or a head of another package.", "--head",
        metavar="linear|mlp|bgru|gru|svm|vavl|uavm|auxformer|mult|unimodal|highlight|NAME",
    )  # fmt: skip
    hidden: int | None = flag_of(RecurrentOptions, "hidden")
    hidden_layers: int | None = flag_of(DenseOptions, "hidden_layers", added=True)
    pooling: str | None = flag_of(LinearOptions, "pooling", "mean.", added=True)
    pooled_norm: bool | None = flag_of(LinearOptions, "pooled_norm", "none.", added=True)
    gru_layers: int | None = flag_of(RecurrentOptions, "layers", added=True)
    layers: str | int | None = option(
        None, "weighted: the head reads a weighted sum of all layers of the encoder; the weights, "
        "one a layer, are learned with it. A number: as --gru-layers. Default: the output of the "
        "encoder.", "--layers", metavar="weighted|N", at_least=1,
    )  # fmt: skip
    normalise_layers: bool = option(
        False, "Normalise each frame of each layer to mean 0 and variance 1 before "
        "--layers weighted.", "--normalise-layers", added=True,
    )  # fmt: skip
    dropout: float | None = flag_of(RecurrentOptions, "dropout")
    frames_per_step: int | None = flag_of(
        RecurrentOptions, "frames_per_step",
        "25 steps per second, or the rate of the traces if that is higher.",
    )  # fmt: skip
    without: tuple[str, ...] = option(
        (), "Part of --head vavl to leave out: the residual connection over the shared layers, the "
        "reconstruction, or the audiovisual prediction (av-head), which is then the mean of the "
        "acoustic and the visual one. Repeatable.", "--without", choices=PARTS, added=True,
    )  # fmt: skip
    head_option: tuple[str, ...] = option(
        (), "Option of the head by its name, such as one of a head of another package. "
        "Repeatable.", "--head-option", metavar="NAME=VALUE", added=True,
    )  # fmt: skip
    head_learning_rate: float | None = option(
        None, "Peak learning rate of the head. Default: 1e-3; frozen linear 1e-2, but with "
        "--pooling attentive 1e-3.", "--head-learning-rate", above=0,
    )  # fmt: skip
    head_penalty: float | None = option(
        None, "L2 penalty P of a linear head: P / 2 |w|^2 beside the sum of the utterances' "
        "losses. Default: 1 if frozen, as C = 1 in scikit-learn, otherwise 0. Weights of --pooling "
        "attentive count 100 times.", "--head-penalty", metavar="P", at_least=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _number_or_weighted(self.layers))
        super().__post_init__()
        if self.normalise_layers and self.layers != WEIGHTED:
            raise UsageError(f"--normalise-layers goes with --layers {WEIGHTED}")
        if self.head in OWN_HEADS:
            kind = OWN_HEADS[self.head]
            # Those of some heads check that they fit each other.
            kind(**self.options(kind))
        if self.head_penalty and self.head != LINEAR:
            raise UsageError(f"--head-penalty goes with --head {LINEAR}")

    def options(self, kind: type) -> dict[str, Any]:
        """Name -> value of every option of the head, as given or by default.

        kind: the dataclass that declares them. Raises UsageError for an option that the head does
        not have, one that is given twice, a value that it cannot have, and one that is of no use
        (`goes_with`).
        """
        known = declared(kind)
        given = self._flags(known)
        for part in self.without:
            name = part.replace("-", "_")
            if name not in known:
                raise UsageError(f"--without {part} goes with --head vavl")
            given[name] = False
        for text in self.head_option:
            name, _, value = text.partition("=")
            name = name.replace("-", "_")
            if name not in known:
                raise UsageError(f"--head-option {text}: {self.head} has {_described(known)}")
            if name in given:
                raise UsageError(f"--head-option {text}: {name} is given twice")
            given[name] = _value(known[name], types_of(kind)[name], text, value)
        found = {name: given.get(name, item.default) for name, item in known.items()}
        for name, (other, values) in getattr(kind, "goes_with", {}).items():
            if found[name] != known[name].default and found[other] not in values:
                raise UsageError(
                    f"{name} {_text(found[name])} of --head {self.head} goes with {other} "
                    f"{' or '.join(values)}; it is {found[other]}"
                )
        return found

    def _flags(self, known: Mapping[str, dataclasses.Field]) -> dict[str, Any]:
        """Options that are given by a flag of their own."""
        given: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            name = OPTION_OF.get(item.name, item.name)
            heads = [head for head, kind in OWN_HEADS.items() if name in declared(kind)]
            value = getattr(self, item.name)
            if not heads or value in (None, WEIGHTED):
                continue
            if name not in known and (name, value) != ONE_FRAME:
                encoders = f"; of the encoder: --layer {value}, or --layers {WEIGHTED}"
                raise UsageError(
                    f"{flags_of(item)[-1]} goes with --head {' or '.join(heads)}"
                    + encoders * (item.name == "layers")
                )
            if name in given:
                raise UsageError(f"{flags_of(item)[-1]} {value}: --head has {name} already")
            if name in known:
                given[name] = value
        return given

    def with_options(self, options: Mapping[str, Any]) -> Self:
        """These settings with all options of the head given, but for those that came later and
        are at their default: outputs of earlier versions stay up to date."""
        own = declared(OWN_HEADS[self.head]) if self.head in OWN_HEADS else {}
        later = {name: item.default for name, item in own.items() if item.metadata["added"]}
        flags = {item.name for item in dataclasses.fields(self)}
        as_before = {n for n, value in options.items() if n in later and later[n] == value}
        named: dict[str, Any] = {
            n: None if n in as_before else v for n, v in options.items() if n in flags
        }
        if "layers" in named:
            # Recorded as it always was, unless --layers means the encoder's.
            apart = self.layers == WEIGHTED
            named["gru_layers"] = named["layers"] if apart else None
            named["layers"] = WEIGHTED if apart else named["layers"]
        others = [
            f"{name}={_text(v)}" for name, v in options.items() if name not in flags | as_before
        ]
        # What --without says is among the options.
        return dataclasses.replace(self, **named, without=(), head_option=tuple(others))


def _number_or_weighted(layers: str | int | None) -> str | int | None:
    """--layers; a number as a number. Raises UsageError for anything else."""
    if layers is None or layers == WEIGHTED or isinstance(layers, (int, float)):
        return layers
    try:
        return int(layers)
    except ValueError:
        raise UsageError(
            f"--layers {layers}: expected {WEIGHTED}, or a number of GRU layers"
        ) from None


def _described(known: Mapping[str, dataclasses.Field]) -> str:
    words = [
        f"{name} ({item.metadata['help'].rstrip('.')}; default {_text(item.default)})"
        for name, item in known.items()
    ]
    return f"the options {', '.join(words)}" if words else "no options"


def _value(item: dataclasses.Field, types: Sequence[type], text: str, value: str) -> Any:
    """The value of an option from NAME=VALUE."""
    flag = f"--head-option {text.partition('=')[0]}"
    choices = item.metadata["choices"] or (TRUE_OR_FALSE if bool in types else None)
    if choices and value not in choices:
        raise UsageError(f"{flag}={value}: expected {' or '.join(choices)}")
    if bool in types:
        return TRUE_OR_FALSE[value]
    number = next((kind for kind in (int, float) if kind in types), None)
    if number is None:
        return value
    try:
        found = number(value)
    except ValueError:
        what = "an integer" if number is int else "a number"
        raise UsageError(f"{flag}={value}: expected {what}") from None
    check_range(item, found, flag)
    return found


def _text(value: Any) -> str:
    """A value as NAME=VALUE has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
