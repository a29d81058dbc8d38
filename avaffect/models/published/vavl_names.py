"""Names of VAVL's weights in its released files, a file for each part of the model."""

from __future__ import annotations

from avaffect.settings.two_stream_options import AUDIO, VIDEO

# File -> the part of `models.heads.vavl.VAVLHead`, and what names in it begin with.
ENCODERS = {
    "acoustic": (f"{AUDIO}.encoder", "x_acoustic.encoder"),
    "visual": (f"{VIDEO}.encoder", "x_visual.encoder"),
    "shared": ("layers.encoder", "x_shared.encoder"),
}
DENSE = {
    "MLP_a": f"{AUDIO}.predict", "MLP_v": f"{VIDEO}.predict", "weights": "av",
    "MLP_rec_a": f"{AUDIO}.reconstruct", "MLP_rec_v": f"{VIDEO}.reconstruct",
}  # fmt: skip
# What the released model holds and never reads, and tables that are computed.
UNUSED = (".conv_subsample.", ".positional_encoding.pe")
_DENSE_LAYERS = {0: "projav1", 3: "projav2", 4: "out_layer"}
# Of a conformer block: ours -> theirs.
_BLOCK = {
    "attention_norm": "1.module.layer_norm",
    **{
        f"attention.{ours}_proj": f"1.module.attention.{theirs}_proj.linear"
        for ours, theirs in {
            "q": "query", "k": "key", "v": "value", "pos": "pos", "out": "out",
        }.items()
    },
    "attention.u_bias": "1.module.attention.u_bias",
    "attention.v_bias": "1.module.attention.v_bias",
    "convolution.norm": "2.module.sequential.0",
    "convolution.expand": "2.module.sequential.2.conv",
    "convolution.depthwise": "2.module.sequential.4.conv",
    "convolution.batch_norm.mean": "2.module.sequential.5.running_mean",
    "convolution.batch_norm.variance": "2.module.sequential.5.running_var",
    "convolution.batch_norm.batches": "2.module.sequential.5.num_batches_tracked",
    "convolution.batch_norm": "2.module.sequential.5",
    "convolution.project": "2.module.sequential.7.conv",
    **{
        f"{half}.{place}": f"{number}.module.sequential.{place}" + ".linear" * (place > 0)
        for half, number in (("before", 0), ("after", 3))
        for place in (0, 1, 4)
    },
    "norm": "4",
}  # fmt: skip


def released(name: str) -> tuple[str, str]:
    """File and name there of a weight or buffer of VAVLHead. Raises KeyError for another name."""
    if name in ("audio.project.weight", "video.project.weight"):
        visual = name.startswith(VIDEO)
        return ("visual", "conv_1d_v.weight") if visual else ("acoustic", "conv_1d_a.weight")
    for file, (own, prefix) in ENCODERS.items():
        if name.startswith(f"{own}."):
            return file, f"{prefix}.{_of_encoder(name.removeprefix(f'{own}.'))}"
    for file, own in DENSE.items():
        if name.startswith(f"{own}."):
            place, kind = name.removeprefix(f"{own}.").split(".")
            return file, f"{_DENSE_LAYERS[int(place)]}.{kind}"
    if name.startswith("layers.norm."):
        return "shared", name.replace("layers.norm", "layer_norm")
    raise KeyError(name)


def _of_encoder(name: str) -> str:
    if name.startswith("widen.0."):
        return name.replace("widen.0", "input_projection.0.linear")
    _, _, number, rest = name.split(".", 3)
    begin = f"layers.{number}.sequential."
    if rest in _BLOCK:
        return begin + _BLOCK[rest]
    part, _, kind = rest.rpartition(".")
    return f"{begin}{_BLOCK[part]}.{kind}"
