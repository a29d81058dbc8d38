"""Heads by name: those of `finetune --head`, open to other packages.

A package adds a head through an entry point of the group "avaffect.heads" that names a
`core.registry.Part`: the dataclass of its configuration, which has `inputs` and `outputs`, and a
`FrameHead` that is made of it.
"""

from __future__ import annotations

from avaffect.core.registry import Registry

HEADS = Registry("head", "avaffect.heads")
HEADS.register(
    "linear",
    "avaffect.models.heads.linear:LinearHeadConfiguration",
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
