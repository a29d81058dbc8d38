"""Heads by name: those of `finetune --head`, open to other packages.

A package adds a head through an entry point of the group "avaffect.heads" that names a
`core.registry.Part`: the dataclass of its configuration, a `FrameHeadConfiguration`, and a
`FrameHead` that is built from it. Users set fields of the configuration that are declared with
`settings.base.option` by --head-option NAME=VALUE.
"""

from __future__ import annotations

from avaffect.core.registry import Registry
from avaffect.settings.head_options import OWN_HEADS
from avaffect.settings.two_stream_options import TwoStreamOptions

HEADS = Registry("head", "avaffect.heads")
HEADS.register(
    "linear",
    "avaffect.models.heads.linear:LinearHeadConfiguration",
    "avaffect.models.heads.linear:LinearHead",
)
HEADS.register(
    "mlp",
    "avaffect.models.heads.linear:DenseHeadConfiguration",
    "avaffect.models.heads.linear:LinearHead",
)
HEADS.register(
    "bgru",
    "avaffect.models.heads.recurrent:RecurrentHeadConfiguration",
    "avaffect.models.heads.recurrent:RecurrentHead",
)
HEADS.register(
    "gru",
    "avaffect.models.heads.recurrent:ForwardHeadConfiguration",
    "avaffect.models.heads.recurrent:RecurrentHead",
)
HEADS.register(
    "svm", "avaffect.models.heads.svm:SVMConfiguration", "avaffect.models.heads.svm:SVMHead"
)
HEADS.register(
    "vavl", "avaffect.models.heads.vavl:VAVLConfiguration", "avaffect.models.heads.vavl:VAVLHead"
)
HEADS.register(
    "uavm", "avaffect.models.heads.uavm:UAVMConfiguration", "avaffect.models.heads.uavm:UAVMHead"
)
HEADS.register(
    "auxformer",
    "avaffect.models.heads.auxformer:AuxFormerConfiguration",
    "avaffect.models.heads.auxformer:AuxFormerHead",
)
HEADS.register(
    "mult", "avaffect.models.heads.mult:MulTConfiguration", "avaffect.models.heads.mult:MulTHead"
)
HEADS.register(
    "unimodal",
    "avaffect.models.heads.unimodal:UnimodalConfiguration",
    "avaffect.models.heads.unimodal:UnimodalHead",
)
HEADS.register(
    "highlight",
    "avaffect.models.heads.highlight:HighlightConfiguration",
    "avaffect.models.heads.highlight:HighlightHead",
)


def on_two_streams(name: str) -> bool:
    """Whether a head reads an acoustic and a visual stream, of which an utterance may lack one."""
    return name in HEADS and issubclass(options_of(name), TwoStreamOptions)


def options_of(name: str) -> type:
    """The dataclass that declares a head's options; for avaffect's own heads it imports no torch.

    Raises UsageError for an unknown head.
    """
    return OWN_HEADS.get(name) or HEADS[name].load_configuration()
