"""Files of a model of another program, located before anything is read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avaffect.core import filekind, plain_json
from avaffect.core.checkpoint_header import METADATA_KEY, file_metadata
from avaffect.core.errors import DataError

_WEIGHTS = (
    "model.safetensors", "model.safetensors.index.json",
    "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
# Of models whose parts are saved apart (VAVL): file -> what the names in it are put under.
PARTS = {
    "final_acoustic_head.pt": "acoustic.", "final_visual_head.pt": "visual.",
    "final_shared_head.pt": "shared.", "final_weights_head.pt": "weights.",
    **{f"{part}_head.pt": f"{part}." for part in
       ("MLP_a", "MLP_v", "MLP_av", "MLP_rec_a", "MLP_rec_v")},
}  # fmt: skip
CONFIGURATION = "config.json"
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")

# Of features of other tools, which `import-features` reads.
_FEATURES = (*filekind.TABLE_SUFFIXES, ".npy", ".npz", ".parquet")
_LFS = b"version https://git-lfs"

# Of safetensors, and of torch.save, old and new.
_READ = (filekind.CHECKPOINT, filekind.WEIGHTS, filekind.ZIP, filekind.UNKNOWN)


def files_of(path: Path) -> list[Path]:
    """The files of `path` (a file, or a folder of transformers or of parts); weights come first.

    A file of fairseq or torchaudio has no companions. Raises DataError where there are no files.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder (weights are not downloaded: give a path)")
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        found = [folder / name for name in _WEIGHTS if (folder / name).is_file()][:1]
        parts = [folder / name for name in PARTS if (folder / name).is_file()]
        if parts and not found:
            return parts
        if not found:
            raise DataError(
                f"{path} holds no weights with known names ({', '.join(_WEIGHTS)}): "
                "download them too, or name the file" + _of_features(path)
            )
        path = found[0]
    if path.suffix == ".json" and not path.name.endswith(".index.json"):
        raise DataError(f"{path} holds settings: give the file of weights, or their folder")
    weights = _shards(path) if path.suffix == ".json" else [path]
    if path.suffix not in (".json", ".bin", ".safetensors"):
        return weights
    beside = [folder / name for name in (CONFIGURATION, *PREPROCESSORS)]
    return [*weights, *(file for file in beside if file.is_file())]


def check(files: Sequence[Path]) -> None:
    """Raises DataError where the first bytes of a file of `files_of` are not those of weights, or
    it is a checkpoint of avaffect."""
    for file in files:
        found = filekind.kind_of(file)
        if file.suffix.lower() in _FEATURES:
            raise DataError(f"{file} holds no weights{_of_features(file)}")
        if found == filekind.TABLE and _begins(file, _LFS):
            raise DataError(f"{file} is a pointer of Git LFS: download the file with git lfs pull")
        if file.suffix != ".json" and found not in _READ:
            raise filekind.other_kind(file, "weights")
        if found == filekind.CHECKPOINT and METADATA_KEY in file_metadata(file):
            raise DataError(f"{file} is a checkpoint of avaffect: there is nothing to import")


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(start)) == start


def _of_features(path: Path) -> str:
    """Advice where a file, or a folder's, is of features rather than weights."""
    # Other texts stand beside weights.
    files = [file for file in path.iterdir() if file.suffix != ".txt"] if path.is_dir() else [path]
    if not any(file.suffix.lower() in _FEATURES for file in files):
        return ""
    return f"; features are read by: avaffect import-features {shlex.quote(str(path))} -o F.h5"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; DataError where there is none."""
    try:
        found = plain_json.parse(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no JSON object")
    return found


def _shards(index: Path) -> list[Path]:
    """The files that a transformers index lists: names in its own folder alone."""
    table = read_json(index).get("weight_map")
    names = sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []
    files = [index.parent / Path(name).name for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise DataError(
            f"{index} lists {', '.join(missing)}, which are missing: the download is not finished"
            if missing
            else f"{index} lists no file"
        )
    return files
