"""The pre-training objective in an encoder's checkpoint, loaded to continue its training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError
from avaffect.core.hashing import canonical_json
from avaffect.core.headers import EncoderHeader, KeptObjective
from avaffect.core.nouns import count_of
from avaffect.core.streams import UNITS

# `adapt` needs the required streams before it imports torch.
if TYPE_CHECKING:
    from torch import Tensor

    from avaffect.models.encoder import Encoder
    from avaffect.objectives.base import Pretraining

# Tasks of version 0.1 -> the prefixes of their weights there, and now.
_KEPT = {
    "odd_one_out": {"odd.": "objective.head."},
    "autoregressive_prediction": {"prediction.": "objective.head."},
    "contrastive_prediction": {"contrastive.": "objective.head."},
    "problem_agnostic": {"workers.": "objective.workers."},
    "face_reconstruction": {"video.face.": "objective.face.", "video.odd.": "objective.odd.head."},
    "acoustic_prediction": {"acoustic.": "objective."},
}
# Version 0.1 kept no teacher.
_NOT_KEPT = {"bootstrap": "pretrain-byol", "self_distillation": "pretrain-dino"}


@dataclass(frozen=True)
class Kept:
    """An objective in a checkpoint.

    path, header  the checkpoint
    objective     name and configuration
    weights       tensors by their names in a checkpoint, those of the objective among them
    """

    path: Path
    header: EncoderHeader
    objective: KeptObjective
    weights: Mapping[str, Tensor]


def reads_units(header: EncoderHeader) -> bool:
    """Whether the task that made an encoder reads units."""
    if header.objective is not None:
        return UNITS in header.objective.streams
    # Version 0.1 named its tasks, but for masked prediction.
    return "objective" not in (header.pretext or {})


def check_kept(path: Path, header: EncoderHeader, otherwise: str) -> None:
    """Raises DataError where a checkpoint keeps no objective; otherwise: the advice in that
    message."""
    if header.objective is not None:
        return
    if header.pretext is None:
        raise DataError(
            f"{path} keeps no pre-training objective (it was adapted without one, or imported "
            f"without its head): {otherwise}"
        )
    command = _NOT_KEPT.get(str(header.pretext.get("objective")))
    if command is not None:
        raise DataError(
            f"{path} was written by version 0.1, which did not keep the teacher of its task: "
            f"pre-train it further with `avaffect {command} MEDIA.h5 --init {path}` first, or "
            f"{otherwise}"
        )


def load_objective(
    path: Path, otherwise: str, units: Mapping[str, Any] | None = None
) -> Pretraining:
    """The objective of an encoder's checkpoint, around its encoder, with its trained weights.

    units: model and layer of the units for its training, where it reads units; otherwise: the
    advice where there is no such objective, for messages. Raises DataError there, and where the
    objective has other units or its weights do not fit.
    """
    from avaffect.objectives import registry
    from avaffect.training import checkpoint

    header, tensors = checkpoint.read(path, EncoderHeader)
    check_kept(path, header, otherwise)
    encoder = checkpoint.build(header.model, tensors, path)
    kept = kept_in(path, header, tensors, encoder, otherwise)
    if units is not None:
        check_units(kept, units, otherwise)
    try:
        with checkpoint.bounded([tensor.numel() for tensor in tensors.values()]):
            objective = registry.build(kept.objective.name, kept.objective.configuration, encoder)
    except DataError as error:
        raise DataError(f"{path}: {error}; {otherwise}") from error
    _load(objective, kept)
    return objective


def kept_in(
    path: Path, header: EncoderHeader, tensors: dict[str, Tensor], encoder: Encoder, otherwise: str
) -> Kept:
    """The objective of an encoder's checkpoint that has been read, of any version.

    Raises DataError where there is none.
    """
    check_kept(path, header, otherwise)
    if header.objective is not None:
        return Kept(path, header, header.objective, tensors)
    return Kept(path, header, *_of_version_0_1(path, header, tensors, encoder, otherwise))


def continue_objective(objective: Pretraining, kept: Kept) -> str | None:
    """Load the weights of a checkpoint's objective into a new one, made for another run.

    Where the two do not fit (other names, or other configurations, so that weights have other
    shapes or another meaning), nothing is loaded, and the checkpoint's objective is returned in
    words.
    """
    from avaffect.objectives import registry

    description = registry.describe(objective)
    was = kept.objective
    if was.name != description["name"]:
        return was.name.replace("_", " ")
    # As in JSON, without tuples.
    fields = json.loads(canonical_json(description["configuration"])).items()
    # Fields that an earlier version did not write have their defaults.
    others = [field for field, value in fields if was.configuration.get(field, value) != value]
    state = objective.state_dict()
    fits = all(
        name in kept.weights and kept.weights[name].shape == state[own].shape
        for own, name in registry.kept_names(objective).items()
    )
    if not fits or set(others) & set(objective.tied):
        words = ", ".join(_spelled(field, was.configuration.get(field)) for field in others)
        return f"{was.name.replace('_', ' ')} with {words or 'weights of other shapes'}"
    _load(objective, kept)
    return None


def _spelled(field: str, value: Any) -> str:
    return f"other {field}" if isinstance(value, (dict, list)) else f"{field} {value}"


def _load(objective: Pretraining, kept: Kept) -> None:
    """Raises DataError where the weights do not fit the objective."""
    from avaffect.objectives import registry
    from avaffect.training import checkpoint

    names = registry.kept_names(objective)
    known = {own: kept.weights[name] for own, name in names.items() if name in kept.weights}
    own = {name: value for name, value in objective.state_dict().items() if name not in names}
    checkpoint.load_into(objective, {**own, **known}, kept.path)


def check_units(kept: Kept, units: Mapping[str, Any], otherwise: str) -> None:
    """Raises DataError where the units are not those that the objective predicts."""
    path, header = kept.path, kept.header
    if header.command == "import" and "model" in units:
        raise DataError(
            f"{path} was imported without the quantiser of the units that its head predicts; "
            f"the given units are others: {otherwise}"
        )
    # An imported head also has rows for entries of its dictionary beside the units.
    rows = kept.objective.configuration.get("units")
    known = rows if header.prediction is None else header.prediction.units
    if known is not None and known != int(units["clusters"]):
        raise DataError(
            f"{path} predicts {count_of(known, 'unit')}, but these are {units['clusters']}: give "
            f"the units that it was trained on, or {otherwise}"
        )


def _of_version_0_1(
    path: Path, header: EncoderHeader, tensors: Mapping[str, Tensor], encoder: Encoder,
    otherwise: str,
) -> tuple[KeptObjective, dict[str, Tensor]]:  # fmt: skip
    """Objective and weights in today's form."""
    settings = dict(header.pretext or {})
    task = settings.pop("objective", None)
    if task is None:
        return _masked_prediction(path, settings, tensors, encoder, otherwise)
    if task not in _KEPT:
        raise DataError(f"{path}: its task {task!r} is unknown to this version; {otherwise}")
    weights = {
        now + name.removeprefix(before): value
        for before, now in _KEPT[task].items()
        for name, value in tensors.items()
        if name.startswith(before)
    }
    weights |= _settled(task)
    if task == "acoustic_prediction":
        from dataclasses import asdict

        from avaffect.objectives.lira import AcousticPredictionConfiguration

        settings = asdict(AcousticPredictionConfiguration.on(encoder, settings["blocks"]))
    return KeptObjective(name=task, configuration=settings), weights


def _masked_prediction(
    path: Path,
    settings: dict[str, Any],
    tensors: Mapping[str, Tensor],
    encoder: Encoder,
    otherwise: str,
) -> tuple[KeptObjective, dict[str, Tensor]]:
    """Masked prediction with the published weights of its losses, as version 0.1 adapted."""
    rows = tensors.get("label_embs_concat")
    if rows is None:
        raise DataError(f"{path} has no prediction head: {otherwise}")
    masking = settings or {"kind": getattr(encoder.configuration, "masking", "feature")}
    configuration = {"units": len(rows), "masking": masking}
    return KeptObjective(name="masked_prediction", configuration=configuration), dict(tensors)


def _settled(task: str) -> dict[str, Tensor]:
    """Version 0.1 did not keep how many utterances the statistics of its targets are from: all of
    them, so that the targets do not change."""
    import torch

    from avaffect.objectives.problem_agnostic import GATHERED

    if task not in ("problem_agnostic", "acoustic_prediction"):
        return {}
    return {"objective.gathered": torch.tensor(GATHERED)}
