"""A tiny RoBERTa of random weights in a folder, as transformers writes it: a stand-in for a text
encoder where none is downloaded. Random weights tell words apart, and know nothing of them.

    python examples/tiny_text_encoder.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Beside a torch for the CPU alone, torchaudio loads through this, and transformers then finds it.
import avaffect.signal.audio  # noqa: F401
from avaffect.synthetic.words import OF_EMOTIONS, OF_NONE

# Tokens of a text, special ones included.
LONGEST = 126
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 128}  # fmt: skip


def write(folder: Path, sentences: Iterable[str], vocabulary: int = 600, **sizes: Any) -> None:
    """Write a model of these sizes and a tokenizer that is trained on the sentences (byte-level
    BPE)."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        sentences,
        trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=special, show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )  # fmt: skip
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>", cls_token="<s>", sep_token="</s>", mask_token="<mask>",
    )  # fmt: skip
    # Positions begin behind that of the padding.
    whole = {"vocab_size": len(fast), "pad_token_id": 1, "max_position_embeddings": LONGEST + 2,
             **SIZES, **sizes}  # fmt: skip
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    # As published weights are: without the pooler, which nobody reads.
    model = transformers.RobertaModel(transformers.RobertaConfig(**whole), add_pooling_layer=False)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


if __name__ == "__main__":
    words = [word for known in OF_EMOTIONS.values() for word in known] + [*OF_NONE]
    write(Path(sys.argv[1]), [f" {word}" for word in words])
