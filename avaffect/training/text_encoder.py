"""A frozen text encoder of transformers, from a local folder alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# Imported first: transformers imports torchaudio, which fails beside a torch for the CPU alone.
import avaffect.signal.audio  # noqa: F401
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.training.device import mixed_precision
from avaffect.training.foreign_files import CONFIGURATION

# What a model adds to the encoder's output, which the mean over tokens does not read.
UNREAD = "pooler"
# A tokenizer without a maximum has a huge one.
NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class TextEncoder:
    """limit: of tokens that a text may have, special ones included; None: any number."""

    tokenizer: Any
    model: nn.Module
    dim: int
    limit: int | None
    device: torch.device
    precision: str

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """(B, dim) float32, the mean of the output over the tokens of each text, special ones and
        padding excluded, zeros without tokens; and how many texts were truncated."""
        whole = self.tokenizer(list(texts), return_special_tokens_mask=True, verbose=False)
        ids, special = whole["input_ids"], whole["special_tokens_mask"]
        truncated = [k for k, row in enumerate(ids) if self.limit and len(row) > self.limit]
        for place in truncated:
            cut = self.tokenizer(
                texts[place], truncation=True, max_length=self.limit,
                return_special_tokens_mask=True,
            )  # fmt: skip
            ids[place], special[place] = cut["input_ids"], cut["special_tokens_mask"]
        # Padded here: not every tokenizer has a token for it, and the mask hides it.
        longest = max(map(len, ids))
        padding = self.tokenizer.pad_token_id or 0
        tokens = torch.full((len(ids), longest), padding, dtype=torch.long)
        there, counted = torch.zeros_like(tokens), torch.zeros(len(ids), longest)
        for row, (own, added) in enumerate(zip(ids, special)):
            tokens[row, : len(own)] = torch.tensor(own, dtype=torch.long)
            there[row, : len(own)] = 1
            counted[row, : len(own)] = 1 - torch.tensor(added, dtype=torch.float32)
        with torch.inference_mode(), mixed_precision(self.device, self.precision):
            output = self.model(
                input_ids=tokens.to(self.device), attention_mask=there.to(self.device)
            )
        values = output.last_hidden_state.float()
        shares = counted.to(self.device)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1)
        return (values * shares[..., None]).sum(dim=1).cpu(), len(truncated)


def load(folder: Path, device: torch.device, precision: str) -> TextEncoder:
    """The text encoder in a folder of `text_model_files.files_of`.

    Raises DataError where transformers cannot read it, weights are missing, or the tokenizer is not
    the model's.
    """
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        # Of what it says of versions to come nothing is the user's concern.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
            model, loaded = transformers.AutoModel.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{folder}: transformers cannot read this text encoder ({first})"
        ) from error
    beside = sorted(name for name in loaded["unexpected_keys"] if _is_of_list(name, model))
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    lacking = sorted(
        name for name in loaded["missing_keys"]
        if UNREAD not in name and not name.startswith("decoder.")
    )  # fmt: skip
    if lacking or loaded["mismatched_keys"]:
        raise DataError(
            f"{folder}: {count_of(len(lacking), 'weight is', 'weights are')} missing "
            f"({', '.join(lacking[:3])} …) or of another shape: its files are not of one model"
        )
    if beside:
        raise DataError(
            f"{folder}: the model of {CONFIGURATION} lacks layers that the weights have "
            f"({', '.join(beside[:3])} …): its files are not of one model"
        )
    table = model.get_input_embeddings()
    # Numbers of tokens may have gaps.
    tokens = max([len(tokenizer), *(number + 1 for number in tokenizer.get_vocab().values())])
    if table is None or tokens > table.num_embeddings:
        raise DataError(
            f"{folder}: the tokenizer has {count_of(tokens, 'token')}, and the model "
            f"{getattr(table, 'num_embeddings', 'none')}; they are not of one text encoder"
        )
    model = model.float().to(device).eval()
    return TextEncoder(tokenizer, model, _dim(model), _limit(tokenizer, model), device, precision)


def _is_of_list(name: str, model: Any) -> bool:
    """Whether a weight that the model has not is of one more layer in one of its lists: weights of
    heads, which nobody reads, are not."""
    own = name.removeprefix(f"{model.base_model_prefix}.")
    places = [place for place, part in enumerate(own.split(".")) if part.isdigit()]
    lists = {path for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    return any(".".join(own.split(".")[:place]) in lists for place in places)


def _dim(model: Any) -> int:
    return int(getattr(model.config, "hidden_size", 0) or model.config.d_model)


def _limit(tokenizer: Any, model: Any) -> int | None:
    """Tokens in a text at most: of the tokenizer, and of the model's table of positions, of which
    those up to the padding's are not used (RoBERTa)."""
    limits = [tokenizer.model_max_length]
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - unused)
    if len(limits) == 1:
        limits.append(getattr(model.config, "max_position_embeddings", None) or NO_LIMIT)
    limit = min(limits)
    return int(limit) if limit < NO_LIMIT else None
