"""Files of a text encoder of transformers, found and checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.core.hashing import content_id, file_content_id
from avaffect.training import foreign_files

# One of these sets is a tokenizer's vocabulary; without one transformers makes an empty tokenizer.
_VOCABULARIES = (
    ("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",), ("spiece.model",),
    ("sentencepiece.bpe.model",), ("spm.model",), ("tokenizer.model",),
)  # fmt: skip
_BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def files_of(folder: Path) -> list[Path]:
    """The files of the text encoder in a folder: weights, configuration, tokenizer.

    Raises DataError where it is no folder, or lacks weights in safetensors, a configuration or a
    tokenizer.
    """
    if not folder.is_dir():
        if folder.exists():
            raise DataError(f"{folder} is a file; give the folder of a text encoder")
        raise DataError(
            f"{folder}: no such folder; a text encoder is read from a local folder and never "
            f"downloaded: first `hf download {folder} --local-dir NAME`, then --model NAME"
        )
    weights = foreign_files.files_of(folder)
    foreign_files.check(weights)
    if not any(file.suffix == ".safetensors" for file in weights):
        raise DataError(
            f"{folder} has weights as pickle alone ({weights[0].name}), which may run code: "
            "download or save them as .safetensors (save_pretrained of transformers)"
        )
    configuration = folder / foreign_files.CONFIGURATION
    if not configuration.is_file():
        raise DataError(f"{folder} has no {configuration.name}: download it too")
    vocabulary = [folder / name for names in _VOCABULARIES for name in names
                  if all((folder / each).is_file() for each in names)]  # fmt: skip
    if not vocabulary:
        known = ", or ".join(" with ".join(names) for names in _VOCABULARIES)
        raise DataError(f"{folder} has no tokenizer ({known}): download its files too")
    beside = [folder / name for name in _BESIDE if (folder / name).is_file()]
    return list(dict.fromkeys([*weights, configuration, *vocabulary, *beside]))


def identity_of(files: list[Path]) -> str:
    """`sha256:…` of the files' content and names, wherever their folder is."""
    return content_id(sorted([file.name, file_content_id(file)] for file in files))
