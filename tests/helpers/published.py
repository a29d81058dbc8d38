"""Files as others publish them, built from golden weights or from random ones."""

from __future__ import annotations

import contextlib
import json
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from golden import generator, named_weights
from safetensors.torch import save_file
from torch import Tensor

from avaffect.models.published import names

GOLDEN = Path(__file__).parents[1] / "golden"
AV_KEYS = json.loads((GOLDEN / "avhubert_keys.json").read_text())
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def golden_weights(shapes: dict[str, Sequence[int]]) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(generator.weight(name, tuple(shape)))
        for name, shape in shapes.items()
    }


def avhubert_settings(**model: Any) -> dict[str, Any]:
    """The nested cfg of the tiny golden AV-HuBERT, with settings that nobody here knows."""
    return {
        "_name": None,
        "common": {"seed": 1337, "fp16": True},
        "model": {
            "_name": "av_hubert", "encoder_layers": 2, "encoder_embed_dim": 64,
            "encoder_attention_heads": 4, "layer_norm_first": True, "activation_fn": "gelu",
            "masking_type": "input", "mask_prob_audio": 0.8, "mask_length_audio": 10,
            "mask_prob_image": 0.3, "mask_length_image": 5, "modality_dropout": 0.5,
            "audio_dropout": 0.5, "modality_fuse": "concat", "sim_type": "cosine",
            "feature_grad_mult": 0.1, "selection_type": "same_seq", "of_tomorrow": [1, 2],
            **model,
        },
        "task": {
            "_name": "av_hubert_pretraining", "image_crop_size": 88, "image_mean": 0.421,
            "image_std": 0.165, "normalize": True, "stack_order_audio": 4,
        },
    }  # fmt: skip


def hubert_settings(normalize: bool = False, **model: Any) -> dict[str, Any]:
    layers = "[(32, 10, 5)] + [(32, 3, 2)] * 4 + [(32,2,2)] * 2"
    return {
        "model": {
            "_name": "hubert", "encoder_attention_heads": 4, "layer_norm_first": False,
            "conv_feature_layers": layers, "mask_prob": 0.65, "mask_length": 8, **model,
        },
        "task": {"_name": "hubert_pretraining", "normalize": normalize},
    }  # fmt: skip


@contextlib.contextmanager
def fairseq_dictionary() -> Iterator[type]:
    """A class that pickles as fairseq's dictionary of targets, whose module is gone afterwards."""
    folders = ["fairseq", "fairseq.data", "fairseq.data.dictionary"]
    for name in folders:
        sys.modules[name] = types.ModuleType(name)
    dictionary = type("Dictionary", (), {"__module__": folders[-1]})
    sys.modules[folders[-1]].Dictionary = dictionary
    try:
        yield dictionary
    finally:
        for name in folders:
            del sys.modules[name]


def save_fairseq(
    path: Path,
    tensors: dict[str, Tensor],
    cfg: Any,
    *dictionaries: Sequence[str],
    **options: Any,
) -> None:
    """A checkpoint as fairseq's trainer writes it; symbols fill its dictionary objects."""
    with fairseq_dictionary() as made:
        objects = []
        for symbols in dictionaries:
            objects.append(made())
            objects[-1].__dict__ = {
                "symbols": list(symbols),
                "indices": {symbol: row for row, symbol in enumerate(symbols)},
                "count": [1] * len(symbols),
                "bos_word": "<s>",
            }
        held = {
            "args": None,
            "cfg": cfg,
            "model": tensors,
            "criterion": None,
            "optimizer_history": [{"optimizer_name": "FP16Optimizer", "num_updates": 400000}],
            "task_state": {"dictionaries": objects} if objects else {},
            "extra_state": {"epoch": 7, "val_loss": 2.5},
        }
        torch.save(held, path, **options)


def save_transformers(
    folder: Path,
    tensors: dict[str, Tensor],
    config: dict[str, Any] | None,
    preprocessor: dict[str, Any] | None = None,
) -> Path:
    """A folder as `save_pretrained` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()},
              folder / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    for name, content in (("config", config), ("preprocessor_config", preprocessor)):
        if content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def social_mae(mode: str) -> dict[str, Tensor]:
    """A tiny Social-MAE as its authors save it, pre-trained ("pretrain") or fine-tuned."""
    keys = json.loads((GOLDEN / "social_tiny_keys.json").read_text())["keys"][mode]
    return {f"module.{name}": torch.from_numpy(named_weights.weight(name, shape))
            for name, shape in keys.items()}  # fmt: skip


def cav_mae() -> dict[str, Tensor]:
    """A tiny CAV-MAE, which reads one picture."""
    flat = social_mae("pretrain")
    flat["module.patch_embed_v.proj.weight"] = flat["module.patch_embed_v.proj.weight"][
        ..., 0
    ].clone()
    for name in ("pos_embed_v", "decoder_pos_embed_v"):
        flat[f"module.{name}"] = flat[f"module.{name}"][:, :4].clone()
    for name in ("decoder_pred_v.weight", "decoder_pred_v.bias"):
        flat[f"module.{name}"] = flat[f"module.{name}"][:768].clone()
    return flat


def to_torchaudio(tensors: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The weights of one of our HuBERTs under torchaudio's names, in its later spelling."""
    found = {}
    for name, value in tensors.items():
        theirs = names.to_transformers(name, parametrized=True)
        if theirs == "masked_spec_embed":
            found["mask_generator.mask_embedding"] = value
        elif theirs.startswith("encoder."):
            found[f"{prefix}encoder.transformer.{theirs.removeprefix('encoder.')}"] = value
        elif theirs.startswith("feature_projection."):
            found[f"{prefix}encoder.{theirs}"] = value
        else:
            found[prefix + theirs] = value
    return found
