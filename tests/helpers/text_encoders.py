"""A tiny RoBERTa of random weights, made from a configuration and a few sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401

SENTENCES = (
    "i am so angry at you", "what a happy lovely day", "nothing happened at all today",
    "she said hello and went away", "this is terrible and you know it",
)  # fmt: skip
LONGEST = 30


def tiny_roberta(folder: Path, **changes: Any) -> Path:
    """Write weights and tokenizer as transformers do; texts of LONGEST tokens at most.

    Skips the test without transformers.
    """
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )  # fmt: skip
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>", cls_token="<s>", sep_token="</s>", mask_token="<mask>",
    )  # fmt: skip
    sizes = {
        "vocab_size": len(fast), "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 32, "pad_token_id": 1,
        # Positions begin behind that of the padding.
        "max_position_embeddings": LONGEST + 2,
    }  # fmt: skip
    torch.manual_seed(0)
    configuration = transformers.RobertaConfig(**{**sizes, **changes})
    transformers.utils.logging.disable_progress_bar()
    # As published weights are: without the pooler, which nobody reads.
    transformers.RobertaModel(configuration, add_pooling_layer=False).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
